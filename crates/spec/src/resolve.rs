//! What documents refer to: ConfigMaps, Secrets and files become part of the unit that names them.

use crate::{
    diagnostic::{Diagnostic, Place, suggest},
    document::{
        Body, Document,
        Part::{self, Index, Key},
    },
    id::{Digest, Name, UnitId},
    kind::{Armored, BootFile, ContainerSpec, EnvValue, VirtualMachineSpec},
    parse::{Context, Secrets, Unseal},
    tree::{Tree, TreeFile},
    unit::{Data, FileRef, ListedFile, Listing, Unit, UnitSpec},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Bytes of a file that a document names.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a folder that a document names: an image.
const FOLDER_BYTES_MAX: u64 = 1 << 30;

type Keys = BTreeMap<String, Data>;

/// The values of a ConfigMap or Secret.
#[derive(Clone, Copy)]
enum Values<'a> {
    Plain(&'a Keys),
    Sealed(&'a BTreeMap<String, Armored>, &'a Document<'a>),
}

/// Knows what there is to refer to.
pub(crate) struct Resolver<'a> {
    tree: &'a dyn Tree,
    paths: BTreeMap<&'a str, &'a TreeFile>,
    config_maps: BTreeMap<&'a Name, Values<'a>>,
    secrets: BTreeMap<&'a Name, Values<'a>>,
    unseal: Option<&'a dyn Unseal>,
    /// What was opened so far: many units may use it. Nothing is what couldn't be, which was said.
    opened: BTreeMap<(Name, String), Option<Data>>,
    /// Documents that are there, but not what is in them.
    broken: BTreeSet<(&'static str, &'a Name)>,
    files: BTreeMap<Digest, Arc<[u8]>>,
    /// What paths were resolved to: many units boot one kernel.
    known: BTreeMap<String, FileRef>,
}

/// A unit that is being put together.
struct Draft<'d, 'f> {
    document: &'d Document<'f>,
    /// Whether every document's name is known: only then can one be missing.
    is_whole: bool,
    mistakes: &'d mut Vec<Diagnostic>,
    config_maps: BTreeMap<Name, Keys>,
    secrets: BTreeMap<Name, Keys>,
    files: BTreeMap<String, FileRef>,
}

#[derive(Clone, Copy)]
enum Sort {
    ConfigMap,
    Secret,
}

impl<'a> Values<'a> {
    fn keys(self) -> Vec<&'a str> {
        match self {
            Self::Plain(data) => data.keys().map(String::as_str).collect(),
            Self::Sealed(data, _) => data.keys().map(String::as_str).collect(),
        }
    }
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        tree: &'a dyn Tree,
        files: &'a [TreeFile],
        documents: &'a [Document<'a>],
        secrets_are: Secrets<'a>,
    ) -> Self {
        let unseal = if let Secrets::Sealed(unseal) = secrets_are { unseal } else { None };
        let (mut config_maps, mut secrets, mut broken) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for document in documents {
            match &document.body {
                Body::ConfigMap(data) => config_maps.insert(&document.metadata.name, Values::Plain(data)),
                Body::Secret(data) => secrets.insert(&document.metadata.name, Values::Plain(data)),
                Body::Sealed(data) => secrets.insert(&document.metadata.name, Values::Sealed(data, document)),
                Body::Unit(_) | Body::Source(_) | Body::Fleet(_) | Body::Rollout(_) | Body::Broken(_) => None,
            };
            if let Body::Broken(kind) = document.body {
                broken.insert((kind, &document.metadata.name));
            }
        }
        let paths = files.iter().map(|file| (file.path.as_str(), file)).collect();
        let (opened, files, known) = Default::default();
        Self { tree, paths, config_maps, secrets, unseal, opened, broken, files, known }
    }

    pub(crate) fn into_files(self) -> BTreeMap<Digest, Arc<[u8]>> {
        self.files
    }

    /// The unit of a document, if it is one.
    pub(crate) fn unit(
        &mut self,
        document: &Document<'_>,
        context: Context<'_>,
        is_whole: bool,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<Unit> {
        let Body::Unit(spec) = &document.body else { return None };
        let (config_maps, secrets, files) = Default::default();
        let mut draft = Draft { document, is_whole, mistakes, config_maps, secrets, files };
        match spec {
            UnitSpec::Container(spec) => self.container(spec, &mut draft),
            UnitSpec::VirtualMachine(spec) => self.virtual_machine(spec, &mut draft),
            UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => {}
        }
        let Draft { config_maps, secrets, files, .. } = draft;
        let id =
            UnitId { scope: context.scope.clone(), kind: spec.kind()?, name: document.metadata.name.clone(), index: 0 };
        let is_container = matches!(spec, UnitSpec::Container(_));
        Some(Unit {
            id,
            labels: document.metadata.labels.clone(),
            annotations: document.metadata.annotations.clone(),
            spec: spec.clone(),
            config_maps,
            secrets,
            files,
            insecure_registries: if is_container { context.grants.insecure_registries.clone() } else { Vec::new() },
        })
    }

    fn container(&mut self, spec: &ContainerSpec, draft: &mut Draft<'_, '_>) {
        for (name, value) in &spec.env {
            match value {
                EnvValue::Value { .. } => {}
                EnvValue::ConfigMap { config_map, key } => {
                    self.key(Sort::ConfigMap, config_map, Some(key), &[Key("spec"), Key("env"), Key(name)], draft);
                }
                EnvValue::Secret { secret, key } => {
                    self.key(Sort::Secret, secret, Some(key), &[Key("spec"), Key("env"), Key(name)], draft);
                }
            }
        }
        for (n, mount) in spec.volumes.iter().enumerate() {
            let at = [Key("spec"), Key("volumes"), Index(n)];
            if let Some(name) = &mount.config_map {
                self.key(Sort::ConfigMap, name, None, &at, draft);
            }
            if let Some(name) = &mount.secret {
                self.key(Sort::Secret, name, None, &at, draft);
            }
        }
        let path = spec.image.strip_prefix("oci:").or_else(|| spec.image.strip_prefix("docker-archive:"));
        if let Some(path) = path.filter(|path| !path.starts_with('/')) {
            self.file(path, draft.document.place(&[Key("spec"), Key("image")]), draft);
        }
    }

    fn virtual_machine(&mut self, spec: &VirtualMachineSpec, draft: &mut Draft<'_, '_>) {
        let initrd = spec.boot.initrd.as_ref().map(|file| ("initrd", file));
        for (field, BootFile { file, .. }) in initrd.into_iter().chain([("kernel", &spec.boot.kernel)]) {
            if let Some(path) = file {
                let place = draft.document.place(&[Key("spec"), Key("boot"), Key(field), Key("file")]);
                self.file(path, place, draft);
            }
        }
    }

    /// Takes one key of a ConfigMap or Secret, or all, into the unit.
    fn key(&mut self, sort: Sort, name: &Name, key: Option<&str>, at: &[Part<'_>], draft: &mut Draft<'_, '_>) {
        let (all, word, field) = match sort {
            Sort::ConfigMap => (&self.config_maps, "ConfigMap", "configMap"),
            Sort::Secret => (&self.secrets, "Secret", "secret"),
        };
        let place = |last| draft.document.place(&[at, &[Key(last)]].concat());
        let Some(values) = all.get(name).copied() else {
            if draft.is_whole && !self.broken.contains(&(word, name)) {
                let hint = suggest(name.as_str(), all.keys().map(|name| name.as_str()));
                let mistake = draft.document.mistake(place(field), format!("there is no {word} `{name}`{hint}"));
                draft.mistakes.push(mistake);
            }
            return;
        };
        let keys = match key {
            None => values.keys(),
            Some(key) if values.keys().contains(&key) => vec![key],
            Some(key) => {
                let hint = suggest(key, values.keys());
                let text = format!("{word} `{name}` has no key `{key}`{hint}");
                let mistake = draft.document.mistake(place("key"), text);
                draft.mistakes.push(mistake);
                return;
            }
        };
        let taken: Keys = keys
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), self.value(values, name, key, draft.mistakes)?)))
            .collect();
        let into = match sort {
            Sort::ConfigMap => &mut draft.config_maps,
            Sort::Secret => &mut draft.secrets,
        };
        into.entry(name.clone()).or_default().extend(taken);
    }

    /// The value of a key that is there; `None` if it can't be opened.
    fn value(&mut self, values: Values<'_>, name: &Name, key: &str, mistakes: &mut Vec<Diagnostic>) -> Option<Data> {
        let (sealed, document) = match values {
            Values::Plain(data) => return data.get(key).cloned(),
            Values::Sealed(sealed, document) => (sealed.get(key)?, document),
        };
        let Some(unseal) = self.unseal else { return Some(Data(sealed.as_str().as_bytes().into())) };
        let value = self.opened.entry((name.clone(), key.to_owned())).or_insert_with(|| {
            let opened = unseal.unseal(sealed.as_str()).map_err(|why| {
                let place = document.place(&[Key("spec"), Key("data"), Key(key)]);
                let text = format!("this machine can't open it: {why}");
                mistakes.push(document.mistake(place, text));
            });
            opened.ok().map(|bytes| Data(bytes.into()))
        });
        value.clone()
    }

    /// Takes a file, or all files of a folder, into the unit.
    fn file(&mut self, path: &str, place: Place, draft: &mut Draft<'_, '_>) {
        match self.resolve(path) {
            Ok(file) => {
                draft.files.insert(path.to_owned(), file);
            }
            Err(why) => draft.mistakes.push(draft.document.mistake(place, why)),
        }
    }

    fn resolve(&mut self, path: &str) -> Result<FileRef, String> {
        if let Some(file) = self.known.get(path) {
            return Ok(file.clone());
        }
        if !self.tree.is_repository() {
            return Err(format!("there is no repository here that {path:?} could be of: use hostPath or a registry"));
        }
        let clean = path.trim_end_matches('/');
        let is_inside = !clean.split('/').any(|part| matches!(part, "" | "." | ".."));
        if !is_inside {
            return Err(format!("{path:?} is no path of the repository: write it without `/` before it, `.` and `..`"));
        }
        let folder = format!("{clean}/");
        let below = self.paths.range(folder.as_str()..).take_while(|(path, _)| path.starts_with(&folder));
        let below: Vec<&TreeFile> = below.map(|(_, file)| *file).collect();
        let file = match self.paths.get(clean) {
            Some(file) => self.store(file).map(|(digest, size)| FileRef { digest, size })?,
            None if below.is_empty() => {
                let hint = suggest(clean, self.paths.keys().copied());
                return Err(format!("there is no file {path:?} in the repository{hint}"));
            }
            None => self.folder(&folder, &below)?,
        };
        self.known.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    fn folder(&mut self, folder: &str, files: &[&TreeFile]) -> Result<FileRef, String> {
        let size: u64 = files.iter().map(|file| file.size).sum();
        if size > FOLDER_BYTES_MAX {
            return Err(format!("the folder {folder:?} has {size} bytes: at most {FOLDER_BYTES_MAX}; use a registry"));
        }
        let mut listing = Listing::new();
        for file in files {
            let (digest, size) = self.store(file)?;
            let path = file.path[folder.len()..].to_owned();
            listing.insert(path, ListedFile { digest, size, executable: file.is_executable });
        }
        let text = serde_json::to_vec(&listing).map_err(|error| error.to_string())?;
        let digest = Digest::of(&text);
        self.files.insert(digest, text.into());
        Ok(FileRef { digest, size })
    }

    fn store(&mut self, file: &TreeFile) -> Result<(Digest, u64), String> {
        let TreeFile { path, size, odd, .. } = file;
        if let Some(odd) = odd {
            return Err(format!("{path:?} can't be used: {odd}"));
        }
        if *size > FILE_BYTES_MAX {
            return Err(format!("{path:?} has {size} bytes: at most {FILE_BYTES_MAX} may be in a repository"));
        }
        let bytes = self.tree.read(path).map_err(|why| format!("{path:?} can't be read: {why}"))?;
        let digest = Digest::of(&bytes);
        let size = bytes.len() as u64;
        self.files.insert(digest, bytes);
        Ok((digest, size))
    }
}
