//! Objects of the cluster as plain data: what a document says, and what the cluster says about it.

use abide_spec::{Name, Scope, UnitId, unit::Data};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// What stands in an object's spec for the cluster, and is no part of the document.
const FOR_THE_CLUSTER: [&str; 2] = ["node", "nodeSelector"];

/// An object of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its kind and name; its namespace is the scope.
    pub id: UnitId,
    /// What the cluster says about it.
    pub meta: Meta,
    /// The ConfigMaps and Secrets that it names.
    pub names: BTreeSet<DataName>,
    /// As a repository would have it: JSON, which is YAML.
    pub(super) document: Arc<str>,
    /// Of a volume, its form as written: others ask for it even if the rest can't be read.
    pub(super) form: Option<String>,
}

/// What the cluster says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// No other object ever has it.
    pub uid: String,
    /// Grows with each change of the spec.
    pub generation: i64,
    /// When it was made, as the cluster writes it: `2026-11-25T07:30:00Z` sorts by time.
    pub created: String,
    /// Whether it is being deleted.
    pub life: Life,
    /// Whether our finalizer is on it.
    pub has_finalizer: bool,
}

/// Whether an object is being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// No.
    Living,
    /// Somebody deleted it; it goes when the last finalizer does.
    Terminating,
}

/// A ConfigMap or a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataName {
    /// Its namespace.
    pub scope: Scope,
    /// Which of the two.
    pub sort: Sort,
    /// Its name.
    pub name: Name,
}

/// ConfigMap or Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// For everybody.
    ConfigMap,
    /// For few.
    Secret,
}

/// What was heard of a ConfigMap or Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataState {
    /// Its keys.
    There(BTreeMap<String, Data>),
    /// There is none.
    Absent,
    /// The agent may not read it.
    Forbidden,
    /// It can't be read for now, and why.
    Unreadable(String),
}

impl Object {
    /// Makes a document of an object.
    pub fn new(id: UnitId, meta: Meta, labels: &BTreeMap<String, String>, mut spec: Value) -> Self {
        if let Value::Object(fields) = &mut spec {
            fields.retain(|field, _| !FOR_THE_CLUSTER.contains(&field.as_str()));
        }
        // Annotations are tools' notes, some with each look at the object. No unit depends on any, so none is taken.
        let metadata = json!({ "name": id.name, "labels": labels });
        let names = names(&id.scope, &spec);
        let form = spec.get("form").and_then(Value::as_str).map(str::to_owned);
        let document = document(&id, metadata, Some(spec));
        Self { id, meta, names, document, form }
    }
}

/// A document as JSON in lines, so that the line of a mistake tells something.
pub(super) fn document(id: &UnitId, metadata: Value, spec: Option<Value>) -> Arc<str> {
    let mut document = Map::new();
    document.insert("apiVersion".to_owned(), "abide.dev/v1alpha1".into());
    document.insert("kind".to_owned(), id.kind.as_str().into());
    document.insert("metadata".to_owned(), metadata);
    document.extend(spec.map(|spec| ("spec".to_owned(), spec)));
    escaped(&format!("{:#}", Value::Object(document))).into()
}

/// JSON may hold characters as they are that YAML wants escaped. They are in texts only, so both read the escape.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text
}

/// What a spec names, readable as a whole or not: `env.*` and `volumes[]`, as containers have them.
fn names(scope: &Scope, spec: &Value) -> BTreeSet<DataName> {
    let env = spec.get("env").and_then(Value::as_object).into_iter().flat_map(Map::values);
    let mounts = spec.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let fields = [(Sort::ConfigMap, "configMap"), (Sort::Secret, "secret")];
    let named = env.chain(mounts).flat_map(|user| fields.map(|(sort, field)| (sort, user.get(field))));
    let named = named.filter_map(|(sort, name)| {
        let name = Name::new(name?.as_str()?).ok()?;
        Some(DataName { scope: scope.clone(), sort, name })
    });
    named.collect()
}

impl DataName {
    /// Its data as a document.
    pub(super) fn document(&self, data: &BTreeMap<String, Data>) -> Arc<str> {
        let field = match self.sort {
            Sort::ConfigMap => "binaryData",
            Sort::Secret => "data",
        };
        let kind = self.sort.as_str();
        json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": self.name }, field: data }).to_string().into()
    }
}

impl Sort {
    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

impl fmt::Display for DataName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sort.as_str(), self.name)
    }
}
