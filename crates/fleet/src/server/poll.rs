//! What a machine is to be on: told when it asks, or as soon as there is another while it waits.

use super::{
    Inner,
    admit::{self, Admission, Session, Shown, session},
    answer::{Answer, Refused, json, nothing, refused},
    authority::Identity,
    objects::Help,
    recorder::NotRecorded,
    roster::Visit,
    route::Place,
};
use crate::{
    protocol::{PROTOCOL, Poll, RefusalCode, Target},
    store::{Fact, Machine, Presence},
};
use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// How soon it is looked again whether another process of the hub has brought what this one lacks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Machines that may come back in one second: a handshake costs about a millisecond of a processor.
const COMING_BACK: usize = 250;

/// Characters of a session: it is drawn at random, and kept.
const SESSION_CHARS_MAX: usize = 64;

pub(super) async fn poll(
    inner: &Arc<Inner>,
    shown: Shown<'_>,
    machine: Arc<Machine>,
    asked: Poll,
    place: Place,
) -> Result<Answer, Refused> {
    let identity = shown.identity;
    if asked.protocol == 0 || asked.protocol > PROTOCOL || asked.protocol + 1 < PROTOCOL {
        let why = format!(
            "this hub speaks version {PROTOCOL} of the protocol and the one before, and {} asks in version {}: use a release of abide that is closer to the hub's",
            identity.name.as_str(),
            asked.protocol
        );
        return Err(refused(RefusalCode::Protocol, why));
    }
    if asked.session.is_empty() || asked.session.len() > SESSION_CHARS_MAX {
        return Err(refused(RefusalCode::BadRequest, "`session` is drawn at random at each start: 1 to 64 characters"));
    }
    inner.counters.polls.fetch_add(1, Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(asked.wait.into()).min(inner.limits.wait);
    if session(&machine, &asked.session) == Session::Earlier {
        return earlier(inner, identity, asked.session, until, place).await;
    }
    let Some(visit) = inner.roster.enter(&identity.name) else { return Ok(nothing()) };
    record(inner, here(&machine, &asked.session, &inner.hub)).await?;
    drop(place);
    news(inner, shown, &asked, until, &visit).await
}

/// What has to be written before a machine is served: nothing, as a rule.
pub(super) fn here(machine: &Machine, session: &str, hub: &str) -> Vec<Fact> {
    let name = machine.name.clone();
    let mut facts = Vec::new();
    if machine.session.as_deref() != Some(session) {
        facts.push(Fact::Session { name: name.clone(), session: session.to_owned() });
    }
    if machine.presence != (Presence::Here { hub: hub.to_owned() }) {
        facts.push(Fact::Here { name, hub: hub.to_owned() });
    }
    facts
}

pub(super) async fn record(inner: &Inner, facts: Vec<Fact>) -> Result<(), Refused> {
    inner.recorder.record(facts).await.map_err(|why| match why {
        NotRecorded::Full => refused(RefusalCode::Busy, "this hub has more to write than it can: try again later"),
        NotRecorded::Failed => refused(RefusalCode::Unavailable, "the hub's database doesn't answer: try again later"),
    })
}

/// Waits until there is a target that the machine doesn't know.
async fn news(inner: &Inner, shown: Shown<'_>, asked: &Poll, until: Instant, visit: &Visit) -> Result<Answer, Refused> {
    let identity = shown.identity;
    let name = &identity.name;
    let mut ending = inner.ending.subscribe();
    // It was written just now that it is here, if that wasn't known; what was written comes back in a moment.
    let mut said = Instant::now();
    loop {
        let mut look_again = until;
        let mut notified = pin!(visit.news.notified());
        // From here on nothing that is written is missed.
        notified.as_mut().enable();
        let Some(machine) = inner.roster.known(name) else { return Ok(nothing()) };
        match admit::admit(shown, &identity.fleet, Some(&machine)) {
            Admission::Known | Admission::Adopt => {}
            // It was renewed, and asks with its new certificate by now.
            Admission::Doubted => return Ok(nothing()),
            Admission::Refused(code, why) => return Err(refused(code, why)),
        }
        // Its agent was started again: nobody reads this any more, or else it will be told when it asks the next time.
        if session(&machine, &asked.session) == Session::Earlier {
            return Ok(nothing());
        }
        // It was held to be away, by mistake or on its way here: so it counts for nobody until that is put right, and is told
        // nothing before.
        if matches!(machine.presence, Presence::Away { .. }) {
            if Instant::now() >= said + LOOK_AGAIN {
                record(inner, vec![Fact::Here { name: name.clone(), hub: inner.hub.clone() }]).await?;
                said = Instant::now();
            }
            look_again = said + LOOK_AGAIN;
        } else if let Some(target) = machine.target.as_ref().filter(|target| Some(target.number) != asked.knows) {
            let from = machine.reported.as_ref().and_then(|reported| reported.report.in_force);
            if let Some(help) = inner.objects.help(&identity.fleet, from, target.commit).await {
                inner.counters.told.fetch_add(1, Ordering::Relaxed);
                let Help { tag, rotations } = (*help).clone();
                let (number, commit, spread) = (target.number, target.commit, spread(inner.roster.len()));
                return Ok(json(&Target { number, commit, tag, rotations, spread }));
            }
            tracing::debug!(machine = name.as_str(), commit = %target.commit, "what it needs isn't here yet");
            inner.look();
            // No row changes when it comes.
            look_again = Instant::now() + LOOK_AGAIN;
        }
        tokio::select! {
            () = notified => {}
            () = sleep_until(until.min(look_again)) => if Instant::now() >= until { return Ok(nothing()) },
            _ = ending.wait_for(|ending| *ending) => return Ok(nothing()),
        }
    }
}

/// Over how many seconds so many machines are to come back, should they all lose this hub at once.
fn spread(machines: usize) -> u32 {
    u32::try_from(machines / COMING_BACK).unwrap_or(u32::MAX).clamp(1, 60)
}

/// A session asks that another one took the place of. What was under way when an agent was started again is forgiven; who
/// asks after a while is there all the time.
async fn earlier(
    inner: &Inner,
    identity: &Identity,
    session: String,
    until: Instant,
    place: Place,
) -> Result<Answer, Refused> {
    let name = &identity.name;
    let left = inner.limits.takeover.saturating_sub(inner.roster.session_for(name, std::time::Instant::now()));
    if !left.is_zero() {
        drop(place);
        sleep_until(until.min(Instant::now() + left)).await;
        return Ok(nothing());
    }
    record(inner, vec![Fact::Session { name: name.clone(), session }, Fact::Cloned { name: name.clone() }]).await?;
    tracing::warn!(
        machine = name.as_str(),
        "two machines use this identity: neither is served until it is revoked and both are enrolled anew"
    );
    Err(refused(RefusalCode::Cloned, admit::cloned(name.as_str())))
}
