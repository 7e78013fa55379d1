//! `abide init`: a bare repository that deploys what is pushed to it.
//!
//! References are plain files (reftable is nothing that libgit2 can read), no template of the machine's is copied, and
//! the hooks run this very program. Push a second time is harmless: what is there is put right.

use abide_host::fs::{Dir, Resolve, Sort};
use git2::{Config, ConfigLevel, Repository, RepositoryInitMode, RepositoryInitOptions};
use nix::{sys::stat::Mode, unistd::Gid};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, Permissions},
    io,
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
};

/// What a hook of ours says first, and how one is known again.
const MARK: &str = "# Made by `abide init`, which makes it anew.";

/// Files of the repository's own that act for whoever pushes.
const OWN: [&str; 3] = ["HEAD", "config", "description"];

/// Bytes of one push.
const PUSH_BYTES_MAX: &str = "536870912";

/// The hooks: before a push is taken, as its references move, and after it.
pub const HOOKS: [&str; 3] = ["pre-receive", MOVED, "post-receive"];

/// The hook that runs as references move.
const MOVED: &str = "reference-transaction";

/// How the repository is to be.
#[derive(Clone, Debug)]
pub struct Init<'a> {
    /// The branch that deploys.
    pub branch: &'a str,
    /// Who may push beside its owner.
    pub group: Option<u32>,
    /// The program that hooks run, by an absolute path.
    pub program: &'a Path,
    /// The root of its agent; the machine's own if none.
    pub root: Option<&'a Path>,
}

/// Whether there was one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is new.
    New,
    /// It was one of ours, and was put right.
    Again,
}

/// Why there is no repository.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The folder has something in it.
    #[error("{0} is not empty and no repository of `abide init`: name a folder that isn't there yet")]
    NotEmpty(PathBuf),
    /// A hook there is somebody else's.
    #[error("{0} is not ours: move it away, and run this again")]
    ForeignHook(PathBuf),
    /// The name can't be a branch.
    #[error("{0:?} can't be the name of a branch")]
    Branch(String),
    /// The disk.
    #[error("{what} {path}: {source}")]
    Disk {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is in it already.
    #[error("sharing the repository")]
    Share(#[from] abide_host::fs::Error),
    /// libgit2.
    #[error("making the repository {path}: {source}")]
    Git {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: git2::Error,
    },
}

/// Makes the repository, or puts one of ours right.
///
/// Git refuses to work in a repository of another owner (`safe.directory` of git-config(1)), so each member of a group has
/// to trust it once: `git config --global --add safe.directory DIR`.
pub fn init(folder: &Path, init: &Init<'_>) -> Result<Made, InitError> {
    crate::start();
    let head = format!("refs/heads/{}", init.branch);
    if !git2::Reference::is_valid_name(&head) {
        return Err(InitError::Branch(init.branch.to_owned()));
    }
    let made = made(folder)?;
    let git = |source| InitError::Git { path: folder.to_owned(), source };
    let repository = match made {
        Made::Again => Repository::open_bare(folder).map_err(git)?,
        Made::New => {
            let mut options = RepositoryInitOptions::new();
            options.bare(true).mkpath(true).external_template(false).initial_head(init.branch);
            if init.group.is_some() {
                options.mode(RepositoryInitMode::SHARED_GROUP);
            }
            Repository::init_opts(folder, &options).map_err(git)?
        }
    };
    let is_head =
        repository.find_reference("HEAD").is_ok_and(|found| found.symbolic_target_bytes() == Some(head.as_bytes()));
    // Nothing is written that needn't be: who may push may have put anything in the way of its log.
    if !is_head {
        repository.set_head(&head).map_err(git)?;
    }
    configure(&repository, init).map_err(git)?;
    for hook in HOOKS {
        write_hook(&folder.join("hooks").join(hook), hook, init)?;
    }
    if let Some(group) = init.group {
        share(folder, group)?;
    }
    Ok(made)
}

/// Which it is: nothing may be lost in a folder that isn't ours.
fn made(folder: &Path) -> Result<Made, InitError> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(Made::New),
        Ok(true) if is_ours(&folder.join("hooks/pre-receive")) => Ok(Made::Again),
        Ok(true) => Err(InitError::NotEmpty(folder.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Made::New),
        Err(source) => Err(InitError::Disk { what: "reading", path: folder.to_owned(), source }),
    }
}

fn is_ours(hook: &Path) -> bool {
    fs::read_to_string(hook).is_ok_and(|text| text.contains(MARK))
}

