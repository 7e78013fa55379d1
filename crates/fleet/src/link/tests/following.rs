//! Following a hub: the whole link, but for who judges.

use super::{
    asking::target,
    hub::{Answer, Asked, Http, Hub, document, now, own, refusal},
    pass,
};
use crate::{
    link::{
        Folder, Identity, Link,
        remote::Remote,
        taker::{Judge, NotTaken, Taken},
    },
    protocol::{MachineState, Poll, RefusalCode, Report, Target},
};
use abide_agent::{Opened, Reporter, SourceReport, SourceState};
use abide_reconcile::{Attend, Complete, Fault, Progress, Revision, Wish};
use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    runtime::Handle,
    sync::{
        Notify,
        mpsc::{UnboundedReceiver, unbounded_channel},
    },
    time::{Instant, sleep},
};

/// Takes what isn't `f…`.
#[derive(Default)]
pub(super) struct Simple {
    /// How often it fails first.
    fails: Mutex<u32>,
    took: Notify,
}

fn empty(commit: &str) -> Revision {
    let complete = Complete::new([]).unwrap();
    let wish = Wish::Complete(Arc::new(complete));
    Revision { commit: commit.to_owned(), summary: "all".to_owned(), wish, files: BTreeMap::new() }
}

impl Judge for Simple {
    fn is_earlier(&self, target: &Target) -> bool {
        target.number < 5
    }

    fn take(&self, target: &Target, _: &Remote, _: &dyn Attend) -> Result<Taken, NotTaken> {
        self.took.notify_one();
        if target.commit.to_string().starts_with('e') {
            return Err(NotTaken::Earlier);
        }
        let mut fails = self.fails.lock().unwrap();
        if *fails > 0 {
            *fails -= 1;
            return Err(NotTaken::Again("the hub lacks it".to_owned()));
        }
        let commit = target.commit.to_string();
        if commit.starts_with('f') {
            return Err(NotTaken::Refused(format!("commit {commit:.12} is a fork")));
        }
        Ok(Taken { revision: empty(&commit), committed_at: Some(1_700_000_000) })
    }
}

/// A machine that follows the hub.
pub(super) struct Machine {
    said: UnboundedReceiver<Result<Revision, Fault>>,
    reporter: Arc<dyn Reporter>,
    contact: Box<dyn Fn() -> abide_agent::api::Contact + Send>,
    wake: Arc<dyn Fn() + Send + Sync>,
    gone: Arc<AtomicBool>,
}

struct Until(Arc<AtomicBool>);

impl Attend for Until {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Machine {
    pub(super) fn start(folder: &Folder, identity: &Identity, judge: Arc<dyn Judge>) -> Self {
        let link = Link::new(Handle::current(), "0.1.0", own()).unwrap();
        let Opened { mut source, wake, reporter, contact } =
            link.begin(folder.clone(), identity.clone(), judge).unwrap();
        let gone = Arc::new(AtomicBool::new(false));
        let attend = Until(Arc::clone(&gone));
        let (say, said) = unbounded_channel();
        thread::spawn(move || {
            loop {
                match source.next(&attend) {
                    Err(Fault::Cancelled) => return,
                    other => drop(say.send(other)),
                }
            }
        });
        let (reporter, contact) = (reporter.unwrap(), contact.unwrap());
        Self { said, reporter, contact, wake: wake.into(), gone }
    }

    pub(super) async fn says(&mut self) -> Result<String, String> {
        match self.said.recv().await.unwrap() {
            Ok(Revision { commit, wish: Wish::Complete(_), .. }) => Ok(commit),
            Ok(Revision { commit, wish, .. }) => Ok(format!("{commit:.4} {wish:?}")),
            Err(fault) => Err(fault.to_string()),
        }
    }

