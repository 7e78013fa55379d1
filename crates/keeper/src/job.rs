//! What the agent wants executed, complete: the keeper looks nothing up and decides nothing.

use crate::wire::{List, Malformed, Wire, wire};

/// Of everything in this module. A keeper is spawned by the agent that has it embedded, so both are always the same; what
/// outlives an agent are [`crate::record`] and [`crate::message`].
const VERSION: u32 = 1;

/// An instance to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// What is executed.
    pub program: Program,
    /// Who it runs as.
    pub identity: Identity,
    /// The file systems it sees; the host's, if none.
    pub root: Option<Root>,
    /// Namespaces of its own, as flags of clone(2).
    pub namespaces: u64,
    /// The host name, where it has an own UTS namespace.
    pub hostname: String,
    /// Files `cgroup.procs` to join, before the cgroup namespace is made.
    pub cgroups: List<String>,
    /// Written to `oom_score_adj` if the kernel lets us.
    pub oom_score_adj: i32,
    /// Soft and hard limit of open files, clamped to what we have.
    pub open_files: OpenFiles,
    /// Lines `path=value` of `/proc/sys` in its own network namespace.
    pub sysctls: List<String>,
    /// How it is asked to end.
    pub stop_signal: i32,
    /// Where its output goes.
    pub log: Log,
    /// The instance's directory, for the records and the socket.
    pub directory: String,
}

/// A program to execute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its name and arguments. The name is a path in the instance, or is looked up in `PATH` there.
    pub args: List<Vec<u8>>,
    /// Its environment, `NAME=VALUE` each.
    pub env: List<Vec<u8>>,
    /// Where it starts; made if it isn't there.
    pub working_dir: String,
}

/// Limits of open files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFiles {
    /// What it has.
    pub soft: u64,
    /// What it can raise that to.
    pub hard: u64,
}

/// Who the program runs as, and what it may do. Also of every further process in the instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups; set also if empty.
    pub groups: List<u32>,
    /// Bit n is capability n: bounding, permitted and effective. Inheritable and ambient are always empty.
    pub capabilities: u64,
    /// Whether set-user-ID programs gain nothing.
    pub no_new_privileges: bool,
    /// Programs of classic BPF (`struct sock_filter[]`), installed in this order.
    pub seccomp: List<Vec<u8>>,
}

/// The file systems of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// What is at `/`.
    pub base: Base,
    /// What is mounted below it, in this order.
    pub mounts: List<Mount>,
    /// Paths that show nothing.
    pub masked: List<String>,
    /// Paths that can't be written.
    pub read_only: List<String>,
    /// Whether `/` itself can't be written once everything is mounted.
    pub is_read_only: bool,
}

/// What is at `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// An empty directory of the instance to mount on.
    pub at: String,
    /// Layers, the top one first. One without `upper` is bound as it is; without any, `/` is an empty tmpfs.
    pub lowers: List<String>,
    /// Where changes go; none makes it read-only.
    pub upper: Option<Upper>,
}

/// Layers as overlayfs takes them, all in one page with the other options, and so as short as can be: relative to the folder
/// that has them all. That one, and `lowerdir=…`.
pub fn lower_option(lowers: &[String]) -> (String, String) {
    let mut folder = lowers.first().and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
    let in_it = |folder: &str, path: &String| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    while !folder.is_empty() && !lowers.iter().all(|path| in_it(folder, path)) {
        folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
    }
    let names: Vec<_> = lowers.iter().map(|path| path[folder.len()..].trim_start_matches('/')).collect();
    (format!("{folder}/"), format!("lowerdir={}", names.join(":")))
}

/// Where an overlay keeps changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upper {
    /// The changes.
    pub upper: String,
    /// The kernel's scratch directory, on the same file system.
    pub work: String,
}

