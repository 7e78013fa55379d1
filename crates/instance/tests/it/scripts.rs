//! A runtime that executes what a container's `args` say by the host itself, and units for it.

use abide_host::keeper::{Client, Job, OpenFiles, Program};
use abide_instance::{Launch, Link, Place, Runtime};
use abide_reconcile::{
    Attend, Fault, Kind, Name, Owner, Progress, Reclaim, SourceId, Unit, UnitId, UnitSpec, Want,
    spec::kind::ContainerSpec,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs, io,
    sync::{Arc, Mutex},
};

/// Executes `args` of a container's spec by the host's shell.
#[derive(Clone, Default)]
pub(crate) struct Scripts {
    /// Fails so at the launch.
    pub(crate) refuses: Arc<Mutex<Option<Fault>>>,
}

impl Runtime for Scripts {
    fn kind(&self) -> Kind {
        Kind::Container
    }

    fn prepare(&self, _: &Unit, _: &dyn Attend) -> Result<(), Fault> {
        Ok(())
    }

    fn launch(&self, place: &Place, unit: &Unit) -> Result<Launch, Fault> {
        fs::write(place.dir.join("launched"), "").unwrap();
        if let Some(fault) = self.refuses.lock().unwrap().clone() {
            return Err(fault);
        }
        let UnitSpec::Container(spec) = &unit.spec else { panic!("{unit:?}") };
        let args: Vec<Vec<u8>> = spec.args.iter().flatten().map(|arg| arg.clone().into_bytes()).collect();
        let job = Job {
            program: Program {
                args: args.into(),
                env: vec![b"PATH=/bin:/usr/bin".to_vec()].into(),
                working_dir: "/".into(),
            },
            namespaces: libc::CLONE_NEWPID as u64,
            open_files: OpenFiles { soft: 256, hard: 256 },
            stop_signal: libc::SIGTERM,
            ..Job::default()
        };
        let link = if spec.host_network { Link::None } else { Link::Veth };
        Ok(Launch { job, link })
    }

    fn update(&self, _: &Place, _: &Unit, _: &Unit) -> Result<(), Fault> {
        Ok(())
    }

    fn ask_to_stop(&self, place: &Place, _: &Unit) -> Result<(), Fault> {
        let asked = Client::connect(&place.dir).and_then(|client| client.stop());
        asked.map_err(|error| Fault::Again(error.to_string().into()))
    }

    fn clear_away(&self, place: &Place) -> Result<(), Fault> {
        match fs::remove_file(place.dir.join("launched")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
            _ => Ok(()),
        }
    }
}

pub(crate) struct Nobody;

impl Attend for Nobody {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

pub(crate) fn owner() -> Owner {
    Owner { source: SourceId(Name::new("infra").unwrap()), reclaim: Reclaim::Keep }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A container that executes a script, with more of a spec as JSON.
pub(crate) fn script(called: &str, script: &str, more: &Value) -> Arc<Want> {
    container(called, &["/bin/sh", "-c", script], more)
}

pub(crate) fn container(called: &str, args: &[&str], more: &Value) -> Arc<Want> {
    let mut spec = json!({ "image": "none", "args": args });
    spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let spec: ContainerSpec = serde_json::from_value(spec).unwrap();
    let id = UnitId { scope: name("infra"), kind: Kind::Container, name: name(called), index: 0 };
    let unit = Unit {
        id,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: UnitSpec::Container(Arc::new(spec)),
        config_maps: BTreeMap::new(),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        insecure_registries: Vec::new(),
    };
    Arc::new(Want::new(Arc::new(unit)))
}
