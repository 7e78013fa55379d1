//! Documents: what a file says, one at a time, before anybody asks what it refers to.

use crate::{
    decode::{Decode, Decoder, Object, describe},
    diagnostic::{Diagnostic, Place, suggest},
    fleet::{FleetSpec, RolloutSpec},
    id::Kind,
    kind::{Armored, Metadata, SealedSecretSpec, SourceSpec, VolumeSpec},
    unit::{Data, UnitSpec},
    yaml::{File, Node, Value},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The version of our own kinds.
pub(crate) const API_VERSION: &str = "abide.dev/v1alpha1";

/// A document that can be read; what it refers to is not checked.
#[derive(Debug)]
pub(crate) struct Document<'f> {
    pub(crate) file: &'f File,
    pub(crate) node: &'f Node,
    pub(crate) name_place: Place,
    pub(crate) metadata: Metadata,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Unit(UnitSpec),
    ConfigMap(BTreeMap<String, Data>),
    Secret(BTreeMap<String, Data>),
    /// A Secret whose values only machines of a fleet can open.
    Sealed(BTreeMap<String, Armored>),
    Source(Box<SourceSpec>),
    Fleet(Box<FleetSpec>),
    Rollout(Box<RolloutSpec>),
    /// It has mistakes; but a document of this kind and name is there, and may be referred to.
    Broken(&'static str),
}

/// What can be written as `apiVersion` and `kind`.
const KINDS: [(&str, &str); 9] = [
    (API_VERSION, "Container"),
    (API_VERSION, "VirtualMachine"),
    (API_VERSION, "Volume"),
    (API_VERSION, "Source"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    (API_VERSION, "Secret"),
    (API_VERSION, "Fleet"),
    (API_VERSION, "Rollout"),
];

impl Body {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unit(spec) => spec.kind().map_or("Assignment", Kind::as_str),
            Self::ConfigMap(_) => "ConfigMap",
            Self::Secret(_) | Self::Sealed(_) => "Secret",
            Self::Source(_) => "Source",
            Self::Fleet(_) => "Fleet",
            Self::Rollout(_) => "Rollout",
            Self::Broken(kind) => kind,
        }
    }
}

impl<'f> Document<'f> {
    /// Reads a document and reports its mistakes; `None` says that not even its kind and name could be read.
    pub(crate) fn read(file: &'f File, node: &'f Node, mistakes: &mut Vec<Diagnostic>) -> Option<Self> {
        let mut to = Decoder { file, mistakes, is_secret: false };
        let (version, kind) = kind(node, &mut to)?;
        to.is_secret = kind == "Secret";
        let fields: &[&str] = match kind {
            _ if version == API_VERSION => &["apiVersion", "kind", "metadata", "spec"],
            "ConfigMap" => &["apiVersion", "kind", "metadata", "data", "binaryData", "immutable"],
            _ => &["apiVersion", "kind", "metadata", "data", "stringData", "type", "immutable"],
        };
        let object = to.object(node, fields)?;
        let metadata = metadata(&object, node, &mut to);
        let body = match kind {
            "Container" => object.required("spec", &mut to).map(Arc::new).map(UnitSpec::Container).map(Body::Unit),
            "VirtualMachine" => {
                object.required("spec", &mut to).map(Arc::new).map(UnitSpec::VirtualMachine).map(Body::Unit)
            }
            "Volume" => {
                let spec = object.optional("spec", VolumeSpec::default, &mut to);
                spec.map(Arc::new).map(UnitSpec::Volume).map(Body::Unit)
            }
            "Source" => object.required("spec", &mut to).map(Box::new).map(Body::Source),
            "Fleet" => object.required("spec", &mut to).map(Box::new).map(Body::Fleet),
            "Rollout" => object.optional("spec", RolloutSpec::default, &mut to).map(Box::new).map(Body::Rollout),
            "Secret" if version == API_VERSION => {
                object.required("spec", &mut to).map(|SealedSecretSpec { data }| Body::Sealed(data))
            }
            "ConfigMap" => data(&object, "data", "binaryData", &mut to).map(Body::ConfigMap),
            _ => data(&object, "stringData", "data", &mut to).map(Body::Secret),
        };
        let metadata = metadata?;
        let name_place = node.get("metadata").and_then(|node| node.get("name")).map_or(node.place, |name| name.place);
        Some(Self { file, node, name_place, metadata, body: body.unwrap_or(Body::Broken(kind)) })
    }

    pub(crate) fn mistake(&self, place: Place, message: impl Into<String>) -> Diagnostic {
        let mut mistake = self.file.diagnostic(place, message);
        if self.body.kind() == "Secret" && place != self.name_place {
            mistake.text.clear();
        }
        mistake
    }

