//! The task that follows the hub: it asks for the target, sees to the certificate, and says when nobody answers.
//!
//! ```text
//!        ┌─────────────────────── whole wait, no news ──────────────────┐
//!        ▼                                                              │
//!   renewal due? ─► poll ─┬─ target ─► taker                            │
//!        ▲                ├─ cut by a proxy ─► a shorter wait from now on ┤
//!        │                └─ no answer, or a refusal ─► pause ──────────┘
//!        └ a renewed certificate is on trial until the hub has answered who showed it
//! ```

use super::{
    board::Board,
    clock::Clock,
    enroll,
    identity::{Folder, Identity},
    line::Line,
    pace::{self, BackOff, Wait},
    taker::TOLD_AFTER,
    trouble::{Trouble, with_causes},
    voice::Voice,
    words,
};
use crate::protocol::{PROTOCOL, Poll, Target};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

/// The longest pause after a certificate could not be renewed, or was not let in: some of the time that it is still good.
const RENEW_AGAIN: Duration = Duration::from_secs(3600);

/// And the shortest, as when it has expired: nothing else can be done.
const RENEW_AT_ONCE: Duration = Duration::from_secs(60);

/// The least time from one renewal to the next: certificates that last for ten seconds are the shortest that a hub makes.
const RENEWALS_APART_MIN: Duration = Duration::from_secs(5);

/// How long a hub is waited for that is merely to answer.
const WAIT_SHORT: Duration = Duration::from_secs(1);

/// Follows the hub.
pub(super) struct Follower {
    pub(super) line: Arc<Line>,
    pub(super) folder: Folder,
    pub(super) identity: Identity,
    /// The identity that the line shows in the other's place.
    pub(super) trial: Option<Identity>,
    pub(super) clock: Arc<Clock>,
    pub(super) board: Arc<Board>,
    pub(super) voice: Arc<Voice>,
    pub(super) targets: watch::Sender<Option<Target>>,
    pub(super) wake: Arc<Notify>,
    pub(super) session: String,
    pub(super) version: String,
    pub(super) pace: Pace,
}

/// What it has learned of the hub.
#[derive(Debug, Default)]
pub(super) struct Pace {
    knows: Option<u64>,
    wait: Wait,
    back_off: BackOff,
    /// The hub has yet to be heard, at all or again.
    is_heard: bool,
    /// The agent was told that the hub can't be asked.
    is_told: bool,
    /// Before that, no other target is asked for.
    next_at: Option<Instant>,
    renew_after: Option<Instant>,
    renewal: Option<String>,
}

impl Pace {
    /// There is another target: how long not to ask for the next one. A hub that has ever another one is not asked at the
    /// speed of the line.
    fn until_next(&mut self, now: Instant) -> Duration {
        let next_at = self.next_at.map_or(now, |at| now.max(at + pace::TARGETS_APART));
        self.next_at = Some(next_at);
        next_at - now
    }
}

impl Follower {
    /// Goes on until it is dropped.
    pub(super) async fn run(mut self) {
        let wake = Arc::clone(&self.wake);
        loop {
            let pause = tokio::select! {
                pause = self.turn() => pause,
                // Somebody wants to know now: whatever the target is, it is news to him.
                () = wake.notified() => {
                    self.pace.knows = None;
                    Duration::ZERO
                }
            };
            tokio::select! { () = sleep(pause) => {}, () = wake.notified() => self.pace.knows = None }
        }
    }

    /// Asks once, and says how long to leave the hub alone then.
    async fn turn(&mut self) -> Duration {
        self.renew_if_due().await;
        // Whether a certificate is let in is to be known soon, and that the hub is there, or is again.
        let is_short = self.trial.is_some() || !self.pace.is_heard;
        // And no certificate is to expire while the hub is waited for.
        let wait = if is_short { WAIT_SHORT } else { self.pace.wait.now().min(self.renews_in()) };
        let poll = Poll {
            protocol: PROTOCOL,
            version: self.version.clone(),
            session: self.session.clone(),
            knows: self.pace.knows,
            wait: u32::try_from(wait.as_secs()).unwrap_or(u32::MAX),
        };
        let begin = Instant::now();
        let client = self.line.client();
        let polled = client.poll(&poll).await;
        let took = begin.elapsed();
        let was_trial = self.trial.is_some();
        self.prove_trial(&polled);
        match polled {
            // The certificate before it is asked with at once.
            Err(_) if was_trial => Duration::ZERO,
            Ok(target) => {
                self.heard();
                let is_whole = took >= wait / 2;
                match target {
                    Some(target) if self.pace.knows != Some(target.number) => {
                        self.news(target);
                        self.pace.until_next(Instant::now())
                    }
                    _ if is_short => Duration::ZERO,
                    _ if is_whole => {
                        if wait == self.pace.wait.now() {
                            self.pace.wait.whole();
                        }
                        Duration::ZERO
                    }
                    // It says nothing, and doesn't wait either.
                    _ => self.pace.back_off.fail(pace::draw()),
                }
            }
            Err(trouble) if trouble.is_cut() && self.pace.wait.is_cut_by(took) => {
                self.pace.wait.cut();
                // Whoever else was cut comes again as well.
                let mut back_off = self.pace.back_off;
                back_off.fail(pace::draw())
            }
            Err(trouble) => self.lost(&trouble),
        }
    }

