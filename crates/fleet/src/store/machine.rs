//! A machine as the hub knows it, and what becomes of it by what is noticed.

use super::Millis;
use crate::protocol::{MachineState, ObjectId, Report};
use abide_reconcile::InstanceId;
use abide_spec::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sessions that are remembered after another took over.
const EARLIER_MAX: usize = 8;
/// Characters of a sentence in a report.
const MESSAGE_CHARS_MAX: usize = 500;
/// By so much may the clock of a hub that is no more have been ahead: ten minutes, in milliseconds.
const AHEAD_MAX: u64 = 10 * 60 * 1_000;
/// States of units that a report counts, and characters of one.
const STATES_MAX: usize = 16;
const STATE_CHARS_MAX: usize = 32;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// As its certificate says.
    pub name: Name,
    /// Its public key, as [`crate::protocol::Enroll::key`].
    pub key: String,
    /// The serial of its newest certificate.
    pub serial: i64,
    /// That of its enrolment: a certificate before it is of an earlier one, and not accepted.
    pub first_serial: i64,
    /// What values for it are encrypted to; empty if it isn't known, as after an adoption.
    pub recipient: String,
    /// The hub's labels.
    pub labels: BTreeMap<String, String>,
    /// When it came.
    pub enrolled_at: Millis,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
    /// Two machines have used its identity.
    pub cloned: bool,
    /// The session that polls.
    pub session: Option<String>,
    /// Those before it since the enrolment, newest first, at most 8.
    pub earlier: Vec<String>,
    /// The greatest number a target of it ever had. It outlives targets and enrolments.
    pub numbered: u64,
    /// What it is told.
    pub target: Option<Written>,
    /// What it said last.
    pub reported: Option<Reported>,
    /// Where it is.
    pub presence: Presence,
    /// When it was heard last, as far as that was written.
    pub heard_at: Millis,
    /// Raised with each change.
    pub version: i64,
}

/// A target, as it was written for a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Grows with each target of the machine.
    pub number: u64,
    /// The order that it is carried out by.
    pub instance: InstanceId,
    /// The commit.
    pub commit: ObjectId,
    /// How often in a row the machine failed with it before.
    #[serde(default)]
    pub attempt: u32,
    /// Since when the machine can know it: when it was written, or the machine came back before it had said anything about it.
    pub at: Millis,
}

/// What a machine said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Without what happened, which is kept apart.
    pub report: Report,
    /// When it came.
    pub at: Millis,
    /// Since when it is ready with that target.
    pub ready_since: Option<Millis>,
}

/// Where a machine is, as the hub process says that had it last. One that died says nothing any more ([`super::Store::hubs`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// Connected.
    Here {
        /// To which hub process.
        hub: String,
    },
    /// Silent.
    Away {
        /// Since when.
        since: Millis,
    },
}

/// Who wants to be a machine of the fleet, or shows that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMachine {
    /// Its name.
    pub name: Name,
    /// Its public key.
    pub key: String,
    /// The serial of its certificate.
    pub serial: i64,
    /// What values for it are encrypted to; empty if it isn't known.
    pub recipient: String,
}

/// What was noticed about a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It polls in this session. One that another took over before shows that there are two machines.
    Session {
        /// Which machine.
        name: Name,
        /// Its session.
        session: String,
    },
    /// There are two machines of this identity.
    Cloned {
        /// Which.
        name: Name,
    },
    /// It is connected.
    Here {
        /// Which machine.
        name: Name,
        /// To which hub process.
        hub: String,
    },
    /// It is silent. Of no account once it is connected to another hub process.
    Away {
        /// Which machine.
        name: Name,
        /// Which hub process had it.
        hub: String,
        /// Since when.
        since: Millis,
    },
    /// It said how it is. Of no account if it said something later already.
    Reported {
        /// Which machine.
        name: Name,
        /// What it said.
        report: Box<Report>,
        /// Since when it is ready with that target, if it is.
        ready_since: Option<Millis>,
        /// When the process that heard it was started.
        hub_since: Millis,
    },
}

