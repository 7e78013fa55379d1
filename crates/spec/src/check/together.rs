//! What documents may not say together: names and ports twice, volumes with two writers, needs that are not there or that
//! wait for each other.

use crate::{
    diagnostic::{Diagnostic, Related, suggest},
    document::{
        Body, Document,
        Part::{self, Index, Key},
    },
    id::{Kind, Name, UnitRef},
    kind::{Dependency, Mount, Port, Protocol, VolumeForm, VolumeSpec},
    unit::UnitSpec,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Checks of documents against each other.
pub(super) struct Together<'d, 'f> {
    is_whole: bool,
    volumes: BTreeMap<&'d Name, &'d VolumeSpec>,
    units: BTreeMap<UnitRef, &'d Document<'f>>,
    pub(super) mistakes: &'d mut Vec<Diagnostic>,
}

impl<'d, 'f> Together<'d, 'f> {
    /// Checks their names, by which they are found from now on.
    pub(super) fn new(is_whole: bool, documents: &'d [Document<'f>], mistakes: &'d mut Vec<Diagnostic>) -> Self {
        let mut together = Self { is_whole, volumes: BTreeMap::new(), units: BTreeMap::new(), mistakes };
        together.names(documents);
        together
    }

    fn names(&mut self, documents: &'d [Document<'f>]) {
        let mut first: BTreeMap<(&str, &Name), &Document<'_>> = BTreeMap::new();
        for document in documents {
            let name = &document.metadata.name;
            let kind = document.body.kind();
            if let Some(first) = first.get(&(kind, name)) {
                let text = format!("there are two documents {kind}/{name}; rename or remove one");
                let mistake = document.mistake(document.name_place, text);
                self.mistakes.push(also(mistake, first, &[Key("metadata"), Key("name")], "the other one is here"));
                continue;
            }
            first.insert((kind, name), document);
            if let Body::Unit(UnitSpec::Volume(volume)) = &document.body {
                self.volumes.insert(name, volume);
            }
            if let Some(kind) = Kind::WRITTEN.into_iter().find(|known| known.as_str() == kind) {
                self.units.insert(UnitRef { kind, name: name.clone() }, document);
            }
        }
    }

    pub(super) fn ports(&mut self, documents: &'d [Document<'f>]) {
        let mut taken: BTreeMap<(Protocol, u16), (&Document<'_>, usize)> = BTreeMap::new();
        for document in documents {
            for (n, port) in unit_ports(document).iter().enumerate() {
                let Some(host_port) = port.host_port else { continue };
                let at = [Key("spec"), Key("ports"), Index(n), Key("hostPort")];
                let Some((other, m)) = taken.get(&(port.protocol, host_port)).copied() else {
                    taken.insert((port.protocol, host_port), (document, n));
                    continue;
                };
                let text = format!("host port {host_port} is published twice; give one of them another");
                let mistake = document.mistake(document.place(&at), text);
                let there = [Key("spec"), Key("ports"), Index(m), Key("hostPort")];
                let who = format!("{}/{} publishes it here", other.body.kind(), other.metadata.name);
                self.mistakes.push(also(mistake, other, &there, &who));
            }
        }
    }

    /// Each volume is there, of the form that its user needs, and written by one unit at most.
    pub(super) fn writers(&mut self, documents: &'d [Document<'f>]) {
        let mut writers: BTreeMap<&Name, (&Document<'_>, Vec<Part<'_>>)> = BTreeMap::new();
        for document in documents {
            for (name, writes, form, at) in uses(document) {
                match self.volumes.get(name) {
                    None if self.is_missing(Kind::Volume, name) => {
                        let hint = suggest(name.as_str(), self.volumes.keys().map(|name| name.as_str()));
                        let text = format!("there is no Volume `{name}`{hint}");
                        self.mistakes.push(document.mistake(document.place(&at), text));
                    }
                    Some(volume) if volume.form != form => {
                        let text = match form {
                            VolumeForm::Directory => {
                                format!("Volume `{name}` is a disk: only a virtual machine can use it")
                            }
                            VolumeForm::Disk => {
                                format!("Volume `{name}` is a directory: give it `form: Disk` and a size")
                            }
                        };
                        self.mistakes.push(document.mistake(document.place(&at), text));
                    }
                    _ => {}
                }
                if !writes {
                    continue;
                }
                match writers.get(name) {
                    Some((first, there))
                        if first.metadata.name != document.metadata.name
                            || first.body.kind() != document.body.kind() =>
                    {
                        let text = format!("Volume `{name}` has two writers; say `readOnly: true` in one");
                        let mistake = document.mistake(document.place(&at), text);
                        self.mistakes.push(also(mistake, first, there, "it is written here"));
                    }
                    Some(_) => {}
                    None => {
                        writers.insert(name, (document, at));
                    }
                }
            }
        }
    }

    /// Whether it is known that there is no such document: one that has mistakes is there all the same.
    fn is_missing(&self, kind: Kind, name: &Name) -> bool {
        self.is_whole && !self.units.contains_key(&UnitRef { kind, name: name.clone() })
    }

    /// Each dependency is there, can be waited for, and no unit waits for itself.
    pub(super) fn needs(&mut self, documents: &'d [Document<'f>]) {
        for document in documents {
            for (n, dependency) in depends_on(document).iter().enumerate() {
                let at = [Key("spec"), Key("dependsOn"), Index(n), Key("unit")];
                if self.is_missing(dependency.unit.kind, &dependency.unit.name) {
                    let known: Vec<String> = self.units.keys().map(ToString::to_string).collect();
                    let hint = suggest(&dependency.unit.to_string(), known.iter().map(String::as_str));
                    let text = format!("there is no {}{hint}", dependency.unit);
                    self.mistakes.push(document.mistake(document.place(&at), text));
                }
            }
        }
        for cycle in cycles(&self.units) {
            let document = self.units[&cycle[0]];
            let around: Vec<String> = cycle.iter().chain([&cycle[0]]).map(ToString::to_string).collect();
            let text = format!("each waits for the next, so none ever starts: {}", around.join(" → "));
            let at = [Key("spec"), Key("dependsOn")];
            let mistake = document.mistake(document.place(&at), text);
            let others = cycle[1..].iter().map(|unit| self.units[unit]);
            self.mistakes.push(others.fold(mistake, |mistake, other| also(mistake, other, &at, "and it waits here")));
        }
    }
}

