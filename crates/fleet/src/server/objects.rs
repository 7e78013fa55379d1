//! What machines check and read: commits and what is in them, out of the cache of the repository that is followed.

use super::{
    Inner,
    answer::{Answer, Refused, frames, refused},
};
use crate::protocol::{
    ANSWER_BYTES_MAX, CHAIN_MAX, Chain, OBJECTS_MAX, ObjectId, ObjectKind, Objects as Wanted, RefusalCode, write_frame,
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

/// Ways between commits whose changes of signers are remembered.
const WAYS_MAX: usize = 64;

/// The cache, read in threads that may wait.
#[derive(Debug)]
pub(super) struct Objects {
    folder: PathBuf,
    readers: Arc<Semaphore>,
    rotations: Mutex<Vec<(Way, Arc<[ObjectId]>)>>,
    pub(super) bytes: AtomicU64,
}

/// From one commit to another.
type Way = (ObjectId, ObjectId);

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
        Self {
            folder,
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            rotations: Mutex::default(),
            bytes: AtomicU64::new(0),
        }
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

    /// The commits, oldest first, that brought other signers on the way from one commit to another. What can't be found out is
    /// left out: it is a help, and the machine checks.
    pub(super) async fn rotations(&self, from: Option<ObjectId>, to: ObjectId) -> Vec<ObjectId> {
        let Some(from) = from.filter(|from| *from != to) else { return Vec::new() };
        let known = || self.rotations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rotations)) = known().iter().find(|(way, _)| *way == (from, to)) {
            return rotations.to_vec();
        }
        let found = self.read(move |repository| super::rotation::between(repository, from, to)).await;
        let Ok(found) = found else { return Vec::new() };
        let mut known = known();
        known.truncate(WAYS_MAX - 1);
        known.insert(0, ((from, to), found.clone().into()));
        found
    }
}

/// How one commit leads to another.
pub(super) async fn chain(inner: &Inner, asked: Chain, is_gzip: bool) -> Result<Answer, Refused> {
    let read = move |repository: &Repository| {
        let mut sent = Sent::new(is_gzip);
        for id in way(repository, asked.from, asked.to)?.into_iter().take(CHAIN_MAX) {
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
            (inner.look)();
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

/// The commits from `to` on, each a parent of the one before, up to a child of `from`.
pub(super) fn way(repository: &Repository, from: ObjectId, to: ObjectId) -> Result<Vec<Oid>, NotRead> {
    let (from, mut at) = (oid(from), oid(to));
    if repository.find_commit(at).is_err() {
        return Err(NotRead::Missing(to));
    }
    let mut way = Vec::new();
    if at == from {
        return Ok(way);
    }
    if repository.find_commit(from).is_err() || !repository.graph_descendant_of(at, from)? {
        return Err(NotRead::NoDescendant);
    }
    loop {
        way.push(at);
        let parents: Vec<Oid> = repository.find_commit(at)?.parent_ids().collect();
        if parents.contains(&from) {
            return Ok(way);
        }
        let leads =
            |parent: &&Oid| parents.len() == 1 || matches!(repository.graph_descendant_of(**parent, from), Ok(true));
        at = *parents.iter().find(leads).ok_or(NotRead::NoDescendant)?;
    }
}
