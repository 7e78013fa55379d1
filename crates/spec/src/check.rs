//! What a document may not say though it can be read, and what documents may not say together.

use crate::{
    diagnostic::{Diagnostic, Related, suggest},
    document::{
        Body, Document,
        Part::{self, Index, Key},
    },
    id::{Kind, Name, UnitRef},
    kind::{
        BootFile, ContainerSpec, Credentials, Dependency, Follow, GitSource, Grants, Mount, Port, Probe, Protocol,
        SourceSpec, VirtualMachineSpec, VolumeForm, VolumeSpec,
    },
    limits::{
        CAPABILITIES, CMDLINE_BYTES_MAX, DEPENDENCIES_MAX, DISKS_MAX, KERNEL_PATHS, MACHINE_MEMORY_MIN, MOUNTS_MAX,
        PORTS_MAX, SECTOR, VARIABLES_MAX, VCPUS_MAX,
    },
    unit::UnitSpec,
    words,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Checks all documents of a source, each alone and then together.
///
/// `is_whole` says that every document's name is known: only then can one be missing.
pub(crate) fn documents(documents: &[Document<'_>], grants: &Grants, is_whole: bool, mistakes: &mut Vec<Diagnostic>) {
    let mut together = Together { is_whole, volumes: BTreeMap::new(), units: BTreeMap::new(), mistakes };
    together.names(documents);
    for document in documents {
        let Body::Unit(spec) = &document.body else { continue };
        let mut one = One { document, grants, mistakes: together.mistakes };
        match spec {
            UnitSpec::Container(spec) => one.container(spec),
            UnitSpec::VirtualMachine(spec) => one.virtual_machine(spec),
            UnitSpec::Volume(spec) => one.volume(spec),
            UnitSpec::Assignment(_) | UnitSpec::Machine(_) => {}
        }
    }
    together.ports(documents);
    together.writers(documents);
    together.needs(documents);
}

/// Checks a source of the machine's owner.
pub(crate) fn source(document: &Document<'_>, spec: &SourceSpec, mistakes: &mut Vec<Diagnostic>) {
    let mut say = |path: &[Part<'_>], text: String| mistakes.push(document.mistake(document.place(path), text));
    match &spec.follow {
        Follow::Git(git) => repository(git, &mut say),
        // A field that nothing reads would be taken for one that works.
        Follow::Kubernetes(_) if spec.credentials != Credentials::default() => {
            let text =
                "these are for repositories: an agent finds what it needs for its cluster in its pod or `KUBECONFIG`";
            say(&[Key("spec"), Key("credentials")], text.to_owned());
        }
        Follow::Hub(hub) => {
            if !is_hub(&hub.url) {
                let text = format!("{:?} is no hub: write https://HOST or https://HOST:PORT", hub.url);
                say(&[Key("spec"), Key("hub"), Key("url")], text);
            }
            if spec.credentials != Credentials::default() {
                let text = "these are for repositories: a machine shows its hub the certificate of `abide enroll`";
                say(&[Key("spec"), Key("credentials")], text.to_owned());
            }
        }
        Follow::Kubernetes(_) | Follow::Placement | Follow::Fleet => {}
    }
    let files = [("tokenFile", &spec.credentials.token_file), ("caFile", &spec.credentials.ca_file)];
    for (field, file) in files {
        if file.as_ref().is_some_and(|file| !file.starts_with('/')) {
            say(&[Key("spec"), Key("credentials"), Key(field)], "expected an absolute path".to_owned());
        }
    }
    for (n, path) in spec.grants.host_paths.iter().enumerate() {
        if !is_absolute(path) {
            let text = format!("expected an absolute path without `.` and `..`, not {path:?}");
            say(&[Key("spec"), Key("grants"), Key("hostPaths"), Index(n)], text);
        }
    }
}

/// Whether it is a place that a hub can be at: its paths are the protocol's.
fn is_hub(url: &str) -> bool {
    let host = url.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    host.is_some_and(|host| {
        !host.is_empty() && !host.contains(['/', '@', '?', '#']) && host.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

fn repository(git: &GitSource, say: &mut dyn FnMut(&[Part<'_>], String)) {
    let url = &git.url;
    let is_local = url.starts_with('/') || url.starts_with("file:///");
    if !is_local && !url.starts_with("https://") {
        let text = format!("{url:?} can't be followed: write an absolute path, file:///PATH or https://HOST/PATH");
        say(&[Key("spec"), Key("git"), Key("url")], text);
    }
    let is_inside = |path: &String| !path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if git.path.as_ref().is_some_and(|path| !is_inside(path)) {
        say(&[Key("spec"), Key("git"), Key("path")], "expected a folder of the repository, as hosts/edge-7".to_owned());
    }
}

/// Checks of one document.
struct One<'d, 'f> {
    document: &'d Document<'f>,
    grants: &'d Grants,
    mistakes: &'d mut Vec<Diagnostic>,
}

impl One<'_, '_> {
    fn say(&mut self, path: &[Part<'_>], text: impl Into<String>) {
        let mistake = self.document.mistake(self.document.place(&[&[Key("spec")], path].concat()), text);
        self.mistakes.push(mistake);
    }

    /// Fields of which one must be here, and only one.
    fn exactly_one(&mut self, path: &[Part<'_>], fields: &[&str]) {
        let has = |field: &&&str| self.document.has(&[&[Key("spec")], path, &[Key(field)]].concat());
        if fields.iter().filter(has).count() != 1 {
            self.say(path, words::exactly_one(fields));
        }
    }

    /// A list or map within its bound.
    fn bounded(&mut self, field: &'static str, count: usize, max: usize) {
        if count > max {
            self.say(&[Key(field)], words::too_many(count, max));
        }
    }

    fn container(&mut self, spec: &ContainerSpec) {
        self.bounded("env", spec.env.len(), VARIABLES_MAX);
        self.bounded("volumes", spec.volumes.len(), MOUNTS_MAX);
        self.image(&spec.image);
        for name in spec.env.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            self.say(&[Key("env"), Key(name)], words::no_variable(name));
        }
        if spec.command.as_ref().is_some_and(Vec::is_empty) {
            self.say(&[Key("command")], words::COMMAND_EMPTY);
        }
        if spec.working_dir.as_ref().is_some_and(|path| !is_absolute(path)) {
            self.say(&[Key("workingDir")], words::ABSOLUTE);
        }
        let mut places = BTreeSet::new();
        for (n, mount) in spec.volumes.iter().enumerate() {
            self.mount(n, mount);
            let place = mount.mount_path.trim_end_matches('/');
            if !places.insert(place) {
                let text = words::two_mounts(place);
                self.say(&[Key("volumes"), Index(n), Key("mountPath")], text);
            }
        }
        for (field, list) in [
            ("capabilitiesAdd", &spec.security.capabilities_add),
            ("capabilitiesDrop", &spec.security.capabilities_drop),
        ] {
            for (n, name) in list.iter().enumerate() {
                let is_all = name == "ALL" && field == "capabilitiesDrop";
                if !CAPABILITIES.contains(&name.as_str()) && !is_all {
                    self.say(&[Key("security"), Key(field), Index(n)], words::unknown_capability(name));
                }
            }
        }
        if !spec.security.capabilities_add.is_empty() && !self.grants.privileged {
            self.not_granted(&[Key("security"), Key("capabilitiesAdd")], "adding capabilities", "privileged: true");
        }
        if spec.host_network {
            if !self.grants.host_network {
                self.not_granted(&[Key("hostNetwork")], "the host's network", "hostNetwork: true");
            }
            if !spec.ports.is_empty() {
                self.say(&[Key("ports")], words::HOST_NETWORK_PORTS);
            }
        }
        self.ports(&spec.ports);
        self.bounded("dependsOn", spec.depends_on.len(), DEPENDENCIES_MAX);
        self.probes(spec.readiness.as_ref(), spec.liveness.as_ref(), true);
    }

    fn virtual_machine(&mut self, spec: &VirtualMachineSpec) {
        self.bounded("disks", spec.disks.len(), DISKS_MAX);
        if spec.resources.cpu.is_some_and(|cpu| cpu.millis % 1000 != 0 || cpu.millis > VCPUS_MAX * 1000) {
            self.say(&[Key("resources"), Key("cpu")], words::MACHINE_CPU);
        }
        if spec.resources.memory.is_some_and(|memory| memory.0 < MACHINE_MEMORY_MIN) {
            self.say(&[Key("resources"), Key("memory")], words::MACHINE_MEMORY);
        }
        if spec.resources.pids.is_some() {
            self.say(&[Key("resources"), Key("pids")], words::MACHINE_PIDS);
        }
        let files = spec.boot.initrd.iter().map(|file| ("initrd", file)).chain([("kernel", &spec.boot.kernel)]);
        for (field, BootFile { host_path, .. }) in files {
            self.exactly_one(&[Key("boot"), Key(field)], &["file", "hostPath"]);
            if let Some(path) = host_path {
                self.host_path(&[Key("boot"), Key(field), Key("hostPath")], path);
            }
        }
        let cmdline = &spec.boot.cmdline;
        if cmdline.len() > CMDLINE_BYTES_MAX || cmdline.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
            self.say(&[Key("boot"), Key("cmdline")], words::command_line());
        }
        self.ports(&spec.ports);
        self.bounded("dependsOn", spec.depends_on.len(), DEPENDENCIES_MAX);
        self.probes(spec.readiness.as_ref(), spec.liveness.as_ref(), false);
    }

    fn volume(&mut self, spec: &VolumeSpec) {
        let has_size = self.document.has(&[Key("spec"), Key("size")]);
        match (spec.form, spec.size) {
            (VolumeForm::Disk, None) if !has_size => self.say(&[], words::DISK_WITHOUT_SIZE),
            (VolumeForm::Disk, Some(size)) if size.0 == 0 || size.0 % SECTOR != 0 => {
                self.say(&[Key("size")], words::DISK_SIZE);
            }
            (VolumeForm::Directory, _) if has_size => self.say(&[Key("size")], words::DIRECTORY_SIZE),
            _ => {}
        }
    }

    fn image(&mut self, image: &str) {
        let path = image.strip_prefix("oci:").or_else(|| image.strip_prefix("docker-archive:"));
        match path {
            Some(path) if path.starts_with('/') => self.host_path(&[Key("image")], path),
            Some(_) => {}
            None => match crate::reference::Reference::parse(image) {
                Err(error) => self.say(&[Key("image")], error.to_string()),
                Ok(reference) => {
                    let granted = &self.grants.registries;
                    if !granted.is_empty() && !granted.contains(&reference.registry) {
                        let text = format!("images of `{}`", reference.registry);
                        self.not_granted(&[Key("image")], &text, &format!("registries: [{}]", reference.registry));
                    }
                }
            },
        }
    }

    fn mount(&mut self, n: usize, mount: &Mount) {
        let at = [Key("volumes"), Index(n)];
        self.exactly_one(&at, &["volume", "configMap", "secret", "tmpfs", "hostPath"]);
        if let Some(path) = &mount.host_path {
            self.host_path(&[at[0], at[1], Key("hostPath")], path);
        }
        let path = mount.mount_path.trim_end_matches('/');
        // However many slashes are before it.
        let first = path.split('/').find(|part| !part.is_empty());
        let is_below = |kernel: &&&str| kernel.strip_prefix('/') == first;
        let target = [at[0], at[1], Key("mountPath")];
        if !is_absolute(&mount.mount_path) || path.is_empty() {
            self.say(&target, words::MOUNT_PATH);
        } else if let Some(kernel) = KERNEL_PATHS.iter().find(is_below) {
            self.say(&target, words::kernels_path(kernel));
        }
    }

    fn host_path(&mut self, at: &[Part<'_>], path: &str) {
        if !is_absolute(path) {
            return self.say(at, words::ABSOLUTE);
        }
        let is_granted = self.grants.host_paths.iter().any(|granted| {
            let granted = granted.trim_end_matches('/');
            path == granted || path.strip_prefix(granted).is_some_and(|rest| rest.starts_with('/'))
        });
        if !is_granted {
            self.not_granted(at, &format!("the host's {path:?}"), &format!("hostPaths: [{path}]"));
        }
    }

    fn not_granted(&mut self, at: &[Part<'_>], what: &str, grant: &str) {
        let text = format!("{what} is not granted: the machine's owner would say `grants: {{{grant}}}` in the Source");
        self.say(at, text);
    }

    fn ports(&mut self, ports: &[Port]) {
        self.bounded("ports", ports.len(), PORTS_MAX);
        let mut seen = BTreeSet::new();
        for (n, port) in ports.iter().enumerate() {
            if !seen.insert((port.port, port.protocol, port.host_port)) {
                self.say(&[Key("ports"), Index(n)], words::port_twice(&port.port.to_string()));
            }
        }
    }

    fn probes(&mut self, readiness: Option<&Probe>, liveness: Option<&Probe>, has_exec: bool) {
        let probes = [("readiness", readiness), ("liveness", liveness)];
        for (field, probe) in probes.into_iter().filter_map(|(field, probe)| Some((field, probe?))) {
            self.exactly_one(&[Key(field)], &["exec", "http", "tcp"]);
            if probe.exec.is_some() && !has_exec {
                self.say(&[Key(field), Key("exec")], words::MACHINE_EXEC);
            }
            if probe.exec.as_ref().is_some_and(|exec| exec.command.is_empty()) {
                self.say(&[Key(field), Key("exec"), Key("command")], words::PROBE_COMMAND_EMPTY);
            }
            if probe
                .http
                .as_ref()
                .is_some_and(|http| !http.path.starts_with('/') || http.path.contains([' ', '\r', '\n']))
            {
                self.say(&[Key(field), Key("http"), Key("path")], words::HTTP_PATH);
            }
            if probe.failure_threshold == 0 {
                self.say(&[Key(field), Key("failureThreshold")], words::AT_LEAST_ONE);
            }
            for (span, name) in [(probe.interval, "interval"), (probe.timeout, "timeout")] {
                if span.0.is_zero() {
                    self.say(&[Key(field), Key(name)], words::NO_TIME);
                }
            }
        }
    }
}

/// Checks of documents against each other.
struct Together<'d, 'f> {
    is_whole: bool,
    volumes: BTreeMap<&'d Name, &'d VolumeSpec>,
    units: BTreeMap<UnitRef, &'d Document<'f>>,
    mistakes: &'d mut Vec<Diagnostic>,
}

impl<'d, 'f> Together<'d, 'f> {
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

    fn ports(&mut self, documents: &'d [Document<'f>]) {
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
    fn writers(&mut self, documents: &'d [Document<'f>]) {
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
    fn needs(&mut self, documents: &'d [Document<'f>]) {
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

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0') && !path.split('/').any(|part| matches!(part, "." | ".."))
}
