//! What machines check and read: commits and what is in them, out of the cache of the repository that is followed.

use super::{
    Inner,
    answer::{Answer, Refused, frames, refused},
};
use crate::{
    protocol::{
        ANSWER_BYTES_MAX, CHAIN_MAX, Chain, OBJECTS_MAX, ObjectId, ObjectKind, Objects as Wanted, RefusalCode,
        write_frame,
    },
    trust::{self, NoWay},
};
use abide_git::{Oid, Repository, cache};
use flate2::{Compression, write::GzEncoder};
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Readers at once: each may hold an answer of the greatest size.
const READERS_MAX: usize = 8;

/// Ways between commits of which is remembered what helps on them.
const WAYS_MAX: usize = 64;

/// The cache, read in threads that may wait.
#[derive(Debug)]
pub(super) struct Objects {
    folder: PathBuf,
    readers: Arc<Semaphore>,
    ways: Arc<Ways>,
    pub(super) bytes: AtomicU64,
}

/// From one commit to another, or to a machine's first.
type Way = (Option<ObjectId>, ObjectId);

/// What helped on the last ones that were gone, the newest first.
type Ways = Mutex<Vec<(Way, Arc<Help>)>>;

/// What helps a machine on its way. It believes nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Help {
    /// A tag that those signed who may.
    pub(super) tag: Option<ObjectId>,
    /// The commits, oldest first, that brought other signers.
    pub(super) rotations: Vec<ObjectId>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NotRead {
    /// Something isn't there, or not yet.
    Missing(ObjectId),
    /// One commit doesn't descend from the other.
    NoDescendant,
    /// The cache can't be read.
    Failed(String),
}

impl NotRead {
    pub(super) fn no_way(why: NoWay, to: ObjectId) -> Self {
        match why {
            NoWay::Missing => Self::Missing(to),
            NoWay::NoDescendant => Self::NoDescendant,
            NoWay::Failed(why) => Self::Failed(why),
        }
    }
}

impl From<abide_git::Error> for NotRead {
    fn from(error: abide_git::Error) -> Self {
        Self::Failed(error.message().to_owned())
    }
}

impl From<io::Error> for NotRead {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Objects {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, readers: Arc::new(Semaphore::new(READERS_MAX)), ways: Arc::default(), bytes: AtomicU64::new(0) }
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Repository) -> Result<T, NotRead> + Send + 'static,
    ) -> Result<T, NotRead> {
        let failed = |error: &dyn std::fmt::Display| NotRead::Failed(error.to_string());
        let place = Arc::clone(&self.readers).acquire_owned().await.map_err(|error| failed(&error))?;
        let folder = self.folder.clone();
        let reading = spawn_blocking(move || {
            let read = cache::open(&folder).map_err(|error| failed(&error)).and_then(|repository| read(&repository));
            drop(place);
            read
        });
        reading.await.map_err(|error| failed(&error))?
    }

    /// What helps on the way from one commit to another in this fleet. None: the machine would not get there with what this
    /// process has so far. What can't be found out is left out.
    pub(super) async fn help(&self, fleet: &str, from: Option<ObjectId>, to: ObjectId) -> Option<Arc<Help>> {
        let way = (from, to);
        if let Some(help) = known(&self.ways, way) {
            return Some(help);
        }
        let (ways, directory, fleet) = (Arc::clone(&self.ways), self.folder.clone(), fleet.to_owned());
        let read = self.read(move |repository| {
            // Many machines go the same way at once, and one of them found out.
            if let Some(help) = known(&ways, way) {
                return Ok(Some(help));
            }
            let rotations = from.map(|from| super::rotation::between(repository, from, to));
            let rotations = rotations.transpose().ok().flatten().unwrap_or_default();
            let Some(help) = super::tag::of(repository, &directory, &fleet, way, rotations) else { return Ok(None) };
            let (help, mut ways) = (Arc::new(help), ways.lock().unwrap_or_else(PoisonError::into_inner));
            ways.truncate(WAYS_MAX - 1);
            ways.insert(0, (way, Arc::clone(&help)));
            Ok(Some(help))
        });
        read.await.unwrap_or_else(|_| Some(Arc::default()))
    }
}

fn known(ways: &Ways, way: Way) -> Option<Arc<Help>> {
    let ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
    ways.iter().find(|(known, _)| *known == way).map(|(_, help)| Arc::clone(help))
}

