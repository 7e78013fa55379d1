//! All crates, put together: the agent's parts for a root.
//!
//! ```text
//!   Root ── Ground ─┬─ Volumes ────────────────────────────── Kind::Volume
//!                   ├─ Instances<Containers> ── Images ────── Kind::Container
//!                   └─ Instances<VirtualMachines> ─────────── Kind::VirtualMachine
//!   Hints ◄── exits of processes                 SourceFactory ── what is followed; the caller's choice
//! ```

use super::inspector::OnGround;
use crate::{exit::Failure, here::Here};
use abide_agent::{Clock, Hints, Hold, Parts, Paths, SourceFactory, Sweep, journal::InFolders};
use abide_container::Containers;
use abide_host::{root::Root, time::boottime};
use abide_image::{Images, Login, Options};
use abide_instance::{Ground, GroundError, Instances, Volumes};
use abide_reconcile::{Backend, Kind, Limits};
use abide_vm::VirtualMachines;
use std::{collections::BTreeMap, sync::Arc};

/// In the state folder, where root alone can read it: who may pull from registries that ask.
const LOGINS: &str = "registries.json";

/// An agent's parts.
pub(super) struct Assembled {
    pub(super) parts: Parts,
    pub(super) ground: Arc<Ground>,
}

/// Puts together who acts for this root. Which sources there can be is the caller's choice.
pub(super) fn assemble(here: &Here, hold: Hold, factory: Arc<dyn SourceFactory>) -> Result<Assembled, Failure> {
    let paths = here.paths.make()?;
    let hints = Hints::default();
    let told = hints.clone();
    let ground = Ground::open(Root::open(&paths)?, hold.epoch(), move |unit| told.look(unit))?;
    let files = paths.state.join("files");
    let logins = paths.state.join(LOGINS);
    let credentials = Box::new(move |registry: &str| Login::find(&logins, registry));
    let images = Images::open(&paths.state.join("images"), &files, Options { credentials, ..Options::default() })?;
    let images = Arc::new(images);
    let containers = Arc::new(Containers::new(images, Arc::clone(ground.volumes()), &paths)?);
    let program = std::env::current_exe().map_err(Failure::doing("finding this program"))?;
    let machines = VirtualMachines::new(Arc::clone(ground.volumes()), &files, &program);
    let backends: [(Kind, Arc<dyn Backend>); 3] = [
        (Kind::Container, Arc::new(Instances::new(Arc::clone(&ground), Arc::clone(&containers)))),
        (Kind::VirtualMachine, Arc::new(Instances::new(Arc::clone(&ground), machines))),
        (Kind::Volume, Arc::<Volumes>::clone(ground.volumes())),
    ];
    let parts = Parts {
        hold,
        clock: Clock::new(boottime),
        limits: Limits::default(),
        backends: BTreeMap::from(backends),
        inspector: Arc::new(OnGround(Arc::clone(&ground))),
        journals: Arc::new(InFolders::new(paths.state.join("sources"))),
        factory,
        hints,
        sweep: sweep(containers),
        paths: Paths { state: paths.state, run: paths.run },
    };
    Ok(Assembled { parts, ground })
}

/// Clears away images that no unit needs.
fn sweep(containers: Arc<Containers>) -> Sweep {
    Box::new(move |units| match containers.prune(units.iter().map(|unit| &**unit)) {
        Ok(None | Some(0)) => {}
        Ok(Some(images)) => tracing::info!(images, "images that nothing needs any more are gone"),
        Err(error) => {
            let error = crate::exit::with_causes(&error);
            tracing::warn!(%error, "could not clear away images that nothing needs any more");
        }
    })
}

/// Takes away the network and what else all instances share, if there are none.
pub(super) fn leave(ground: &Ground) {
    match ground.tear_down() {
        Ok(()) | Err(GroundError::InUse { .. }) => {}
        Err(error) => {
            let error = crate::exit::with_causes(&error);
            tracing::warn!(%error, "could not take away all that instances shared");
        }
    }
}
