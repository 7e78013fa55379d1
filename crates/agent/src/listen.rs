//! The thread on which a source is asked what is new.

use crate::{
    api,
    driver::{Inbox, Means, Message, Pause},
    port::Opened,
};
use abide_reconcile::{Attend, Fault, Progress, Revision, SourceId};
use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

/// How long to wait when the files of a revision could not be kept: a full disk.
const KEEP_AGAIN: Duration = Duration::from_secs(10);

/// A source that is listened to, until this is dropped.
pub(crate) struct Listener {
    /// What it says comes with this number: an earlier listener of the source may have spoken last.
    pub(crate) number: u64,
    pub(crate) wake: Arc<dyn Fn() + Send + Sync>,
    contact: Option<Box<dyn Fn() -> api::Contact + Send>>,
    /// The thread notices when it is dropped.
    stop: Option<Sender<()>>,
}

impl Listener {
    pub(crate) fn start(
        id: SourceId,
        number: u64,
        opened: Opened,
        means: Arc<Means>,
        inbox: Inbox,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let Opened { mut source, wake, reporter: _, contact } = opened;
        let attend =
            Listening { id: id.clone(), stopped: Mutex::new(stopped), inbox: inbox.clone(), pause: Pause::default() };
        let say = move |result| drop(inbox.send(Message::Said { source: id.clone(), listener: number, result }));
        thread::Builder::new().name("source".to_owned()).spawn(move || {
            while !attend.is_cancelled() {
                match source.next(&attend) {
                    Ok(revision) => keep(&revision, &means, &attend, &say),
                    Err(Fault::Cancelled) => {}
                    Err(fault) => say(Err(fault)),
                }
            }
        })?;
        Ok(Self { number, wake: wake.into(), contact, stop: Some(stop) })
    }

    /// What is known of who says it.
    pub(crate) fn contact(&self) -> Option<api::Contact> {
        self.contact.as_ref().map(|contact| contact())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop = None;
        (self.wake)();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.number)
    }
}

/// Says a revision as soon as its files are kept. The source won't say it again, so this goes on until it succeeds.
fn keep(revision: &Revision, means: &Means, attend: &Listening, say: &impl Fn(Result<Revision, Fault>)) {
    loop {
        match means.kept(Ok(revision.clone())) {
            Ok(revision) => return say(Ok(revision)),
            Err(fault) => say(Err(fault)),
        }
        if attend.wait(KEEP_AGAIN) {
            return;
        }
    }
}

/// Who waits for a source in the loop's place.
struct Listening {
    id: SourceId,
    /// Only this thread takes the lock: it is there because who attends must be `Sync`, and a receiver isn't.
    stopped: Mutex<Receiver<()>>,
    inbox: Inbox,
    pause: Pause,
}

impl Listening {
    /// Waits until nobody listens any more, and tells whether that is so.
    fn wait(&self, at_most: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.recv_timeout(at_most) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Attend for Listening {
    fn progress(&self, progress: Progress) {
        if self.pause.is_over() {
            drop(self.inbox.send(Message::Fetching { source: self.id.clone(), progress }));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.wait(Duration::ZERO) || self.inbox.is_closed()
    }
}