/// Cycles of dependencies, each once and from its first unit: what is found by walking down from every unit.
fn cycles(units: &BTreeMap<UnitRef, &Document<'_>>) -> Vec<Vec<UnitRef>> {
    let mut done: BTreeSet<UnitRef> = BTreeSet::new();
    let mut cycles = Vec::new();
    for start in units.keys() {
        // The way down, and which dependency of each is next.
        let mut way: Vec<(&UnitRef, usize)> = if done.contains(start) { Vec::new() } else { vec![(start, 0)] };
        while let Some((unit, next)) = way.pop() {
            let Some(dependency) = units.get(unit).and_then(|document| depends_on(document).get(next)) else {
                done.insert(unit.clone());
                continue;
            };
            way.push((unit, next + 1));
            if let Some(n) = way.iter().position(|(above, _)| **above == dependency.unit) {
                let mut cycle: Vec<UnitRef> = way[n..].iter().map(|(unit, _)| (*unit).clone()).collect();
                let first = cycle.iter().enumerate().min_by_key(|(_, unit)| *unit).map_or(0, |(n, _)| n);
                cycle.rotate_left(first);
                cycles.push(cycle);
            } else if !done.contains(&dependency.unit) {
                way.push((&dependency.unit, 0));
            }
        }
    }
    cycles.sort();
    cycles.dedup();
    cycles
}

fn unit_ports<'d>(document: &'d Document<'_>) -> &'d [Port] {
    match &document.body {
        Body::Unit(UnitSpec::Container(spec)) => &spec.ports,
        Body::Unit(UnitSpec::VirtualMachine(spec)) => &spec.ports,
        _ => &[],
    }
}

fn depends_on<'d>(document: &'d Document<'_>) -> &'d [Dependency] {
    match &document.body {
        Body::Unit(UnitSpec::Container(spec)) => &spec.depends_on,
        Body::Unit(UnitSpec::VirtualMachine(spec)) => &spec.depends_on,
        _ => &[],
    }
}

type Use<'d> = (&'d Name, bool, VolumeForm, Vec<Part<'static>>);

/// The volumes that a document names: whether it writes them, as what, and where it says so.
fn uses<'d>(document: &'d Document<'_>) -> Vec<Use<'d>> {
    let at = |list: &'static str, n| vec![Key("spec"), Key(list), Index(n), Key("volume")];
    match &document.body {
        Body::Unit(UnitSpec::Container(spec)) => {
            let mounts = spec.volumes.iter().enumerate();
            let volume = |(n, mount): (usize, &'d Mount)| {
                Some((mount.volume.as_ref()?, !mount.read_only, VolumeForm::Directory, at("volumes", n)))
            };
            mounts.filter_map(volume).collect()
        }
        Body::Unit(UnitSpec::VirtualMachine(spec)) => {
            let disks = spec.disks.iter().enumerate();
            disks.map(|(n, disk)| (&disk.volume, !disk.read_only, VolumeForm::Disk, at("disks", n))).collect()
        }
        _ => Vec::new(),
    }
}

fn also(mut mistake: Diagnostic, other: &Document<'_>, at: &[Part<'_>], message: &str) -> Diagnostic {
    let file = Arc::clone(&other.file.name);
    mistake.related.push(Related { file, place: other.place(at), message: message.to_owned() });
    mistake
}