    /// The agent has done what it was told.
    fn is_on(&self, commit: &str) {
        let commit = Some(commit.to_owned());
        let (told, in_force) = (commit.clone(), commit);
        let state = SourceState::Following;
        self.reporter.source(SourceReport { told, in_force, state, message: String::new(), held: None });
        self.reporter.everything(BTreeMap::new());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        (self.wake)();
    }
}

pub(super) fn is_poll(asked: &Asked) -> bool {
    asked.path == "/v1/poll"
}

/// Lets pauses pass until something comes: a second in some milliseconds, so that what is really done has its time.
pub(super) async fn passing_until<T>(coming: impl Future<Output = T>) -> T {
    let mut coming = pin!(coming);
    loop {
        tokio::select! {
            came = &mut coming => return came,
            () = sleep(Duration::from_millis(20)) => pass(1).await,
        }
    }
}

/// Says a target once, and then nothing.
fn says(target: Target) -> impl FnMut(&Asked) -> Answer {
    move |asked| match asked.path.as_str() {
        "/v1/poll" if asked.read::<Poll>().knows != Some(target.number) => document(&target),
        "/v1/poll" => Answer::Nothing(asked.read::<Poll>().wait.into()),
        _ => Answer::Nothing(0),
    }
}

fn report_of(state: MachineState) -> impl Fn(&[Asked]) -> Option<Report> {
    move |asked| {
        let reports = asked.iter().filter(|asked| asked.path == "/v1/report").map(Asked::read::<Report>);
        reports.into_iter().find(|report| report.state == state)
    }
}

/// A machine that is on the hub's seventh target, `a…`.
struct Story {
    hub: Hub,
    machine: Machine,
    /// What it reported then.
    first: Report,
    _directory: TempDir,
}

impl Story {
    async fn begin() -> Self {
        Self::over(Http::Two).await
    }