/// How one commit leads to another.
pub(super) async fn chain(inner: &Inner, asked: Chain, is_gzip: bool) -> Result<Answer, Refused> {
    let read = move |repository: &Repository| {
        let mut sent = Sent::new(is_gzip);
        let way = trust::way(repository, oid(asked.from), oid(asked.to));
        for id in way.map_err(|why| NotRead::no_way(why, asked.to))?.into_iter().take(CHAIN_MAX) {
            if !sent.add(repository, id)? {
                break;
            }
        }
        sent.finish()
    };
    answer(inner, inner.objects.read(read).await, is_gzip)
}

/// Objects by their names.
pub(super) async fn objects(inner: &Inner, asked: Wanted, is_gzip: bool) -> Result<Answer, Refused> {
    if asked.want.len() > OBJECTS_MAX {
        let why = format!("at most {OBJECTS_MAX} objects are asked for at once");
        return Err(refused(RefusalCode::BadRequest, why));
    }
    let read = move |repository: &Repository| {
        let mut sent = Sent::new(is_gzip);
        let mut missing = None;
        for id in asked.want {
            match sent.add(repository, oid(id)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(NotRead::Missing(id)) => missing = missing.or(Some(id)),
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some(id) if sent.count == 0 => Err(NotRead::Missing(id)),
            _ => sent.finish(),
        }
    };
    answer(inner, inner.objects.read(read).await, is_gzip)
}

fn answer(inner: &Inner, read: Result<Vec<u8>, NotRead>, is_gzip: bool) -> Result<Answer, Refused> {
    match read {
        Ok(bytes) => {
            inner.objects.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(frames(bytes, is_gzip))
        }
        Err(NotRead::Missing(id)) => {
            inner.repository.wake();
            Err(refused(RefusalCode::Missing, format!("{id} isn't here, or not yet: has it been pushed?")))
        }
        Err(NotRead::NoDescendant) => Err(refused(
            RefusalCode::NoDescendant,
            "the one commit doesn't descend from the other in the hub's repository",
        )),
        Err(NotRead::Failed(error)) => {
            tracing::warn!(error, "the repository's cache can't be read");
            Err(refused(RefusalCode::Unavailable, "the hub can't read its objects just now: try again later"))
        }
    }
}

/// What is sent, up to its bound.
struct Sent {
    to: Output,
    count: usize,
    left: usize,
}

enum Output {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Sent {
    fn new(is_gzip: bool) -> Self {
        let gzip = || Output::Gzip(GzEncoder::new(Vec::new(), Compression::fast()));
        Self { to: if is_gzip { gzip() } else { Output::Plain(Vec::new()) }, count: 0, left: ANSWER_BYTES_MAX }
    }

    /// Adds an object if there is room, or if it is the first.
    fn add(&mut self, repository: &Repository, id: Oid) -> Result<bool, NotRead> {
        let missing = |_| NotRead::Missing(ObjectId(id.as_bytes().try_into().unwrap_or_default()));
        let odb = repository.odb()?;
        let object = odb.read(id).map_err(missing)?;
        let kind = match object.kind().str() {
            "commit" => ObjectKind::Commit,
            "tree" => ObjectKind::Tree,
            "blob" => ObjectKind::Blob,
            "tag" => ObjectKind::Tag,
            other => return Err(NotRead::Failed(format!("{id} is a {other}"))),
        };
        let content = object.data();
        if content.len() > self.left && self.count > 0 {
            return Ok(false);
        }
        match &mut self.to {
            Output::Plain(to) => write_frame(to, kind, content)?,
            Output::Gzip(to) => write_frame(to, kind, content)?,
        }
        self.left = self.left.saturating_sub(content.len());
        self.count += 1;
        Ok(true)
    }

    fn finish(self) -> Result<Vec<u8>, NotRead> {
        match self.to {
            Output::Plain(bytes) => Ok(bytes),
            Output::Gzip(mut to) => {
                to.flush()?;
                Ok(to.finish()?)
            }
        }
    }
}

pub(super) fn oid(id: ObjectId) -> Oid {
    // It has as many bytes as such a name has.
    Oid::from_bytes(&id.0).unwrap_or(Oid::ZERO_SHA1)
}
