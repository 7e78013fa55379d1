//! What mistakes are called.
//!
//! The validator here and the rules that a cluster's API server keeps (`operator`'s CRDs) say a mistake in the same
//! words, so the words are here once. What is known only here (a place in a file, the nearest right word, what another
//! document says) is added by who says them.

use crate::{diagnostic::suggest, id::Kind, kind::VolumeForm};

/// What an amount of bytes is called, and how it is written.
pub const BYTES: Quantity =
    Quantity { what: "amount of bytes", instead: "a whole number with Ki, Mi, Gi, Ti or k, M, G, T, as 256Mi" };
/// The same of processor time.
pub const CPU: Quantity =
    Quantity { what: "amount of processor time", instead: "cores, as 2, or thousandths of one, as 1500m" };
/// The same of a span of time.
pub const SPAN: Quantity =
    Quantity { what: "span of time", instead: "a whole number with ms, s, m or h, as 2s or 1500ms" };

/// After `@`.
pub const IMAGE_DIGEST: &str = "after `@` goes sha256: and 64 hexadecimal digits";
/// After `:`.
pub const IMAGE_TAG: &str = "a tag is 1 to 128 of A-Z, a-z, 0-9, _, . and -";
/// Between registry and tag.
pub const IMAGE_REPOSITORY: &str =
    "a repository is made of a-z and 0-9, with . _ and - between them, and / between its parts";
/// Before the first `/`.
pub const IMAGE_REGISTRY: &str = "a registry is a host name or address, with a port where it needs one";

/// A container's command without a program.
pub const COMMAND_EMPTY: &str = "the command is empty: name a program, or leave the field out";
/// A probe's command without a program.
pub const PROBE_COMMAND_EMPTY: &str = "the command is empty: name a program";
/// Of working directories and of the host's files.
pub const ABSOLUTE: &str = "expected an absolute path without `.` and `..`";
/// Of places to mount on.
pub const MOUNT_PATH: &str = "expected an absolute path below `/`, without `.` and `..`";
/// Ports of a container in the host's network.
pub const HOST_NETWORK_PORTS: &str = "a container in the host's network has the host's ports already: leave this out";
/// A probe of a virtual machine that executes.
pub const MACHINE_EXEC: &str = "nothing can be executed in a virtual machine: use `http` or `tcp`";
/// A probe's path.
pub const HTTP_PATH: &str = "expected a path that begins with `/`, without spaces";
/// A count that may not be 0.
pub const AT_LEAST_ONE: &str = "expected at least 1";
/// A span that may not be empty.
pub const NO_TIME: &str = "expected more than no time, as 1s";
/// A machine's processor time.
pub const MACHINE_CPU: &str = "a virtual machine has whole vCPUs: 1 to 64";
/// A machine's memory.
pub const MACHINE_MEMORY: &str = "a virtual machine needs at least 16Mi";
/// A machine's processes.
pub const MACHINE_PIDS: &str = "`pids` is for containers: a guest counts its own";
/// A disk without a size.
pub const DISK_WITHOUT_SIZE: &str = "a disk needs a `size`, as 10Gi";
/// A disk of half a sector.
pub const DISK_SIZE: &str = "a disk's size is a multiple of 512 bytes, as 10Gi";
/// A directory with a size.
pub const DIRECTORY_SIZE: &str = "a directory has no size: only a disk has";
/// A disk that is to have fewer bytes than it has.
pub const DISK_SHRINKS: &str = "a disk can't shrink; write its size or more";

/// How quantities of a sort are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// What it is.
    pub what: &'static str,
    /// What to write.
    pub instead: &'static str,
}

impl Quantity {
    /// `text` isn't one.
    pub fn no(self, text: &str) -> String {
        self.instead_of(text, self.instead)
    }

    /// `text` isn't one, but `exact` would be the same.
    pub fn instead_of(self, text: &str, exact: &str) -> String {
        format!("{text:?} is no {}: write {exact}", self.what)
    }
}

/// `text` isn't the name of a document.
pub fn no_name(text: &str) -> String {
    format!("{text:?} is no name: use 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")
}

/// `text` isn't the name of a cluster's node.
pub fn no_node(text: &str) -> String {
    format!(
        "{text:?} is no name of a node: use names of a-z, 0-9 and - with dots between them, as `kubectl get nodes` shows it"
    )
}

/// `text` isn't a unit as others refer to it.
pub fn no_unit(text: &str) -> String {
    format!("{text:?} is no unit: write KIND/NAME, as Container/{text}")
}

/// There is no such kind of unit.
pub fn unknown_kind(kind: &str) -> String {
    format!("unknown kind `{kind}`{}", suggest(kind, Kind::WRITTEN.map(Kind::as_str)))
}

/// `text` isn't an image, and why not.
pub fn no_image(text: &str, why: &str) -> String {
    format!("{text:?} is no image: {why}")
}

/// `text` isn't a port.
pub fn no_port(text: &str) -> String {
    format!("expected a port from 1 to 65535, not {text:?}")
}

/// `name` can't be a variable of the environment.
pub fn no_variable(name: &str) -> String {
    format!("{name:?} is no name of a variable")
}

/// There is no such capability.
pub fn unknown_capability(name: &str) -> String {
    let hint = suggest(name.trim_start_matches("CAP_"), crate::limits::CAPABILITIES.iter().copied());
    format!("unknown capability {name:?}{hint}")
}

/// None, or several, of these fields are written.
pub fn exactly_one(fields: &[&str]) -> String {
    format!("exactly one of `{}` must be here", fields.join("`, `"))
}

/// A field that must be there isn't.
pub fn missing(field: &str) -> String {
    format!("`{field}` is missing")
}

/// A field that can't be here.
pub fn unknown_field<'a>(field: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    format!("unknown field `{field}`{}", suggest(field, known))
}

/// A list that is longer than anything needs.
pub fn too_many(count: usize, max: usize) -> String {
    format!("at most {max} may be here, not {count}")
}

/// A place that has two mounts.
pub fn two_mounts(path: &str) -> String {
    format!("{path:?} has two mounts; keep one")
}

/// A mount where the kernel shows its own.
pub fn kernels_path(path: &str) -> String {
    format!("nothing can be mounted on `{path}`: it is the kernel's")
}

/// A port that is written twice.
pub fn port_twice(port: &str) -> String {
    format!("port {port} is here twice; keep one")
}

/// A kernel's command line that is too long, or isn't one.
pub fn command_line() -> String {
    let max = crate::limits::CMDLINE_BYTES_MAX;
    format!("a kernel's command line is one line of printable ASCII, {max} bytes at most")
}

/// A volume that is to be of another form than its data.
pub fn other_form(is: VolumeForm, wanted: VolumeForm) -> String {
    let word = |form| match form {
        VolumeForm::Directory => "a directory",
        VolumeForm::Disk => "a disk",
    };
    let (is, wanted) = (word(is), word(wanted));
    format!(
        "its data is {is}, and it is wanted as {wanted}: give it another name, or remove the volume and its data first"
    )
}
