//! The objects of a namespace as the validator reads them: a folder with a file for each.
//!
//! An object that falls back to what it was stands there as the others see that: its ports, its volumes, its needs. One
//! that is out stands there as a document that can't be read: so it may be referred to, and nothing else.

use super::{DataName, DataState, Object, object::document};
use abide_spec::{Kind, Tree, TreeFile, Unit, UnitId, UnitSpec};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// In the order in which they are judged, the eldest first.
#[derive(Debug, Default)]
pub(super) struct Folder {
    files: Vec<TreeFile>,
    texts: BTreeMap<String, Arc<[u8]>>,
}

impl Folder {
    pub(super) fn add(&mut self, id: &UnitId, document: &Arc<str>) {
        self.put(format!("{}/{}.yaml", id.kind, id.name), document);
    }

    pub(super) fn add_data(&mut self, name: &DataName, state: &DataState) {
        if let DataState::There(data) = state {
            self.put(format!("{name}.yaml"), &name.document(data));
        }
    }

    fn put(&mut self, path: String, text: &Arc<str>) {
        let bytes: Arc<[u8]> = Arc::clone(text).into();
        self.files.push(TreeFile { path: path.clone(), size: bytes.len() as u64, is_executable: false, odd: None });
        self.texts.insert(path, bytes);
    }
}

impl Tree for Folder {
    fn files(&self) -> Vec<TreeFile> {
        self.files.clone()
    }

    fn is_repository(&self) -> bool {
        false
    }

    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        self.texts.get(path).cloned().ok_or_else(|| "it is not there".to_owned())
    }
}

/// What others see of a unit.
pub(super) fn kept(unit: &Unit) -> Arc<str> {
    let mut spec = match &unit.spec {
        UnitSpec::Volume(spec) => json!(spec),
        // No document says it.
        UnitSpec::Assignment(_) | UnitSpec::Machine(_) => Value::Null,
        UnitSpec::VirtualMachine(spec) => json!({ "boot": { "kernel": { "hostPath": "/" } }, "disks": spec.disks }),
        UnitSpec::Container(spec) => {
            let mounts = spec.volumes.iter().filter(|mount| mount.volume.is_some());
            json!({ "image": "kept", "volumes": mounts.collect::<Vec<_>>() })
        }
    };
    if unit.kind() != Kind::Volume {
        spec["ports"] = json!(unit.ports());
        spec["dependsOn"] = json!(unit.depends_on());
    }
    document(&unit.id, json!({ "name": unit.id.name }), Some(spec))
}

/// What others see of an object that is in no state to be used.
pub(super) fn broken(object: &Object) -> Arc<str> {
    let spec = object.form.as_ref().map_or(Value::Null, |form| json!({ "form": form }));
    document(&object.id, json!({ "name": object.id.name }), Some(spec))
}
