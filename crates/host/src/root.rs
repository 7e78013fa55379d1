//! Where everything of one agent is, and what sets it apart from other agents on the same machine.
//!
//! ```text
//! /var/lib/abide   root.json   what it is: format, id, network       outlives a reboot
//!                  lock, epoch held and counted by the agent
//!                  sources/ volumes/ leases/ images/ files/ layers/ log/
//! /run/abide       agent.sock  hook.sock  units/                     of this boot
//! ```
//!
//! With `--root DIR` these are `DIR/state` and `DIR/run`. What is in them is root's alone, but for `hook.sock`: whoever may
//! push must get to it, so others may go through the run folder, and see nothing in it. Every name that the kernel knows
//! (bridge, links, control groups, tables) is made of the root's tag, so several live side by side.

use crate::fs::{self, Dir, Resolve, Sync};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{DirBuilder, File, Permissions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Of `root.json`. A root of a later format is refused.
const FORMAT: u32 = 1;
const RECORD: &str = "root.json";
const RECORD_BYTES_MAX: u64 = 64 << 10;

/// Why a root can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of it.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// A file of it, by path.
    #[error("cannot {act} {}", path.display())]
    Path {
        /// As "make the folder".
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It was made by a later release, or isn't ours.
    #[error("{} was not written by this release ({why}): run the release that wrote it, or choose another root with --root", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Where a root is. It needn't exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What outlives a reboot.
    pub state: PathBuf,
    /// What is of this boot.
    pub run: PathBuf,
}

/// Six hexadecimal digits that are in every name the kernel knows of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

/// A root, as its agent has it.
#[derive(Debug)]
pub struct Root {
    paths: Paths,
    state: Dir,
    run: Dir,
    record: Record,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: u32,
    id: String,
    /// Of the bridge, once chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

impl Paths {
    /// Of the machine's own root, or of the one in this folder.
    pub fn of(root: Option<&Path>) -> Self {
        match root {
            None => Self { state: "/var/lib/abide".into(), run: "/run/abide".into() },
            Some(root) => Self { state: root.join("state"), run: root.join("run") },
        }
    }

    /// Makes the folders and says where they really are: without symbolic links.
    pub fn make(&self) -> Result<Self, Error> {
        let made = Self { state: make(&self.state, 0o700)?, run: make(&self.run, 0o711)? };
        make(&made.units(), 0o700)?;
        Ok(made)
    }

    /// Where the agent listens.
    pub fn agent_socket(&self) -> PathBuf {
        self.run.join("agent.sock")
    }

    /// Where the agent listens to hooks.
    pub fn hook_socket(&self) -> PathBuf {
        self.run.join("hook.sock")
    }

    /// Where instances are.
    pub fn units(&self) -> PathBuf {
        self.run.join("units")
    }

    /// Where logs are.
    pub fn logs(&self) -> PathBuf {
        self.state.join("log")
    }
}

impl Root {
    /// Opens a root, and gives it an id if it has none. The caller is its only agent.
    pub fn open(paths: &Paths) -> Result<Self, Error> {
        let (state, run) = (Dir::open(&paths.state)?, Dir::open(&paths.run)?);
        let record = match read(&state, RECORD)? {
            Some(text) => parse(&paths.state.join(RECORD), &text)?,
            None => {
                let record = Record { format: FORMAT, id: random_id()?, network: None };
                write(&state, &record)?;
                record
            }
        };
        Ok(Self { paths: paths.clone(), state, run, record })
    }

    /// Where it is, without symbolic links in the path.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// What outlives a reboot.
    pub fn state(&self) -> &Dir {
        &self.state
    }

    /// What is of this boot.
    pub fn run(&self) -> &Dir {
        &self.run
    }

    /// What its names are made of.
    pub fn tag(&self) -> Tag {
        Tag(self.record.id[..6].to_owned())
    }

    /// The network of its bridge, as text, once chosen.
    pub fn network(&self) -> Option<&str> {
        self.record.network.as_deref()
    }

    /// Chooses the network of its bridge, for good.
    pub fn set_network(&mut self, network: String) -> Result<(), Error> {
        self.record.network = Some(network);
        write(&self.state, &self.record)
    }
}

impl Tag {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A folder that is there already is put right: an earlier release may have made it, or a careless hand.
fn make(path: &Path, mode: u32) -> Result<PathBuf, Error> {
    let failed = |act| move |source| Error::Path { act, path: path.to_owned(), source };
    let above = path.parent().map_or(Ok(()), |above| DirBuilder::new().recursive(true).mode(0o755).create(above));
    above.map_err(failed("make the folder above"))?;
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make the folder")(error)),
        _ => {}
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of"))?;
    path.canonicalize().map_err(failed("open the folder"))
}

fn read(state: &Dir, name: &str) -> Result<Option<String>, Error> {
    match state.read(name, Resolve::Beneath, RECORD_BYTES_MAX) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse(path: &Path, text: &str) -> Result<Record, Error> {
    let foreign = |why: String| Error::Foreign { path: path.to_owned(), why };
    let record: Record = serde_json::from_str(text).map_err(|error| foreign(error.to_string()))?;
    if record.format > FORMAT {
        return Err(foreign(format!("its format is {}", record.format)));
    }
    if record.id.len() < 6 || !record.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(foreign(format!("its id is {:?}", record.id)));
    }
    Ok(record)
}

fn write(state: &Dir, record: &Record) -> Result<(), Error> {
    // A struct of texts and a number always has a form in JSON.
    let text = serde_json::to_vec(record).unwrap_or_default();
    Ok(state.write(RECORD, &text, 0o600, Sync::Durable)?)
}

fn random_id() -> Result<String, Error> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| Error::Path { act: "read", path: path.to_owned(), source })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_keeps_its_id_and_its_network() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::of(Some(&folder.path().join("a/b"))).make().unwrap();
        let mut root = Root::open(&paths).unwrap();
        let tag = root.tag();
        assert_eq!(root.network(), None);
        root.set_network("10.1.0.0/20".to_owned()).unwrap();
        drop(root);
        let root = Root::open(&paths).unwrap();
        assert_eq!((root.network(), root.tag()), (Some("10.1.0.0/20"), tag));
    }

    #[test]
    fn others_may_go_through_the_run_folder_alone() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::of(Some(folder.path())).make().unwrap();
        std::fs::set_permissions(&paths.state, Permissions::from_mode(0o777)).unwrap();
        let paths = paths.make().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!([&paths.state, &paths.run, &paths.units()].map(|path| mode(path)), [0o700, 0o711, 0o700]);
    }

    #[test]
    fn one_of_a_later_release_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::of(Some(folder.path())).make().unwrap();
        drop(Root::open(&paths).unwrap());
        for text in ["{\"format\": 2, \"id\": \"00112233\"}", "{\"format\": 1, \"id\": \"../../x\"}", "nonsense"] {
            std::fs::write(paths.state.join(RECORD), text).unwrap();
            assert!(matches!(Root::open(&paths), Err(Error::Foreign { .. })), "{text}");
        }
    }
}
