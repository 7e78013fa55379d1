//! The runtime itself: effects in their order, what is made of them is decided elsewhere.

use crate::{
    fault::{again, never, of_image},
    files::{self, Network},
    job,
    layer::{LayerError, Layers},
    lookup::{Lookup, LookupError},
    root::{self, MOUNT_POINT, Parts},
    used,
    user::Credentials,
};
use abide_host::{
    fs::{self, Dir, Resolve},
    keeper::{AskError, Client},
    overlay,
    root::Paths,
};
use abide_image::{Image, Images, PrepareError, StoreError, Wanted};
use abide_instance::{Launch, Link, Place, Runtime, VolumeData, Volumes};
use abide_reconcile::{
    Attend, Fault, Kind, Name, Progress, Unit, UnitSpec,
    spec::kind::{ContainerSpec, MountSource},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Below the state: what containers write.
const LAYERS: &str = "layers";
/// Below what is of this boot: an empty folder that images are looked at through.
const VIEW: &str = "view";

/// Containers of one root.
#[derive(Debug)]
pub struct Containers {
    images: Arc<Images>,
    volumes: Arc<Volumes>,
    units: PathBuf,
    layers: Layers,
    lookup: Lookup,
    processors: Vec<String>,
}

/// Why there can be no containers in a root.
#[derive(Debug, thiserror::Error)]
pub enum ContainersError {
    /// Keepers are told paths as text.
    #[error("{} is not UTF-8: choose another root with --root", .0.display())]
    Path(PathBuf),
    /// Nowhere to write.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A folder of this boot.
    #[error("cannot make the folders of containers")]
    File(#[from] fs::Error),
}

/// Why images were not removed.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// It isn't known which are in use.
    #[error("cannot see which images instances use")]
    Used(#[from] fs::Error),
    /// It isn't known which image a unit means.
    #[error("cannot find the image of a unit")]
    Find(#[from] PrepareError),
    /// They can't be removed.
    #[error("cannot remove images")]
    Store(#[from] StoreError),
}

impl Containers {
    /// Those of a root, whose folders are there. Removes what containers wrote that are gone, as after a reboot.
    pub fn new(images: Arc<Images>, volumes: Arc<Volumes>, paths: &Paths) -> Result<Self, ContainersError> {
        for path in [&paths.state, &paths.run] {
            path.to_str().ok_or_else(|| ContainersError::Path(path.clone()))?;
        }
        let units = paths.units();
        let layers = Layers::open(&paths.state, LAYERS)?;
        layers.sweep(&units)?;
        let view = Dir::open(&paths.run)?.make_dirs(VIEW, 0o700)?;
        let lookup = Lookup::new(view.path().to_owned());
        Ok(Self { images, volumes, units, layers, lookup, processors: root::processors() })
    }

    /// Removes the images that neither one of these units nor any instance uses. Tells how many layers went; `None` if
    /// something is being prepared: then nothing was removed.
    pub fn prune<'a>(&self, keep: impl IntoIterator<Item = &'a Unit>) -> Result<Option<usize>, PruneError> {
        let mut digests = used::all(&self.units)?;
        for wanted in keep.into_iter().filter_map(Wanted::of) {
            digests.extend(self.images.find(&wanted)?.map(|image| image.digest));
        }
        self.lookup.forget(&digests);
        Ok(self.images.prune(&digests)?)
    }

    fn credentials(&self, image: &Image, spec: &ContainerSpec) -> Result<Credentials, Fault> {
        let user = spec.user.as_deref().unwrap_or(&image.config.user);
        self.lookup.credentials(image, user).map_err(of_lookup)
    }

    /// Where the data of the volumes is that a spec names.
    fn volumes(&self, unit: &Unit, spec: &ContainerSpec) -> Result<BTreeMap<Name, PathBuf>, Fault> {
        let mut found = BTreeMap::new();
        for mount in &spec.volumes {
            let Some(MountSource::Volume(name)) = mount.source() else { continue };
            match self.volumes.data(&unit.id.scope, name).map_err(again)? {
                Some(VolumeData::Directory(path)) => found.insert(name.clone(), path),
                Some(VolumeData::Disk(_)) => {
                    return Err(Fault::Never(
                        format!("Volume/{name} is a disk, which no container can mount: make it `form: Directory`")
                            .into(),
                    ));
                }
                None => return Err(Fault::Again(format!("Volume/{name} is not there").into())),
            };
        }
        Ok(found)
    }

    /// Everything below the instance's directory, and the job.
    fn make(&self, place: &Place, unit: &Unit, spec: &ContainerSpec, image: &Image) -> Result<Launch, Fault> {
        let credentials = self.credentials(image, spec)?;
        let first = job::first(unit, spec, &image.config, &credentials).map_err(never)?;
        let volumes = self.volumes(unit, spec)?;
        let network = if spec.host_network { Network::Host } else { Network::Own(place.address) };
        image.layers.iter().try_for_each(|layer| overlay::check_path(layer)).map_err(never)?;
        let dir = Dir::open(&place.dir).map_err(again)?;
        // First of all: from here on the layers must stay.
        used::note(&dir, image.digest).map_err(again)?;
        dir.make_dirs(MOUNT_POINT, 0o700).map_err(again)?;
        files::make(&place.dir, unit, spec, network).map_err(again)?;
        let layer = self.layers.make(&place.dir).map_err(again)?;
        for mount in spec.volumes.iter().filter(|mount| !mount.read_only) {
            let Some(data) = mount.volume.as_ref().and_then(|name| volumes.get(name)) else { continue };
            give(data, &credentials).map_err(again)?;
        }
        let root = root::root(&Parts {
            spec,
            dir: &place.dir,
            layers: &image.layers,
            layer: &layer,
            credentials: &credentials,
            volumes: &volumes,
            processors: &self.processors,
        });
        let link = if matches!(network, Network::Own(Some(_))) { Link::Veth } else { Link::None };
        Ok(Launch { job: job::job(&unit.id.name, first, network, root), link })
    }
}

impl Runtime for Containers {
    fn kind(&self) -> Kind {
        Kind::Container
    }

    fn prepare(&self, unit: &Unit, attend: &dyn Attend) -> Result<(), Fault> {
        let (spec, wanted) = container(unit)?;
        let progress = |progress: abide_image::Progress| {
            let abide_image::Progress { what, done, total } = progress;
            attend.progress(Progress { what: what.into(), done, total });
        };
        let image = self.images.prepare(&wanted, &progress, &|| attend.is_cancelled()).map_err(of_image)?;
        let credentials = self.credentials(&image, spec)?;
        let first = job::first(unit, spec, &image.config, &credentials).map_err(never)?;
        self.lookup.check(&image, spec, &first.program).map_err(of_lookup)
    }

    fn launch(&self, place: &Place, unit: &Unit) -> Result<Launch, Fault> {
        let (spec, wanted) = container(unit)?;
        let image = self.images.find(&wanted).map_err(of_image)?.ok_or(Fault::Unprepared)?;
        self.make(place, unit, spec, &image)
    }

    fn update(&self, _: &Place, _: &Unit, _: &Unit) -> Result<(), Fault> {
        // Of a container's live fields, limits are the caller's, and all others are read when they are needed.
        Ok(())
    }

    fn ask_to_stop(&self, place: &Place, _: &Unit) -> Result<(), Fault> {
        match Client::connect(&place.dir).and_then(|client| client.stop()) {
            // It ended by itself.
            Ok(()) | Err(AskError::Gone(_)) => Ok(()),
            Err(error) => Err(again(error)),
        }
    }

    fn clear_away(&self, place: &Place) -> Result<(), Fault> {
        files::remove(&place.dir).map_err(again)?;
        self.layers.remove(&place.dir).map_err(again)?;
        match Dir::open(&place.dir) {
            Err(error) if error.is_missing() => Ok(()),
            dir => dir
                .and_then(|dir| [MOUNT_POINT, used::NAME].iter().try_for_each(|name| dir.remove_all(name)))
                .map_err(again),
        }
    }
}

fn container(unit: &Unit) -> Result<(&ContainerSpec, Wanted<'_>), Fault> {
    match (&unit.spec, Wanted::of(unit)) {
        (UnitSpec::Container(spec), Some(wanted)) => Ok((spec, wanted)),
        _ => Err(Fault::Never(format!("{} is no container", unit.id).into())),
    }
}

fn of_lookup(error: LookupError) -> Fault {
    if error.can_retry() { again(error) } else { never(error) }
}

/// A volume that nobody has written to belongs to who mounts it: without this, only root could ever use a new one.
fn give(data: &Path, credentials: &Credentials) -> fs::Result<()> {
    let (Some(parent), Some(name), 1..) = (data.parent(), data.file_name(), credentials.uid) else { return Ok(()) };
    let parent = Dir::open(parent)?;
    let is_new = parent.open_dir(name, Resolve::Beneath)?.names()?.is_empty();
    if is_new { parent.set_owner(name, credentials.uid, credentials.gid) } else { Ok(()) }
}
