//! The images of this machine: what a unit names, as layers and a config.

use crate::{
    config::{Config, ImageConfig},
    error::{PrepareError, StoreError},
    layer::Work,
    local::{Files, Local},
    login::{Login, LoginError},
    manifest::{Document, DocumentError},
    origin::{Attend, Loaded, Origin, Progress},
    registry::{Patience, Registry, Terms},
    store::{Scratch, Store},
    unpack::{Budget, Limits},
    wanted::{Location, Wanted},
};
use abide_host::fs::Dir;
use abide_spec::Digest;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, RwLock, TryLockError},
    time::{Duration, Instant},
};

/// How soon who waits for another's pull of the same layer notices that it is cancelled.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// What was asked for so recently is about to be used: [`Images::prune`] spares it.
const SPARED: Duration = Duration::from_secs(600);

/// An image, ready to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Of its manifest. An image from `docker save`, which has none, gets one that its config and layers determine.
    pub digest: Digest,
    /// The folders of its layers, the top one first, as overlayfs takes them. Nobody may write there.
    pub layers: Vec<PathBuf>,
    /// What it says about its first process.
    pub config: Config,
}

/// The credentials of a registry (`HOST[:PORT]`; Docker Hub is `docker.io`), if there are any.
pub type Credentials = dyn Fn(&str) -> Result<Option<Login>, LoginError> + Send + Sync;

/// How images are got.
pub struct Options {
    /// Who may pull from where.
    pub credentials: Box<Credentials>,
    /// A file of certificates in PEM to trust in place of those that the machine trusts.
    pub authorities: Option<String>,
    /// How slow a registry may be.
    pub patience: Patience,
    /// How big an image may be.
    pub limits: Limits,
}

/// The images of this machine. Clones are the same store; any number of threads may use it at once.
#[derive(Clone, Debug)]
pub struct Images {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    /// The repositories' files, by digest.
    files: PathBuf,
    options: Options,
    /// Held to read by who prepares, to write by who removes.
    pruning: RwLock<()>,
    /// What somebody is making: names of images, and chain ids of layers.
    claims: Mutex<BTreeSet<String>>,
    released: Condvar,
    /// When images were asked for.
    used: Mutex<BTreeMap<Digest, Instant>>,
}

/// Someone's word that they are making it; taken back when dropped.
struct Claim<'a> {
    shared: &'a Shared,
    name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: Box::new(|_| Ok(None)),
            authorities: None,
            patience: Patience::default(),
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authorities, patience, limits, .. } = self;
        write!(f, "Options {{ {authorities:?}, {patience:?}, {limits:?} }}")
    }
}

