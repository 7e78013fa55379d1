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
        atomic::{AtomicU64, Ordering},
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
    wake: Box<dyn Fn() + Send + Sync>,
    /// How often somebody asked for a look.
    asked: Arc<AtomicU64>,
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
        let asked = Arc::new(AtomicU64::new(0));
        let Opened { mut source, wake, reporter: _, contact } = opened;
        let attend = Listening {
            id,
            number,
            stopped: Mutex::new(stopped),
            asked: Arc::clone(&asked),
            look: Mutex::default(),
            inbox,
            pause: Pause::default(),
        };
        thread::Builder::new().name("source".to_owned()).spawn(move || {
            while !attend.is_cancelled() {
                match source.next(&attend) {
                    Ok(revision) => keep(&revision, &means, &attend),
                    Err(Fault::Cancelled) => {}
                    Err(fault) => attend.say(Err(fault)),
                }
            }
        })?;
        Ok(Self { number, wake, asked, contact, stop: Some(stop) })
    }

    /// Makes it look now. What a look finds that begins from now on is said with this number, or a higher one.
    pub(crate) fn wake(&self) -> u64 {
        let look = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        (self.wake)();
        look
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
fn keep(revision: &Revision, means: &Means, attend: &Listening) {
    loop {
        match means.kept(Ok(revision.clone())) {
            Ok(revision) => return attend.say(Ok(Some(revision))),
            Err(fault) => attend.say(Err(fault)),
        }
        if attend.wait(KEEP_AGAIN) {
            return;
        }
    }
}

/// Who waits for a source in the loop's place.
struct Listening {
    id: SourceId,
    number: u64,
    /// Only this thread takes the lock: it is there because who attends must be `Sync`, and a receiver isn't.
    stopped: Mutex<Receiver<()>>,
    asked: Arc<AtomicU64>,
    /// How often a look had been asked for when the present one began; none of a source that doesn't tell.
    look: Mutex<Option<u64>>,
    inbox: Inbox,
    pause: Pause,
}

impl Listening {
    /// Waits until nobody listens any more, and tells whether that is so.
    fn wait(&self, at_most: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.recv_timeout(at_most) == Err(RecvTimeoutError::Disconnected)
    }

    fn say(&self, result: Result<Option<Revision>, Fault>) {
        let look = *self.look.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.inbox.send(Message::Said { source: self.id.clone(), listener: self.number, look, result }));
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

    fn looks(&self) {
        *self.look.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.asked.load(Ordering::SeqCst));
    }

    fn found_nothing(&self) {
        self.say(Ok(None));
    }
}