fn configure(repository: &Repository, init: &Init<'_>) -> Result<(), git2::Error> {
    let mut config: Config = repository.config()?.open_level(ConfigLevel::Local)?;
    for (name, value) in [
        // `-o allow=PLAN`; without this Git refuses every push that has an option.
        ("receive.advertisePushOptions", "true"),
        // Deletions and rewrites are told about in our words, and never prune.
        ("receive.denyDeletes", "false"),
        ("receive.denyNonFastForwards", "false"),
        ("receive.denyDeleteCurrent", "ignore"),
        ("receive.maxInputSize", PUSH_BYTES_MAX),
        ("receive.fsckObjects", "true"),
        // Objects that a running commit needs must never be collected while a push brings the next.
        ("receive.autogc", "false"),
        ("core.fsync", "committed"),
        ("core.logAllRefUpdates", "true"),
        // A hooks path set for the whole machine would switch ours off.
        ("core.hooksPath", "hooks"),
    ] {
        config.set_str(name, value)?;
    }
    if init.group.is_some() {
        config.set_str("core.sharedRepository", "group")?;
    }
    Ok(())
}

fn write_hook(path: &Path, hook: &str, init: &Init<'_>) -> Result<(), InitError> {
    let disk = |what, source| InitError::Disk { what, path: path.to_owned(), source };
    if path.symlink_metadata().is_ok() && !is_ours(path) {
        return Err(InitError::ForeignHook(path.to_owned()));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| disk("creating the folder of", source))?;
    }
    // Who pushes on this machine may have another root in mind, which isn't this repository's.
    // Git calls it several times a push; only the last call, when references have moved, is worth a process.
    let only = if hook == MOVED { "[ \"$1\" = committed ] || exit 0\n" } else { "" };
    let mut text = format!("#!/bin/sh\n{MARK}\n{only}unset ABIDE_ROOT\nexec ").into_bytes();
    text.extend(quote(init.program.as_os_str()));
    text.extend(format!(" hook {hook}").into_bytes());
    if let Some(root) = init.root {
        text.extend(b" --root ");
        text.extend(quote(root.as_os_str()));
    }
    text.extend(b" \"$@\"\n");
    // By rename: a push that runs meanwhile reads the old one or the new one.
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(|source| disk("writing", source))?;
    fs::set_permissions(&new, Permissions::from_mode(0o755)).map_err(|source| disk("writing", source))?;
    fs::rename(&new, path).map_err(|source| disk("writing", source))
}

/// A text as one word of the shell's.
fn quote(text: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in text.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Lets a group push. Objects and references are theirs to write; in the repository's own folder they may make files (for
/// locks) and, by the sticky bit, replace none that isn't theirs: hooks and configuration act with the rights of whoever
/// pushes next.
///
/// The group may have pushed before, and put anything there: all of it is met on descriptors.
fn share(folder: &Path, group: u32) -> Result<(), InitError> {
    let top = Dir::open(folder)?;
    give(&top, top.path(), group, 0o3775)?;
    for name in OWN {
        if top.has(name)? {
            top.set_mode(name, 0o644)?;
        }
    }
    for name in folders(&top)? {
        if name == "hooks" {
            top.set_mode(&name, 0o755)?;
        } else {
            share_folder(&top.open_dir(&name, Resolve::Beneath)?, group, name == "logs")?;
        }
    }
    Ok(())
}

/// All folders in there are the group's as well. Git appends to logs; all other files it replaces.
fn share_folder(dir: &Dir, group: u32, is_log: bool) -> Result<(), InitError> {
    // Set-group-id: what is made in there belongs to the group too.
    give(dir, dir.path(), group, 0o2775)?;
    for name in folders(dir)? {
        share_folder(&dir.open_dir(&name, Resolve::Beneath)?, group, is_log)?;
    }
    let is_file = |name: &OsString| dir.look(name).is_ok_and(|seen| seen.is_some_and(|seen| seen.sort == Sort::File));
    for name in dir.names()?.into_iter().filter(|name| is_log && is_file(name)) {
        let file = dir.open_file(&name, Resolve::Beneath)?;
        let path = dir.path().join(&name);
        let links = file.metadata().map_err(|source| sharing(&path, source))?.nlink();
        // What has another name as well may be anybody's.
        if links == 1 {
            give(&file, &path, group, 0o664)?;
        }
    }
    Ok(())
}

fn folders(dir: &Dir) -> Result<Vec<OsString>, abide_host::fs::Error> {
    let mut folders = Vec::new();
    for name in dir.names()? {
        if dir.look(&name)?.is_some_and(|seen| seen.sort == Sort::Dir) {
            folders.push(name);
        }
    }
    Ok(folders)
}

fn give(what: &impl AsFd, path: &Path, group: u32, mode: u32) -> Result<(), InitError> {
    let given = nix::unistd::fchown(what, None, Some(Gid::from_raw(group)))
        .and_then(|()| nix::sys::stat::fchmod(what, Mode::from_bits_truncate(mode)));
    given.map_err(|errno| sharing(path, errno.into()))
}

fn sharing(path: &Path, source: io::Error) -> InitError {
    InitError::Disk { what: "sharing", path: path.to_owned(), source }
}