/// Something mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Where, resolved beneath the new root; made if it isn't there.
    pub target: String,
    /// Whether it can't be written.
    pub read_only: bool,
    /// Whether its programs can't be executed.
    pub no_exec: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A file or folder of the host.
    Bind(String),
    /// A new tmpfs.
    Tmpfs {
        /// Bytes.
        size: u64,
        /// Mode of its root.
        mode: u32,
        /// Owner of its root, and of the files below.
        uid: u32,
        /// Group of the same.
        gid: u32,
        /// What is in it from the start: names and contents.
        files: List<File>,
    },
    /// The processes of the new namespace.
    Proc,
    /// The kernel's objects, read-only.
    Sysfs,
    /// Devices: a tmpfs with null, zero, full, random, urandom, tty, pts and shm.
    Devices {
        /// Bytes of `/dev/shm`.
        shm_size: u64,
    },
    /// POSIX message queues.
    Mqueue,
    /// The instance's control groups, read-only (v2).
    Cgroup,
}

/// A file of a tmpfs, mode 0440 and owned like the tmpfs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Its name, without `/`.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The file; older ones get `.1`, `.2`, … appended.
    pub path: String,
    /// Bytes of a file before it is rotated.
    pub bytes_max: u64,
    /// How many there are at most.
    pub files_max: u32,
}

wire!(Program { args, env, working_dir });
wire!(OpenFiles { soft, hard });
wire!(Identity { uid, gid, groups, capabilities, no_new_privileges, seccomp });
wire!(Root { base, mounts, masked, read_only, is_read_only });
wire!(Base { at, lowers, upper });
wire!(Upper { upper, work });
wire!(Mount { source, target, read_only, no_exec });
wire!(File { name, content });
wire!(Log { path, bytes_max, files_max });

impl Wire for MountSource {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bind(path) => {
                to.push(0);
                path.put(to);
            }
            Self::Tmpfs { size, mode, uid, gid, files } => {
                to.push(1);
                size.put(to);
                mode.put(to);
                uid.put(to);
                gid.put(to);
                files.put(to);
            }
            Self::Proc => to.push(2),
            Self::Sysfs => to.push(3),
            Self::Devices { shm_size } => {
                to.push(4);
                shm_size.put(to);
            }
            Self::Mqueue => to.push(5),
            Self::Cgroup => to.push(6),
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Bind(Wire::take(from)?),
            1 => Self::Tmpfs {
                size: Wire::take(from)?,
                mode: Wire::take(from)?,
                uid: Wire::take(from)?,
                gid: Wire::take(from)?,
                files: Wire::take(from)?,
            },
            2 => Self::Proc,
            3 => Self::Sysfs,
            4 => Self::Devices { shm_size: Wire::take(from)? },
            5 => Self::Mqueue,
            6 => Self::Cgroup,
            _ => return Err(Malformed),
        })
    }
}

impl Wire for Job {
    fn put(&self, to: &mut Vec<u8>) {
        VERSION.put(to);
        self.program.put(to);
        self.identity.put(to);
        self.root.put(to);
        self.namespaces.put(to);
        self.hostname.put(to);
        self.cgroups.put(to);
        self.oom_score_adj.put(to);
        self.open_files.put(to);
        self.sysctls.put(to);
        self.stop_signal.put(to);
        self.log.put(to);
        self.directory.put(to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        if u32::take(from)? != VERSION {
            return Err(Malformed);
        }
        Ok(Self {
            program: Wire::take(from)?,
            identity: Wire::take(from)?,
            root: Wire::take(from)?,
            namespaces: Wire::take(from)?,
            hostname: Wire::take(from)?,
            cgroups: Wire::take(from)?,
            oom_score_adj: Wire::take(from)?,
            open_files: Wire::take(from)?,
            sysctls: Wire::take(from)?,
            stop_signal: Wire::take(from)?,
            log: Wire::take(from)?,
            directory: Wire::take(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_within_the_folder_of_all() {
        let cases = [
            (&["/s/layers/b/fs", "/s/layers/a/fs"][..], "/s/layers/", "lowerdir=b/fs:a/fs"),
            (&["/s/layers/a/fs"], "/s/layers/a/", "lowerdir=fs"),
            (&["/s/ab", "/s/a", "/t"], "/", "lowerdir=s/ab:s/a:t"),
            (&["/s/a/b", "/s/a"], "/s/", "lowerdir=a/b:a"),
            (&[], "/", "lowerdir="),
        ];
        for (paths, folder, option) in cases {
            let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
            assert_eq!(lower_option(&paths), (folder.to_owned(), option.to_owned()));
        }
    }
}
