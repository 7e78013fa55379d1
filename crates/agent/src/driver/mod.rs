//! The loop around the Reconciler. It owns all that changes; everything that takes time is done elsewhere and comes back
//! as a [`Message`].
//!
//! ```text
//!   sources' threads ─ Said ─┐                        ┌─ poll: Command ─► commands: backends, journal
//!   calls ──────────── Back ─┤   take   ┌──────────┐  │
//!   connections ───── Asked ─┼────────► │  Driver  ├──┼─ probes.poll: Try ─► a thread each
//!   backends ───────── hints ┤   turn   │  (core)  │  │
//!   timer ─────── wake_at(s) ┘          └──────────┘  └─ judge: outcomes ─► news ─► who follows
//! ```
//!
//! Invariant: nothing is told to anybody, and no step is ordered, before the record that it rests on is synced.

mod commands;
mod desk;
mod down;
mod early;
mod judge;
mod manage;
mod report;
mod requests;
mod snapshot;
mod sources;
mod work;

pub(crate) use work::{Attending, Inbox, Means, Message, Pause};

use crate::{
    clock::Clock,
    followed::Followed,
    hints::Hints,
    news::Ring,
    probe::{self, Probes},
};
use abide_reconcile::{Event, Limits, Permit, Reconciler, SourceId, Time, spec::kind::SourceSpec};
use commands::Orders;
use early::Early;
use judge::Judge;
use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep_until},
};

/// Messages taken before the core is asked what follows from them.
const BURST: usize = 256;

/// The longest sleep; the core looks at everything more often.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// How far the loop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everything.
    Follow,
    /// No repository is followed.
    Once,
    /// And nothing is ordered.
    Write,
    /// And nothing is written.
    Look,
}

/// Told why an agent can't follow what it is there for.
pub(crate) type InVain = Box<dyn FnOnce(String) + Send>;

/// What the loop is made with.
pub(crate) struct Start {
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) epoch: u64,
    /// How long a commit may take to settle before its followers are told that it failed.
    pub(crate) patience: Time,
    /// The sources that have journals.
    pub(crate) ids: Vec<SourceId>,
    pub(crate) hints: Hints,
    pub(crate) means: Means,
    pub(crate) reach: Reach,
    /// A source that this agent is there for.
    pub(crate) purpose: Option<(SourceId, SourceSpec)>,
    /// Told why that can't be followed, if it can't.
    pub(crate) in_vain: Option<InVain>,
    pub(crate) inbox: Inbox,
    pub(crate) messages: UnboundedReceiver<Message>,
}

/// The loop's state.
pub(crate) struct Driver {
    clock: Clock,
    pub(crate) core: Reconciler,
    pub(crate) followed: BTreeMap<SourceId, Followed>,
    probes: Probes,
    orders: Orders,
    judge: Judge,
    pub(crate) ring: Ring,
    /// What the guard said it would hold, when somebody asked: it may be permitted before the commit comes.
    previewed: VecDeque<Permit>,
    early: Early,
    listeners: u64,
    /// A source wishes something else since reporters were told what the others wish.
    wishes_changed: bool,
    patience: Time,
    reach: Reach,
    /// A source that has yet to be registered, as this agent is there for it.
    purpose: Option<(SourceId, SourceSpec)>,
    in_vain: Option<InVain>,
    means: Arc<Means>,
    inbox: Inbox,
}

/// The loop and what it hears.
pub(crate) struct Loop {
    pub(crate) driver: Driver,
    messages: UnboundedReceiver<Message>,
    hints: Hints,
    ids: Vec<SourceId>,
}

impl Loop {
    pub(crate) fn new(start: Start) -> Self {
        let limits = match start.reach {
            Reach::Follow | Reach::Once => start.limits,
            Reach::Write | Reach::Look => Limits { orders_max: 0, prepares_max: 0, ..start.limits },
        };
        let driver = Driver {
            core: Reconciler::new(limits, start.epoch),
            followed: BTreeMap::new(),
            probes: Probes::new(start.epoch),
            orders: Orders::default(),
            judge: Judge::default(),
            ring: Ring::new(),
            previewed: VecDeque::new(),
            early: Early::new(start.clock.now()),
            listeners: 0,
            wishes_changed: false,
            patience: start.patience,
            reach: start.reach,
            purpose: start.purpose,
            in_vain: start.in_vain,
            means: Arc::new(start.means),
            inbox: start.inbox,
            clock: start.clock,
        };
        Self { driver, messages: start.messages, hints: start.hints, ids: start.ids }
    }

