//! What a document may not say, whatever others say.

use super::is_absolute;
use crate::{
    diagnostic::Diagnostic,
    document::{
        Document,
        Part::{self, Index, Key},
    },
    kind::{BootFile, ContainerSpec, Grants, Mount, Port, Probe, VirtualMachineSpec, VolumeForm, VolumeSpec},
    limits::{
        CAPABILITIES, CMDLINE_BYTES_MAX, DEPENDENCIES_MAX, DISKS_MAX, KERNEL_PATHS, MACHINE_MEMORY_MIN, MOUNTS_MAX,
        PORTS_MAX, SECTOR, VARIABLES_MAX, VCPUS_MAX,
    },
    words,
};
use std::collections::BTreeSet;

/// Checks of one document.
pub(super) struct One<'d, 'f> {
    pub(super) document: &'d Document<'f>,
    pub(super) grants: &'d Grants,
    pub(super) mistakes: &'d mut Vec<Diagnostic>,
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

    pub(super) fn container(&mut self, spec: &ContainerSpec) {
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

    pub(super) fn virtual_machine(&mut self, spec: &VirtualMachineSpec) {
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

    pub(super) fn volume(&mut self, spec: &VolumeSpec) {
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
