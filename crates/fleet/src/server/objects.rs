//! What machines check and read: commits and what is in them, out of the cache of the repository that is followed.

use super::{
    Inner,
    answer::{Answer, Refused, frames, refused},
    route::TURN,
    shares::Shares,
};
use crate::{
    protocol::{
        ANSWER_BYTES_MAX, CHAIN_MAX, Chain, OBJECTS_MAX, ObjectId, ObjectKind, Objects as Wanted, RefusalCode,
        write_frame,
    },
    trust::{self, NoWay},
};
use abide_git::{Oid, Repository, cache};
use abide_spec::Name;
use flate2::{Compression, write::GzEncoder};
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// Readers at once.
const READERS_MAX: usize = 8;

/// Ways between commits of which is remembered what helps on them.
const HELPS_MAX: usize = 64;

/// Ways that are remembered with their commits, and commits of such a one: some megabytes in all.
const WAYS_MAX: usize = 8;
const WAY_COMMITS_MAX: usize = 50_000;

/// That something isn't here yet is believed for so long, as many ask for the same: less than after what each looks again.
const NOT_YET: Duration = Duration::from_millis(900);

/// What bytes of answers are counted in.
const UNIT: usize = 1 << 10;

/// The cache, read in threads that may wait.
#[derive(Debug)]
pub(super) struct Objects {
    folder: PathBuf,
    readers: Arc<Semaphore>,
    helps: Arc<Helps>,
    ways: Arc<Ways>,
    /// What may be made and sent at once, in units.
    room: Arc<Semaphore>,
    answers: Arc<Shares<Name>>,
    answers_each: usize,
    pub(super) bytes: AtomicU64,
}

/// From one commit to another, or to a machine's first.
type Way = (Option<ObjectId>, ObjectId);

/// What helped on the last ones that were gone, the newest first.
type Helps = Mutex<Vec<(Way, Found)>>;

/// The last ways that were shown, by where they come from, the newest first.
type Ways = Mutex<Vec<(Oid, Arc<[Oid]>)>>;

/// What was found out about a way.
#[derive(Clone, Debug)]
enum Found {
    Help(Arc<Help>),
    /// At that time it couldn't be gone yet.
    NotYet(Instant),
}

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
    /// `answers` are bytes of all answers at once, and how many answers each machine may have.
    pub(super) fn new(folder: PathBuf, (bytes, answers_each): (usize, usize)) -> Self {
        Self {
            folder,
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            helps: Arc::default(),
            ways: Arc::default(),
            room: Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))),
            answers: Arc::default(),
            answers_each,
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

    /// What helps on the way from one commit to another in this fleet. None: the machine would not get there with what this
    /// process has so far. What can't be found out is left out.
    pub(super) async fn help(&self, fleet: &str, from: Option<ObjectId>, to: ObjectId) -> Option<Arc<Help>> {
        let way = (from, to);
        if let Some(found) = known(&self.helps, way) {
            return found.help();
        }
        let (helps, directory, fleet) = (Arc::clone(&self.helps), self.folder.clone(), fleet.to_owned());
        let read = self.read(move |repository| {
            // Many machines go the same way at once, and one of them found out.
            if let Some(found) = known(&helps, way) {
                return Ok(found.help());
            }
            let rotations = from.map(|from| super::rotation::between(repository, from, to));
            let rotations = rotations.transpose().ok().flatten().unwrap_or_default();
            let help = super::tag::of(repository, &directory, &fleet, way, rotations);
            let found = help.map_or_else(|| Found::NotYet(Instant::now()), |help| Found::Help(Arc::new(help)));
            let mut helps = helps.lock().unwrap_or_else(PoisonError::into_inner);
            helps.retain(|(other, _)| *other != way);
            helps.truncate(HELPS_MAX - 1);
            helps.insert(0, (way, found.clone()));
            Ok(found.help())
        });
        read.await.unwrap_or_else(|_| Some(Arc::default()))
    }
}

