//! What it takes to get from one version of a unit to another: nothing, a live change, or a new instance.
//!
//! Decided on both versions as today's code reads them, never on texts or old digests: a release that adds a default
//! replaces nothing.

use crate::{
    id::{Digest, Kind},
    unit::{Data, Unit, UnitSpec},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing differs.
    None,
    /// What differs is changed while the instance runs.
    Live(Vec<FieldChange>),
    /// A new instance, which takes over.
    Replace(Vec<FieldChange>),
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Where, as `spec.resources.memory`.
    pub path: String,
    /// What it was; empty where there was nothing. Secrets are masked.
    pub old: String,
    /// What it is to be.
    pub new: String,
}

/// What changing a field of a spec takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// It is read when it is needed, or written to the running instance.
    Live,
    /// Only a new instance has it.
    Replace,
}

use Impact::{Live, Replace};

/// Every field of every spec.
pub const FIELDS: &[(Kind, &str, Impact)] = &[
    (Kind::Container, "args", Replace),
    (Kind::Container, "command", Replace),
    (Kind::Container, "dependsOn", Live),
    (Kind::Container, "env", Replace),
    (Kind::Container, "hostNetwork", Replace),
    (Kind::Container, "image", Replace),
    (Kind::Container, "liveness", Live),
    (Kind::Container, "ports", Replace),
    (Kind::Container, "readOnlyRoot", Replace),
    (Kind::Container, "readiness", Live),
    (Kind::Container, "resources", Live),
    (Kind::Container, "restartPolicy", Live),
    (Kind::Container, "security", Replace),
    (Kind::Container, "stopGracePeriod", Live),
    (Kind::Container, "user", Replace),
    (Kind::Container, "volumes", Replace),
    (Kind::Container, "workingDir", Replace),
    (Kind::VirtualMachine, "boot", Replace),
    (Kind::VirtualMachine, "dependsOn", Live),
    (Kind::VirtualMachine, "disks", Replace),
    (Kind::VirtualMachine, "liveness", Live),
    (Kind::VirtualMachine, "ports", Replace),
    (Kind::VirtualMachine, "readiness", Live),
    (Kind::VirtualMachine, "resources", Replace),
    (Kind::VirtualMachine, "restartPolicy", Live),
    (Kind::VirtualMachine, "stopGracePeriod", Live),
    // A volume is never replaced: its backend changes what can be changed, and refuses the rest.
    (Kind::Volume, "form", Live),
    (Kind::Volume, "reclaim", Live),
    (Kind::Volume, "size", Live),
    // What a machine needs for another commit, it sees to by itself.
    (Kind::Machine, "commit", Live),
];

/// What it takes to get from `old` to `new`, and which fields say so.
pub fn change(old: &Unit, new: &Unit) -> Change {
    if old == new {
        return Change::None;
    }
    let mut fields = Vec::new();
    let mut is_replaced = differs("spec", &spec(&old.spec), &spec(&new.spec), &mut fields) && {
        let kind = new.kind();
        old.kind() != kind || fields.iter().any(|field| impact(kind, &field.path) == Replace)
    };
    is_replaced |= old.config_maps != new.config_maps;
    differs("configMap", &texts(old), &texts(new), &mut fields);
    is_replaced |= differs("file", &digests(old), &digests(new), &mut fields);
    if old.secrets != new.secrets {
        is_replaced = true;
        for name in old.secrets.keys().chain(new.secrets.keys().filter(|name| !old.secrets.contains_key(name))) {
            if old.secrets.get(name) != new.secrets.get(name) {
                fields.push(FieldChange {
                    path: format!("secret.{name}"), old: "•••".into(), new: "•••".into()
                });
            }
        }
    }
    differs("metadata.labels", &json(&old.labels), &json(&new.labels), &mut fields);
    differs("metadata.annotations", &json(&old.annotations), &json(&new.annotations), &mut fields);
    // Where an image comes from matters when it is pulled, which has been done for what runs.
    differs("source.insecureRegistries", &json(&old.insecure_registries), &json(&new.insecure_registries), &mut fields);
    if is_replaced { Change::Replace(fields) } else { Change::Live(fields) }
}

impl Unit {
    /// SHA-256 of what only a new instance can change: versions of equal shape are changed in place.
    ///
    /// Equal shapes are what [`change`] doesn't call [`Change::Replace`]; a test holds the two together.
    pub fn shape(&self) -> Digest {
        let kind = self.kind();
        let mut spec = spec(&self.spec);
        if let Value::Object(fields) = &mut spec {
            fields.retain(|field, _| impact(kind, field) == Replace);
        }
        let shape = serde_json::json!([&self.id, spec, &self.config_maps, digests(self), &self.secrets]);
        Digest::of(shape.to_string().as_bytes())
    }
}

fn impact(kind: Kind, path: &str) -> Impact {
    let field = path.strip_prefix("spec.").unwrap_or(path);
    let field = field.split(['.', '[']).next().unwrap_or(field);
    let known = FIELDS.iter().find(|(of, name, _)| *of == kind && *name == field);
    known.map_or(Replace, |(_, _, impact)| *impact)
}

fn spec(spec: &UnitSpec) -> Value {
    match spec {
        UnitSpec::Container(spec) => json(spec),
        UnitSpec::VirtualMachine(spec) => json(spec),
        UnitSpec::Volume(spec) => json(spec),
        UnitSpec::Assignment(spec) => json(spec),
        UnitSpec::Machine(spec) => json(spec),
    }
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// ConfigMaps as they were written: base64 where that is no text.
fn texts(unit: &Unit) -> Value {
    let text = |data: &Data| str::from_utf8(&data.0).map_or_else(|_| json(data), Value::from);
    let keys = |data: &BTreeMap<String, Data>| data.iter().map(|(key, data)| (key.clone(), text(data))).collect();
    Value::Object(unit.config_maps.iter().map(|(name, data)| (name.to_string(), Value::Object(keys(data)))).collect())
}

fn digests(unit: &Unit) -> Value {
    let digests: BTreeMap<_, _> = unit.files.iter().map(|(path, file)| (path, file.digest)).collect();
    json(&digests)
}

/// Collects the leaves that differ; says whether there are any.
fn differs(path: &str, old: &Value, new: &Value, fields: &mut Vec<FieldChange>) -> bool {
    match (old, new) {
        _ if old == new => false,
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            for key in keys {
                let (old, new) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
                differs(&format!("{path}.{key}"), old, new, fields);
            }
            true
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (n, (old, new)) in old.iter().zip(new).enumerate() {
                differs(&format!("{path}[{n}]"), old, new, fields);
            }
            true
        }
        _ => {
            fields.push(FieldChange { path: path.to_owned(), old: text(old), new: text(new) });
            true
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