/// How it is with who shows a certificate of our authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is that machine.
    Good,
    /// It is, and the store doesn't know this certificate: [`super::Store::adopt`].
    Adopt,
    /// The certificate is from before the machine was enrolled anew.
    Old,
    /// It was revoked.
    Revoked,
    /// Two machines use it.
    Cloned,
}

impl Fact {
    /// The machine that it is about.
    pub fn name(&self) -> &Name {
        match self {
            Self::Session { name, .. }
            | Self::Cloned { name }
            | Self::Here { name, .. }
            | Self::Away { name, .. }
            | Self::Reported { name, .. } => name,
        }
    }
}

impl Standing {
    /// That of a certificate with this serial for the name of this machine, if the store knows it.
    pub fn of(machine: Option<&Machine>, serial: i64) -> Self {
        match machine {
            None => Self::Adopt,
            Some(machine) if machine.revoked_at.is_some() => Self::Revoked,
            Some(machine) if machine.cloned => Self::Cloned,
            Some(machine) if serial > machine.serial => Self::Adopt,
            Some(machine) if serial < machine.first_serial => Self::Old,
            Some(_) => Self::Good,
        }
    }
}

impl Machine {
    /// One that has just come.
    pub(crate) fn new(new: &NewMachine, labels: BTreeMap<String, String>, now: Millis) -> Self {
        Self {
            name: new.name.clone(),
            key: new.key.clone(),
            serial: new.serial,
            first_serial: new.serial,
            recipient: new.recipient.clone(),
            labels,
            enrolled_at: now,
            revoked_at: None,
            cloned: false,
            session: None,
            earlier: Vec::new(),
            numbered: 0,
            target: None,
            reported: None,
            presence: Presence::Away { since: now },
            heard_at: now,
            version: 0,
        }
    }

    /// The target that it is told next. Numbers are times where they can be, so that an old backup of the store, which has
    /// forgotten the last ones, gives none of them again.
    pub fn written(&self, instance: InstanceId, commit: ObjectId, now: Millis) -> Written {
        let number = (self.numbered + 1).max(u64::try_from(now.0).unwrap_or(0));
        Written { number, instance, commit, attempt: 0, at: now }
    }

    /// Whether it may be told that: the number is new, or what it had it for stays.
    pub(super) fn may_be_told(&self, target: Option<&Written>) -> bool {
        let Some(target) = target else { return true };
        let same = |told: &Written| told.number == target.number && told.commit == target.commit;
        target.number > self.numbered || self.target.as_ref().is_some_and(same)
    }

    /// Takes in what was noticed; false if that is no news.
    pub fn apply(&mut self, fact: &Fact, now: Millis) -> bool {
        match fact {
            Fact::Session { session, .. } => self.take_session(session),
            Fact::Cloned { .. } => !std::mem::replace(&mut self.cloned, true),
            Fact::Here { hub, .. } => self.come(hub, now),
            Fact::Away { hub, since, .. } => self.leave(hub, *since),
            Fact::Reported { report, ready_since, hub_since, .. } => {
                self.take_report(report, *ready_since, *hub_since, now)
            }
        }
    }

    fn take_session(&mut self, session: &str) -> bool {
        if self.cloned || self.session.as_deref() == Some(session) {
            return false;
        }
        if self.earlier.iter().any(|earlier| earlier == session) {
            self.cloned = true;
            return true;
        }
        if let Some(before) = self.session.replace(session.to_owned()) {
            self.earlier.insert(0, before);
            self.earlier.truncate(EARLIER_MAX);
        }
        true
    }