impl Found {
    fn help(self) -> Option<Arc<Help>> {
        match self {
            Self::Help(help) => Some(help),
            Self::NotYet(_) => None,
        }
    }
}

fn known(helps: &Helps, way: Way) -> Option<Found> {
    let helps = helps.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, found) = helps.iter().find(|(known, _)| *known == way)?;
    let is_old = matches!(found, Found::NotYet(at) if at.elapsed() >= NOT_YET);
    (!is_old).then(|| found.clone())
}

/// The way from one commit to another, which may be the rest of one that was shown just now.
fn way(ways: &Ways, repository: &Repository, from: Oid, to: Oid) -> Result<Arc<[Oid]>, NoWay> {
    let shown = |(begin, way): &(Oid, Arc<[Oid]>)| {
        let rest = way.iter().position(|commit| *commit == to).filter(|_| *begin == from)?;
        Some(if rest == 0 { Arc::clone(way) } else { Arc::from(&way[rest..]) })
    };
    if let Some(way) = ways.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(shown) {
        return Ok(way);
    }
    let way: Arc<[Oid]> = trust::way(repository, from, to)?.into();
    if way.len() <= WAY_COMMITS_MAX {
        let mut ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.truncate(WAYS_MAX - 1);
        ways.insert(0, (from, Arc::clone(&way)));
    }
    Ok(way)
}

/// How one commit leads to another.
pub(super) async fn chain(inner: &Inner, machine: &Name, asked: Chain, is_gzip: bool) -> Result<Answer, Refused> {
    let ways = Arc::clone(&inner.objects.ways);
    let read = move |repository: &Repository| {
        let mut sent = Sent::new(is_gzip);
        let way = way(&ways, repository, oid(asked.from), oid(asked.to));
        for id in way.map_err(|why| NotRead::no_way(why, asked.to))?.iter().take(CHAIN_MAX) {
            if !sent.add(repository, *id)? {
                break;
            }
        }
        sent.finish()
    };
    answer(inner, machine, read, is_gzip).await
}

/// Objects by their names.
pub(super) async fn objects(inner: &Inner, machine: &Name, asked: Wanted, is_gzip: bool) -> Result<Answer, Refused> {
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
    answer(inner, machine, read, is_gzip).await
}

/// Makes an answer when there is room for the greatest one, and keeps of that what it takes until it is sent.
async fn answer(
    inner: &Inner,
    machine: &Name,
    read: impl FnOnce(&Repository) -> Result<Vec<u8>, NotRead> + Send + 'static,
    is_gzip: bool,
) -> Result<Answer, Refused> {
    let objects = &inner.objects;
    let full = || refused(RefusalCode::Unavailable, "this hub sends as much as it can hold: try again later");
    let Some(share) = objects.answers.take(machine, objects.answers_each) else {
        let why = "this machine is being sent as many answers as it may have at once: take these first";
        return Err(refused(RefusalCode::Busy, why));
    };
    let room = timeout(TURN, Arc::clone(&objects.room).acquire_many_owned(units(ANSWER_BYTES_MAX))).await;
    let Ok(Ok(mut room)) = room else { return Err(full()) };
    match objects.read(read).await {
        Ok(mut bytes) => {
            bytes.shrink_to_fit();
            let (has, needs) = (room.num_permits(), units(bytes.len()) as usize);
            if needs > has {
                // One object may be greater than an answer should be. Who waited here for more would wait for himself.
                let more = Arc::clone(&objects.room).try_acquire_many_owned(units(bytes.len() - has * UNIT));
                room.merge(more.map_err(|_| full())?);
            } else {
                drop(room.split(has - needs));
            }
            objects.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(frames(bytes, is_gzip).map(|content| content.holding((room, share))))
        }
        Err(NotRead::Missing(id)) => {
            inner.look();
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

/// So many bytes in units, and no half ones.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
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