    /// The place of what is written at this path below the document, or of the nearest thing above it.
    pub(crate) fn place(&self, path: &[Part<'_>]) -> Place {
        let mut node = self.node;
        for part in path {
            let Some(next) = part.of(node) else { break };
            node = next;
        }
        node.place
    }

    /// Whether something is written at this path: what was, and couldn't be read, isn't missing.
    pub(crate) fn has(&self, path: &[Part<'_>]) -> bool {
        let node = path.iter().try_fold(self.node, |node, part| part.of(node));
        node.is_some_and(|node| !matches!(node.value, Value::Null))
    }
}

/// A step down a document.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Key(&'a str),
    Index(usize),
}

impl Part<'_> {
    /// What is there, a step below.
    pub(crate) fn of<'n>(&self, node: &'n Node) -> Option<&'n Node> {
        match (self, &node.value) {
            (Self::Key(key), _) => node.get(key),
            (Self::Index(n), Value::List(list)) => list.get(*n),
            (Self::Index(_), _) => None,
        }
    }
}

/// The `apiVersion` and `kind`.
fn kind(node: &Node, to: &mut Decoder<'_>) -> Option<(&'static str, &'static str)> {
    if !matches!(node.value, Value::Map(_)) {
        to.mistake(node.place, format!("expected a document with `apiVersion` and `kind`, not {}", describe(node)));
        return None;
    }
    if is_compose(node) {
        let text = "this is a file of Docker Compose: what abide reads has an `apiVersion` and a `kind`; \
                    docs/coming-from.md has one rewritten";
        to.mistake(node.place, text);
        return None;
    }
    let mut word = |key: &str| {
        let word = node.get(key).and_then(|node| Some((node.scalar()?, node.place)));
        if word.is_none() {
            to.mistake(node.place, format!("`{key}` is missing"));
        }
        word
    };
    let (version, kind) = (word("apiVersion"), word("kind"));
    let ((version, version_place), (kind, kind_place)) = (version?, kind?);
    let of_kind: Vec<_> = KINDS.into_iter().filter(|(_, known)| *known == kind).collect();
    if of_kind.is_empty() {
        let kinds: BTreeSet<&str> = KINDS.into_iter().map(|(_, kind)| kind).collect();
        let hint =
            if version == API_VERSION { "" } else { "; docs/coming-from.md has the nearest words of other tools" };
        to.mistake(kind_place, format!("unknown kind `{kind}`{}{hint}", suggest(kind, kinds)));
        return None;
    }
    let found = of_kind.iter().copied().find(|(known, _)| *known == version);
    if found.is_none() {
        let right: Vec<&str> = of_kind.iter().map(|(version, _)| *version).collect();
        let text = format!("unknown apiVersion `{version}`: a {kind} is of `{}`", right.join("` or `"));
        to.mistake(version_place, text);
    }
    found
}

/// Whether it is what many have written before they come here.
fn is_compose(node: &Node) -> bool {
    let is_ours = ["apiVersion", "kind"].iter().any(|key| node.get(key).is_some());
    !is_ours && node.get("services").is_some_and(|services| matches!(services.value, Value::Map(_)))
}

fn metadata(object: &Object<'_>, node: &Node, to: &mut Decoder<'_>) -> Option<Metadata> {
    if let Some(namespace) = node.get("metadata").and_then(|node| node.get("namespace")) {
        to.mistake(namespace.place, "`namespace` is for Kubernetes: here a unit's scope is its source; leave it out");
        return None;
    }
    object.required("metadata", to)
}

/// The values of a ConfigMap or Secret: some as they are, some in base64.
fn data(object: &Object<'_>, plain: &str, encoded: &str, to: &mut Decoder<'_>) -> Option<BTreeMap<String, Data>> {
    let texts = object.optional(plain, BTreeMap::<String, Text>::new, to);
    let bytes = object.optional(encoded, BTreeMap::<String, Encoded>::new, to);
    let mut data: BTreeMap<String, Data> = bytes?.into_iter().map(|(key, Encoded(data))| (key, data)).collect();
    // In Kubernetes `stringData` wins over `data`.
    data.extend(texts?.into_iter().map(|(key, Text(text))| (key, Data(text.into_bytes().into()))));
    Some(data)
}

struct Text(String);

impl Decode for Text {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        String::decode(node, to).map(Self)
    }
}

struct Encoded(Data);

impl Decode for Encoded {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        let text = String::decode(node, to)?;
        let packed: String = text.split_whitespace().collect();
        let data = STANDARD.decode(packed).ok();
        if data.is_none() {
            to.mistake(node.place, "this is not base64; write plain text under `stringData` (of a ConfigMap: `data`)");
        }
        data.map(|bytes| Self(Data(bytes.into())))
    }
}