    /// The way in.
    pub(crate) fn inbox(&self) -> Inbox {
        self.driver.inbox.clone()
    }

    /// Goes on until `stop`.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        self.driver.restore(std::mem::take(&mut self.ids));
        loop {
            let wake = self.driver.turn();
            tokio::select! {
                () = &mut stop => break,
                Some(message) = self.messages.recv() => self.driver.take(message),
                units = self.hints.take() => {
                    let now = self.driver.clock.now();
                    self.driver.core.handle(now, Event::Changed(units));
                }
                () = sleep_until(wake) => {}
            }
            for _ in 0..BURST {
                let Ok(message) = self.messages.try_recv() else { break };
                self.driver.take(message);
            }
        }
        self.driver.leave();
    }
}

impl Driver {
    fn take(&mut self, message: Message) {
        self.judge.has_news();
        match message {
            Message::Back(then) => then(self),
            Message::Said { source, listener, look, result } => self.said(&source, listener, look, result),
            Message::Advanced { ticket, unit, progress } => self.advanced(ticket, &unit, &progress),
            Message::Fetching { source, progress } => self.fetching(&source, &progress),
            Message::Asked(asked) => self.asked_early(asked),
            Message::Whose { source, answer } => {
                let followed = self.followed.values().find(|followed| followed.id.0.as_str() == source);
                let spec = followed.and_then(|followed| followed.state.registered.as_ref());
                // Who hung up needs no answer.
                drop(answer.send(spec.map(|(spec, _)| spec.clone())));
            }
        }
    }

    /// Does what follows from what was heard, and tells when to do so again if nothing is heard before.
    fn turn(&mut self) -> Instant {
        let now = self.clock.now();
        self.go_on(now);
        // Before anybody is answered: nothing else may happen for long.
        self.note_restored();
        self.follow_purpose();
        self.try_probes(now);
        self.judge_all(now);
        self.answer_early(now);
        // An answer may have told the core something, and what came into force may be what a newer commit waited for.
        self.go_on(now);
        self.tell_reporters();
        self.wake_at(now)
    }

    fn go_on(&mut self, now: Time) {
        self.tell_waiting();
        while let Some(command) = self.core.poll(now) {
            self.judge.has_news();
            self.obey(command);
        }
    }

    fn try_probes(&mut self, now: Time) {
        while let Some(tried) = self.probes.poll(now) {
            let which = tried.which;
            self.call(
                move |means| {
                    probe::check::check(&tried, &*means.inspector).inspect_err(|unwell| {
                        tracing::debug!(unit = %tried.unit, %unwell, "a probe failed");
                    })
                },
                move |driver, result| {
                    let now = driver.clock.now();
                    if let Some(unit) = driver.probes.end(now, which, result.is_ok()) {
                        driver.core.handle(now, Event::Changed([unit].into()));
                    }
                },
            );
        }
    }

    /// `turned` is the time that the core was asked with: what became due since then is due at once.
    fn wake_at(&self, turned: Time) -> Instant {
        let now = self.clock.now();
        let all = [
            self.core.wake_at(turned),
            self.probes.wake_at(),
            self.judge.wake_at(),
            self.patience_ends(),
            self.early.wake_at(),
        ];
        let wait = all.into_iter().flatten().min().map_or(SLEEP_MAX, |at| at.saturating_sub(now));
        Instant::now() + wait.min(SLEEP_MAX)
    }

    /// What is under way is told that nobody waits for it any more.
    fn leave(&mut self) {
        self.orders.cancel_all();
        self.followed.values_mut().for_each(|followed| followed.listener = None);
    }
}
