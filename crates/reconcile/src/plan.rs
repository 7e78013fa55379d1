//! The plan: per unit what comes next, or why nothing does.

use crate::{
    id::{SourceId, Time},
    order::Step,
    seen::Permit,
    want::Claim,
};
use abide_spec::{Digest, Name, UnitId, kind::Condition};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What comes next for a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is as wished.
    Settled,
    /// This.
    Step(Step),
    /// Nothing, for now.
    Wait(Why),
}

/// Why a unit that is not as wanted has no step now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// An order for it is under way, or ended after the unit was last looked at.
    Changing,
    /// A dependency isn't there yet.
    Needs(UnitId, Condition),
    /// It goes only after this unit, which uses it and goes too.
    UsedBy(UnitId),
    /// Another unit has what it needs.
    Claimed(Claim, UnitId),
    /// Its removal waits for a person; [`Plan::held`] and [`Plan::late`] say what to permit.
    Permission(SourceId),
    /// Its owner does not say at the moment whether it may go.
    OwnerSilent(SourceId),
    /// The last order failed, and may work another time.
    Retry {
        /// Failures in a row.
        failures: u32,
        /// When it is tried again.
        at: Time,
        /// What the last one said.
        why: Arc<str>,
    },
    /// The last order failed, and there is no use in trying again.
    Broken(Arc<str>),
    /// It exited; the next start is at that time.
    CrashLoop {
        /// Exits in a row.
        attempt: u32,
        /// With which code.
        code: i32,
        /// When it is started again.
        at: Time,
    },
    /// It ended with this code, and is not to be started again.
    Failed(i32),
    /// Its readiness probe doesn't say yes.
    NotReady,
    /// Ready, but not for long enough to be trusted.
    Proving(Time),
    /// Out of reach since then.
    Away(Time),
    /// This wanted version is bad; the last good one runs instead.
    Rejected(Digest),
    /// It gets the version that is wished when this wave of its group has passed.
    Wave {
        /// Its group.
        group: Name,
        /// Which wave is waited for; the first is 1.
        wave: usize,
        /// Of how many.
        of: usize,
    },
    /// It serves with the version that is wished, and its wave has yet to pass.
    Soaking {
        /// Its group.
        group: Name,
        /// Its wave; the first is 1.
        wave: usize,
        /// Of how many.
        of: usize,
    },
    /// As many members of its group as may be are unavailable.
    Budget {
        /// Its group.
        group: Name,
    },
    /// Nobody in its group takes a new version for the time being.
    Paused {
        /// Its group.
        group: Name,
    },
    /// Too many members of this wave turned out bad: nobody in the group takes the version that is wished any more.
    Stopped {
        /// Its group.
        group: Name,
        /// Which wave; the first is 1.
        wave: usize,
        /// Of how many.
        of: usize,
    },
}

/// What stands between the world and the wishes. Settled units are not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What would be ordered next.
    pub steps: BTreeMap<UnitId, Step>,
    /// Who waits for what.
    pub waiting: BTreeMap<UnitId, Why>,
    /// Wishes that are not in force before somebody permits their removals.
    pub held: BTreeMap<SourceId, Permit>,
    /// Removals that turned up after their wish was put in force, and wait for somebody likewise.
    pub late: BTreeMap<SourceId, Permit>,
}

impl Why {
    /// In words, at this time.
    pub fn at(&self, now: Time) -> impl fmt::Display + '_ {
        Worded { why: self, now }
    }
}

struct Worded<'a> {
    why: &'a Why,
    now: Time,
}

impl fmt::Display for Worded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = |at: &Time| at.saturating_sub(self.now).as_secs_f32();
        match self.why {
            Why::Changing => f.write_str("is being changed"),
            Why::Needs(unit, need) => {
                let state = match need {
                    Condition::Started => "to be started",
                    Condition::Ready => "to be ready",
                    Condition::Completed => "to be completed",
                };
                write!(f, "waits for {}/{} {state}", unit.kind, unit.name)
            }
            Why::UsedBy(unit) => write!(f, "goes after {}/{}, which uses it", unit.kind, unit.name),
            Why::Claimed(claim, unit) => write!(f, "waits for {claim}, which {unit} has"),
            Why::Permission(_) => f.write_str("held by the guard"),
            Why::OwnerSilent(source) => write!(f, "left alone while source {source} says nothing"),
            Why::Retry { at, why, .. } => write!(f, "tries again in {:.0} s: {why}", left(at).ceil()),
            Why::Broken(why) => write!(f, "given up until it changes, or `abide retry`: {why}"),
            Why::CrashLoop { attempt, code, at } => {
                write!(f, "exited with {code}, {attempt} in a row; starts again in {:.0} s", left(at).ceil())
            }
            Why::Failed(code) => write!(f, "ended with {code}, and its restartPolicy is Never"),
            Why::NotReady => f.write_str("runs, but is not ready"),
            Why::Proving(_) => f.write_str("is ready, and has yet to prove itself"),
            Why::Away(_) => f.write_str("out of reach"),
            Why::Rejected(version) => {
                write!(f, "taken back: version {:.8} is bad, the last good one runs", version.to_string())
            }
            Why::Wave { group, wave, of } => write!(f, "waits for wave {wave} of {of} of {group}"),
            Why::Soaking { group, wave, of } => {
                write!(f, "is ready, and wave {wave} of {of} of {group} has yet to prove itself")
            }
            Why::Budget { group } => write!(f, "waits for its turn in {group}"),
            Why::Paused { group } => write!(f, "{group} is paused"),
            Why::Stopped { group, wave, of } => {
                write!(f, "{group} is stopped: too many of wave {wave} of {of} turned out bad")
            }
        }
    }
}