impl Images {
    /// Opens the store in `dir`, which is made if it is missing; `files` is the store of the repositories' files.
    pub fn open(dir: &Path, files: &Path, options: Options) -> Result<Self, StoreError> {
        let shared = Shared {
            store: Store::open(dir)?,
            files: files.to_owned(),
            options,
            pruning: RwLock::default(),
            claims: Mutex::default(),
            released: Condvar::new(),
            used: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes an image ready: pulls, checks and unpacks what isn't there yet. Quick if it is.
    ///
    /// A tag is asked for once: as long as the store has the image, it stays the one that it was then. A path of this
    /// machine is read again if the file, or a layout's `index.json`, has changed since. Layers that were complete before
    /// an error stay, so another try goes on from there.
    pub fn prepare(
        &self,
        wanted: &Wanted<'_>,
        progress: &dyn Fn(Progress),
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Image, PrepareError> {
        let shared = &*self.shared;
        let attend = Attend::new(progress, is_cancelled);
        let _pruning = shared.pruning.read().unwrap_or_else(PoisonError::into_inner);
        let prepared = shared.prepare(wanted, &attend);
        // Whatever failed after nobody wanted it any more may have failed because of that.
        prepared.map_err(|error| if attend.is_cancelled() { PrepareError::Cancelled } else { error })
    }

    /// The image as it was when it was prepared last, if it still is; no network is used.
    pub fn find(&self, wanted: &Wanted<'_>) -> Result<Option<Image>, PrepareError> {
        let location = Location::of(wanted)?;
        let Some(record) = self.shared.store.record(&location.key())? else { return Ok(None) };
        self.shared.image(record.manifest)
    }

    /// Removes all images but these, and those that were asked for in the last ten minutes. Tells how many layers went;
    /// `None` if something is being prepared or another process has the store open: then nothing was removed.
    pub fn prune(&self, keep: &BTreeSet<Digest>) -> Result<Option<usize>, StoreError> {
        let shared = &*self.shared;
        // Waiting for a long pull would make all that follow it wait, too.
        let _pruning = match shared.pruning.try_write() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let mut used = shared.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, at| at.elapsed() < SPARED);
        let keep: BTreeSet<Digest> = keep.iter().chain(used.keys()).copied().collect();
        let (mut blobs, mut chains) = (keep.clone(), BTreeSet::new());
        for digest in &keep {
            if let Some((config, of_image)) = shared.documents(*digest)? {
                blobs.insert(config);
                chains.extend(of_image.chain_ids());
            }
        }
        let records = shared.store.records()?.into_iter();
        let is_kept = |record: &crate::store::Record| keep.contains(&record.manifest);
        let records: Vec<_> = records.filter(|(_, record)| record.as_ref().is_some_and(is_kept)).collect();
        let records: Vec<PathBuf> = records.into_iter().map(|(name, _)| name).collect();
        shared.store.retain(&records, &blobs, &chains)
    }
}

impl Shared {
    fn prepare(&self, wanted: &Wanted<'_>, attend: &Attend<'_>) -> Result<Image, PrepareError> {
        let location = Location::of(wanted)?;
        let (key, fingerprint) = (location.key(), location.fingerprint());
        if let Some(image) = self.known(&key, &fingerprint)? {
            return Ok(image);
        }
        let _claim = self.claim(key.clone(), attend)?;
        if let Some(image) = self.known(&key, &fingerprint)? {
            return Ok(image);
        }
        let scratch = self.store.scratch()?;
        let mut origin = self.origin(location, attend, &scratch)?;
        attend.tell(|| Progress { what: "asking for the image".to_owned(), done: 0, total: None });
        let Loaded { chosen, config } = origin.load()?;
        let of_image = ImageConfig::parse(&config)?;
        let (layers, chains) = (&chosen.manifest.layers, of_image.chain_ids());
        if layers.len() != chains.len() || layers.is_empty() || layers.len() > self.options.limits.layers_max {
            let why = format!("it has {} layers, and its config tells of {}", layers.len(), chains.len());
            return Err(DocumentError::NoImage(why).into());
        }
        let work = Work {
            store: &self.store,
            limits: self.options.limits,
            attend,
            scratch: &scratch,
            layers,
            plain: &of_image.layers,
            chains: &chains,
        };
        let mut budget = Budget::new(self.options.limits);
        // From the lowest to the highest, as one may refer to those below it.
        for (n, chain) in chains.iter().enumerate() {
            let _claim = self.claim(chain.to_string(), attend)?;
            if self.store.layer(*chain)?.is_none() {
                work.unpack(n, &mut *origin, &mut budget)?;
            }
        }
        self.store.put_blob(&config)?;
        let manifest = self.store.put_blob(&chosen.bytes)?;
        self.store.put_record(&key, manifest, &fingerprint)?;
        // Everything was put there, so what is missing now was taken away.
        self.image(manifest)?.ok_or_else(|| DocumentError::NoImage("it vanished from the store".to_owned()).into())
    }

    /// The image of a name, unless the files that it came from have changed.
    fn known(&self, key: &str, fingerprint: &str) -> Result<Option<Image>, PrepareError> {
        match self.store.record(key)? {
            // Files that are gone say nothing.
            Some(record) if record.fingerprint == fingerprint || fingerprint.is_empty() => self.image(record.manifest),
            _ => Ok(None),
        }
    }

    fn image(&self, digest: Digest) -> Result<Option<Image>, PrepareError> {
        let Some((_, of_image)) = self.documents(digest)? else { return Ok(None) };
        let mut layers = Vec::new();
        for chain in of_image.chain_ids().into_iter().rev() {
            match self.store.layer(chain)? {
                Some(path) => layers.push(path),
                None => return Ok(None),
            }
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, Instant::now());
        Ok(Some(Image { digest, layers, config: of_image.config }))
    }

    /// The digest of an image's config, and the config; none where a blob is missing or broken.
    fn documents(&self, digest: Digest) -> Result<Option<(Digest, ImageConfig)>, StoreError> {
        let Some(bytes) = self.store.blob(digest)? else { return Ok(None) };
        let Ok(Document::Manifest(manifest)) = Document::parse(&bytes) else { return Ok(None) };
        let config = manifest.config.digest;
        let Some(bytes) = self.store.blob(config)? else { return Ok(None) };
        Ok(ImageConfig::parse(&bytes).ok().map(|of_image| (config, of_image)))
    }

    fn origin<'a>(
        &self,
        location: Location,
        attend: &'a Attend<'a>,
        scratch: &Scratch<'_>,
    ) -> Result<Box<dyn Origin + 'a>, PrepareError> {
        Ok(match location {
            Location::Registry { reference, is_insecure } => {
                let login = (self.options.credentials)(&reference.registry)?;
                let authorities = self.options.authorities.as_deref();
                let terms = Terms { is_insecure, login, authorities, patience: self.options.patience };
                Box::new(Registry::new(reference, terms, attend)?)
            }
            Location::Host { scheme, path, name } => {
                let files = Files::on_host(&path, attend, &scratch.dir).map_err(PrepareError::Local)?;
                Box::new(Local::new(files, scheme, name))
            }
            Location::Repository { scheme, file, name } => {
                let store = Dir::open(&self.files).map_err(StoreError::File)?;
                let files = Files::in_store(&store, &file, attend, &scratch.dir).map_err(PrepareError::Local)?;
                Box::new(Local::new(files, scheme, name))
            }
        })
    }

    /// Waits until nobody else is making it.
    fn claim(&self, name: String, attend: &Attend<'_>) -> Result<Claim<'_>, PrepareError> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        while claims.contains(&name) {
            if attend.is_cancelled() {
                return Err(PrepareError::Cancelled);
            }
            let waited = self.released.wait_timeout(claims, LOOK_AROUND);
            claims = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        claims.insert(name.clone());
        Ok(Claim { shared: self, name })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.shared.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.shared.released.notify_all();
    }
}