    fn come(&mut self, hub: &str, now: Millis) -> bool {
        let here = Presence::Here { hub: hub.to_owned() };
        if self.presence == here {
            return false;
        }
        let was_away = matches!(self.presence, Presence::Away { .. });
        self.presence = here;
        self.heard_at = self.heard_at.max(now);
        let told = self.reported.as_ref().and_then(|reported| reported.report.target);
        // It proves anew that it is well; and what it couldn't know before, its time for that begins now.
        if was_away
            && let Some(reported) = &mut self.reported
            && let Some(ready) = &mut reported.ready_since
        {
            *ready = (*ready).max(now);
        }
        if let Some(target) = self.target.as_mut().filter(|target| told != Some(target.number)) {
            target.at = target.at.max(now);
        }
        true
    }

    fn leave(&mut self, hub: &str, since: Millis) -> bool {
        let is_here = matches!(&self.presence, Presence::Here { hub: at } if at == hub);
        if is_here {
            self.presence = Presence::Away { since };
            self.heard_at = self.heard_at.max(since);
        }
        is_here
    }

    fn take_report(&mut self, report: &Report, ready_since: Option<Millis>, hub_since: Millis, now: Millis) -> bool {
        let is_earlier = self.earlier.contains(&report.session)
            || self
                .reported
                .as_ref()
                .is_some_and(|last| last.report.session == report.session && last.report.sequence >= report.sequence);
        if is_earlier {
            return false;
        }
        let ready_since = if self.recall(report, hub_since, now) { Some(now) } else { ready_since };
        self.reported = Some(Reported { report: bounded(report), at: now, ready_since });
        self.heard_at = self.heard_at.max(now);
        true
    }

    /// Who is well with a target that the store doesn't know of was told it after the backup that the store was made of, and
    /// tells it again: nobody is sent back by what was forgotten.
    fn recall(&mut self, report: &Report, hub_since: Millis, now: Millis) -> bool {
        let Report { target: Some(number), in_force: Some(commit), state: MachineState::Ready, .. } = *report else {
            return false;
        };
        // Numbers are times. A database is put back while no process is on it, and what any told since is in it: a number
        // that is later is made up. Who makes them up would be told for ever what is to be, and its wave wait for it.
        let latest = u64::try_from(hub_since.0).unwrap_or(0).saturating_add(AHEAD_MAX);
        let Some(told) = self.target.as_mut().filter(|_| number > self.numbered && number <= latest) else {
            return false;
        };
        *told = Written { number, commit, at: now, ..*told };
        self.numbered = number;
        true
    }
}

/// What is kept of it with the machine.
fn bounded(report: &Report) -> Report {
    let mut kept = Report { happened: Vec::new(), ..report.clone() };
    kept.troubles.truncate(crate::protocol::TROUBLES_MAX);
    while kept.units.len() > STATES_MAX {
        kept.units.pop_last();
    }
    let texts = kept.troubles.iter_mut().flat_map(|trouble| {
        let crate::protocol::Trouble { unit, state, message } = trouble;
        [unit, state, message]
    });
    for text in texts.chain([&mut kept.message, &mut kept.session, &mut kept.version]) {
        cut(text);
    }
    kept.units = kept.units.into_iter().map(|(state, count)| (word(state), count)).collect();
    kept
}

/// A state of units, of which a few letters are kept.
fn word(mut state: String) -> String {
    if let Some((end, _)) = state.char_indices().nth(STATE_CHARS_MAX) {
        state.truncate(end);
    }
    cut(&mut state);
    state
}

/// Whether a terminal does something else at it than show it: it obeys it, or shows what follows in another order.
fn is_order(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Makes it what is kept of a sentence: of so many characters, each of which is only shown.
pub(super) fn cut(text: &mut String) {
    if text.contains(is_order) {
        let shown = |c: char| {
            if c.is_ascii_whitespace() {
                ' '
            } else if is_order(c) {
                '\u{fffd}'
            } else {
                c
            }
        };
        *text = text.chars().map(shown).collect();
    }
    if let Some((end, _)) = text.char_indices().nth(MESSAGE_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
}