    async fn over(http: Http) -> Self {
        let hub = Hub::start(http).await;
        let (directory, folder, identity) = hub.machine(now());
        hub.answers(says(target(7, 'a')));
        let mut machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
        assert_eq!(machine.says().await, Ok("a".repeat(40)));
        machine.is_on(&"a".repeat(40));
        let first = hub.until(report_of(MachineState::Ready)).await;
        Self { hub, machine, first, _directory: directory }
    }
}

#[tokio::test]
async fn a_target_is_taken_said_and_reported() {
    for http in [Http::One, Http::Two] {
        let Story { hub, machine, first: report, _directory } = Story::over(http).await;
        assert_eq!((report.target, report.in_force), (Some(7), Some(target(7, 'a').commit)));
        assert_eq!(report.session, hub.asked("/v1/poll")[0].read::<Poll>().session);
        let contact = (machine.contact)();
        assert!(contact.heard_at.is_some() && contact.committed_at == Some(1_700_000_000), "{contact:?}");
    }
}

#[tokio::test]
async fn what_is_refused_is_said_and_reported() {
    let hub = Hub::start(Http::Two).await;
    let (_directory, folder, identity) = hub.machine(now());
    hub.answers(says(target(7, 'f')));
    let mut machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
    assert_eq!(machine.says().await, Ok(r#"ffff Refused("commit ffffffffffff is a fork")"#.to_owned()));
    machine.is_on(&"a".repeat(40));
    let report = hub.until(report_of(MachineState::Refused)).await;
    assert_eq!((report.message.as_str(), report.target), ("commit ffffffffffff is a fork", Some(7)));
    assert_eq!(report.happened[0].text, format!("refused commit {}: commit ffffffffffff is a fork", "f".repeat(40)));
}

#[tokio::test]
async fn what_was_said_earlier_is_the_target_only_where_it_goes_forward() {
    let Story { hub, mut machine, _directory, .. } = Story::begin().await;
    for (told, digit) in [(3, 'e'), (4, 'b')] {
        hub.answers(says(target(told, digit)));
        (machine.wake)();
        let knows = |asked: &[Asked]| asked.iter().any(|ask| is_poll(ask) && ask.read::<Poll>().knows == Some(told));
        passing_until(hub.until(|asked| knows(asked).then_some(()))).await;
    }
    assert_eq!(machine.says().await, Ok("b".repeat(40)), "the agent hears of no earlier one");
    machine.is_on(&"b".repeat(40));
    let told = |number: u64| {
        move |asked: &[Asked]| {
            let reports = asked.iter().filter(|asked| asked.path == "/v1/report").map(Asked::read::<Report>);
            let told: Vec<_> = reports.map(|report| report.target).collect();
            told.contains(&Some(number)).then_some(told)
        }
    };
    assert!(!passing_until(hub.until(told(4))).await.contains(&Some(3)), "nor does the hub, which is to learn of 7");
}

/// A hub that has another target each time it is asked, or somebody in its place.
#[tokio::test]
async fn targets_come_no_faster_than_one_a_second() {
    let hub = Hub::start(Http::Two).await;
    let (_directory, folder, identity) = hub.machine(now());
    let at: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&at);
    hub.answers(move |asked| match asked.path.as_str() {
        "/v1/poll" => {
            let mut seen = seen.lock().unwrap();
            seen.push(Instant::now());
            document(&target(10 + seen.len() as u64, 'a'))
        }
        _ => Answer::Nothing(0),
    });
    let _machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
    let many = |asked: &[Asked]| (asked.iter().filter(|asked| is_poll(asked)).count() >= 8).then_some(());
    passing_until(hub.until(many)).await;
    let at = at.lock().unwrap();
    // Nothing is waited for before the second one.
    assert!(at[7] - at[0] >= Duration::from_millis(5_900), "{at:?}");
}

#[tokio::test]
async fn what_is_incomplete_is_tried_again() {
    let hub = Hub::start(Http::Two).await;
    let (_directory, folder, identity) = hub.machine(now());
    hub.answers(says(target(7, 'a')));
    let judge = Arc::new(Simple { fails: Mutex::new(2), ..Simple::default() });
    let mut machine = Machine::start(&folder, &identity, Arc::clone(&judge) as Arc<_>);
    judge.took.notified().await;
    passing_until(judge.took.notified()).await;
    assert_eq!(machine.says().await, Err("the hub lacks it".to_owned()));
    passing_until(judge.took.notified()).await;
    assert_eq!(machine.says().await, Ok("a".repeat(40)));
}

#[tokio::test]
async fn a_proxy_that_cuts_is_found_out() {
    let hub = Hub::start(Http::One).await;
    let (_directory, folder, identity) = hub.machine(now());
    let known = target(7, 'a');
    hub.answers(move |asked| match asked.path.as_str() {
        "/v1/poll" => match asked.read::<Poll>() {
            Poll { knows: None, .. } => document(&known),
            Poll { wait, .. } if wait > 60 => Answer::Cut(60),
            Poll { wait, .. } => Answer::Nothing(wait.into()),
        },
        _ => Answer::Nothing(0),
    });
    let mut machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
    assert_eq!(machine.says().await, Ok("a".repeat(40)));
    let polls = |count: usize| {
        move |asked: &[Asked]| {
            let waits: Vec<u32> =
                asked.iter().filter(|asked| is_poll(asked)).map(|ask| ask.read::<Poll>().wait).collect();
            (waits.len() == count).then_some(waits)
        }
    };
    for count in 2..6 {
        hub.until(polls(count)).await;
        pass(60).await;
        passing_until(hub.until(polls(count + 1))).await;
    }
    assert_eq!(hub.until(polls(6)).await[1..], [480, 240, 120, 60, 60]);
    assert!(machine.said.try_recv().is_err(), "that is no trouble");
}

#[tokio::test]
async fn a_hub_that_is_away_is_told_of_and_then_its_return() {
    let Story { hub, mut machine, first, _directory } = Story::begin().await;
    hub.answers_each([Answer::Later(503, refusal(RefusalCode::Unavailable, "the hub ends"), 30)]);
    for _ in 0..2 {
        let polls = hub.asked("/v1/poll").len();
        (machine.wake)();
        hub.until(|asked| (asked.iter().filter(|asked| is_poll(asked)).count() > polls).then_some(())).await;
    }
    let text = machine.says().await.unwrap_err();
    assert_eq!(text, format!("the hub {} refuses this machine: the hub ends", hub.address()));
    hub.answers(says(target(7, 'a')));
    (machine.wake)();
    assert_eq!(machine.says().await, Ok("a".repeat(40)));
    let again = |asked: &[Asked]| {
        let reports = asked.iter().filter(|asked| asked.path == "/v1/report").map(Asked::read::<Report>);
        reports.into_iter().find(|report| report.sequence > first.sequence)
    };
    assert_eq!(hub.until(again).await.state, MachineState::Ready, "it may have forgotten");
}

#[tokio::test]
async fn a_machine_that_was_revoked_or_cloned_says_what_to_do() {
    let table = [
        (RefusalCode::Revoked, "till-1 was revoked", "that is `abide enroll --again`"),
        (RefusalCode::Cloned, "two use it", "`abide enroll --again`"),
        (RefusalCode::Unknown, "who?", "`abide enroll --again`"),
        (RefusalCode::Protocol, "version 9", "update the older of the two"),
    ];
    for (code, message, remedy) in table {
        let hub = Hub::start(Http::Two).await;
        let (_directory, folder, identity) = hub.machine(now());
        hub.answers_each([Answer::Document(403, refusal(code, message))]);
        let mut machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
        let text = machine.says().await.unwrap_err();
        assert!(text.contains(message) && text.contains(remedy), "{text}");
    }
}