    fn news(&mut self, target: Target) {
        self.pace.knows = Some(target.number);
        self.pace.back_off.spread(Duration::from_secs(target.spread.into()));
        self.targets.send_replace(Some(target));
    }

    fn heard(&mut self) {
        self.line.contact().heard();
        self.pace.back_off.reset();
        if !std::mem::replace(&mut self.pace.is_heard, true) {
            self.board.heard();
        }
        if std::mem::take(&mut self.pace.is_told) {
            self.voice.found();
        }
    }

    /// Nobody answered, or with a no.
    fn lost(&mut self, trouble: &Trouble) -> Duration {
        let draw = pace::draw();
        let pause = self.pace.back_off.fail(draw);
        self.pace.is_heard = false;
        let is_outside = trouble.is_outside();
        if is_outside || self.pace.back_off.failures() >= TOLD_AFTER {
            let mut why = words::of(trouble, &self.identity);
            if self.clock.hub() >= self.identity.expires_at {
                why += &words::expired(&self.identity, self.pace.renewal.as_deref());
            }
            self.pace.is_told = true;
            self.voice.lost(why);
        }
        match trouble.after() {
            Some(said) => pace::after(said, draw),
            None if is_outside => pace::outside(draw),
            None => pause,
        }
    }

    /// Gets a new certificate when the present one is old by the hub's clock. An expired one is shown all the same: the
    /// hub may have patience.
    async fn renew_if_due(&mut self) {
        let now = self.clock.hub();
        let is_tried = self.pace.renew_after.is_some_and(|after| Instant::now() < after);
        if self.trial.is_some() || now < self.identity.renew_at || is_tried {
            return;
        }
        let client = self.line.client();
        let renewed = match enroll::renewed(&client, &self.identity).await {
            Ok(renewed) => self.folder.write_next(&renewed).map(|()| renewed).map_err(Into::into),
            Err(error) => Err(error),
        };
        let shown = renewed.and_then(|renewed| Ok((enroll::client_of(&renewed, &self.clock)?, renewed)));
        match shown {
            Ok((client, renewed)) => {
                self.pace.renewal = None;
                // From when it was issued on: one that was left from before the agent's start may be over sooner.
                self.pace.renew_after = Some(Instant::now() + renewals_apart(&renewed));
                self.line.show(client);
                self.trial = Some(renewed);
            }
            Err(error) => self.not_renewed(with_causes(&error)),
        }
    }

    /// When the certificate is to be renewed, or that is to be tried again.
    fn renews_in(&self) -> Duration {
        let due =
            Duration::from_secs(u64::try_from(self.identity.renew_at.saturating_sub(self.clock.hub())).unwrap_or(0));
        let again = self.pace.renew_after.map(|after| after.saturating_duration_since(Instant::now()));
        due.max(again.unwrap_or_default()).max(WAIT_SHORT)
    }

    fn not_renewed(&mut self, why: String) {
        let until = words::date(self.identity.expires_at);
        if self.pace.renewal.as_ref() != Some(&why) {
            tracing::warn!(why, until, "the machine's certificate was not renewed; it is tried again");
        }
        let left =
            Duration::from_secs(u64::try_from(self.identity.expires_at.saturating_sub(self.clock.hub())).unwrap_or(0));
        let after = (left / 4).clamp(RENEW_AT_ONCE, RENEW_AGAIN);
        self.pace.renew_after = Some(Instant::now() + after.mul_f64(0.5 + pace::draw() / 2.0));
        self.pace.renewal = Some(why);
    }

    /// The first answer shows whether the renewed certificate works. If not, the one before does, for as long as it lasts.
    fn prove_trial(&mut self, polled: &Result<Option<Target>, Trouble>) {
        let Some(renewed) = self.trial.take() else { return };
        let folder = self.folder.clone();
        let is_let_in = match polled {
            Ok(_) => true,
            // Whatever it says, it says it to somebody whom it knows.
            Err(trouble @ Trouble::Refused(..)) => !trouble.is_outside(),
            Err(_) => false,
        };
        let kept = if is_let_in { folder.take_next() } else { folder.drop_next() };
        if let Err(error) = kept {
            tracing::warn!(why = with_causes(&error), "the machine's identity can't be kept");
        }
        if is_let_in {
            let until = words::date(renewed.expires_at);
            tracing::info!(until, "the machine's certificate was renewed");
            self.identity = renewed;
            return;
        }
        match enroll::client_of(&self.identity, &self.clock) {
            Ok(client) => self.line.show(client),
            Err(error) => tracing::error!(why = with_causes(&error), "the machine's identity can't be used"),
        }
        self.not_renewed("the hub did not let the renewed certificate in".to_owned());
    }
}

/// How long a renewed certificate is kept, whatever the hub's clock shows: one that lies, or a certificate that ends soon as
/// what is above it does, would be a renewal after the other. By the machine's own clock, which nobody sets.
fn renewals_apart(renewed: &Identity) -> Duration {
    let until_next = u64::try_from(renewed.renew_at.saturating_sub(renewed.issued_at)).unwrap_or(0);
    Duration::from_secs(until_next / 2).clamp(RENEWALS_APART_MIN, RENEW_AGAIN)
}
