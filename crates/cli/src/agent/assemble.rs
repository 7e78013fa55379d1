//! All crates, put together: the agent's parts for a root.

use super::{factory::Factory, inspector::Instances};
use crate::{exit::Failure, here::Here};
use abide_agent::{Clock, Hints, Hold, Parts, Paths};
use abide_host::{root::Root, time::boottime};
use abide_instance::Volumes;
use abide_reconcile::{Backend, Kind, Limits};
use std::{collections::BTreeMap, sync::Arc};

/// An agent's parts.
pub(super) struct Assembled {
    pub(super) parts: Parts,
}

/// Puts together who acts for this root. Nothing is changed by it.
pub(super) fn assemble(here: &Here, hold: Hold) -> Result<Assembled, Failure> {
    let paths = here.paths.make()?;
    let root = Root::open(&paths)?;
    let hints = Hints::default();
    let volumes = Arc::new(Volumes::open(root.state(), hold.epoch())?);
    let backends: [(Kind, Arc<dyn Backend>); 1] = [(Kind::Volume, volumes)];
    let factory = Factory { sources: paths.state.join("sources") };
    let parts = Parts {
        paths: Paths { state: paths.state, run: paths.run },
        hold,
        clock: Clock::new(boottime),
        limits: Limits::default(),
        backends: BTreeMap::from(backends),
        inspector: Arc::new(Instances),
        factory: Arc::new(factory),
        hints,
        sweep: Box::new(|_| {}),
    };
    Ok(Assembled { parts })
}
