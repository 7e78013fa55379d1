//! What the hooks of a repository ask: what was pushed, what becomes of it, what to say to the pusher.
//!
//! Git gives a hook lines of `OLD NEW REFERENCE` on stdin and options in its environment (githooks(5)). In `pre-receive`
//! what was pushed lies in quarantine: it is read here, in the pusher's process with the pusher's rights; the agent, which
//! is root, must never open a folder of objects that a pusher names.

use crate::packet::printable;
use git2::{Oid, Repository};
use std::{
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
};

/// More references than a push to a machine moves.
const UPDATES_MAX: usize = 10_000;

/// Bytes of a line: two ids and a name.
const LINE_BYTES_MAX: u64 = 4096;

/// Push options that are looked at.
const OPTIONS_MAX: usize = 64;

/// A reference that a push moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Where it was; none if it is new.
    pub old: Option<Oid>,
    /// Where it goes; none if it is deleted.
    pub new: Option<Oid>,
    /// Its whole name.
    pub name: String,
}

/// What becomes of a moved reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The deployed branch: this commit is judged, and followed.
    Deploy(Oid),
    /// The deployed branch goes; nothing else does.
    DeleteDeployed,
    /// It is stored, or removed, and means nothing to this machine.
    None,
}

/// Why a hook can't know what is pushed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Stdin broke.
    #[error("reading what is pushed: {0}")]
    Read(#[from] io::Error),
    /// Not what githooks(5) says.
    #[error("{0:?} is no reference update: this command is a Git hook, and Git runs it")]
    Line(String),
    /// Too much.
    #[error("this push moves more than {UPDATES_MAX} references")]
    TooMany,
    /// An option that isn't known, or has no value.
    #[error("the push option {0:?} is not known; there is `-o allow=PLAN`")]
    Option(String),
    /// The repository, or the quarantine.
    #[error("opening the pushed objects: {0}")]
    Open(#[from] git2::Error),
    /// Not run by Git.
    #[error("{0} is not set: this command is a Git hook, and Git runs it")]
    Environment(&'static str),
}

/// Reads a hook's stdin. Symbolic references, which `reference-transaction` shows with `ref:` before their target, are
/// nothing that a push moves, and left out.
pub fn read_updates(from: &mut dyn BufRead) -> Result<Vec<Update>, HookError> {
    let mut updates = Vec::new();
    loop {
        let mut line = Vec::new();
        from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(updates);
        }
        if line.split(|byte| *byte == b' ').take(2).any(|value| value.starts_with(b"ref:")) {
            continue;
        }
        if updates.len() == UPDATES_MAX {
            return Err(HookError::TooMany);
        }
        updates.push(parse_update(&line).ok_or_else(|| HookError::Line(printable(&line)))?);
    }
}

fn parse_update(line: &[u8]) -> Option<Update> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut parts = text.splitn(3, ' ');
    let mut id = || Oid::from_str(parts.next().filter(|text| text.len() == 40)?).ok();
    let (old, new) = (id()?, id()?);
    let some = |id: Oid| (!id.is_zero()).then_some(id);
    Some(Update { old: some(old), new: some(new), name: parts.next().filter(|name| !name.is_empty())?.to_owned() })
}

impl Update {
    /// What becomes of it in a repository that deploys `branch`.
    pub fn effect(&self, branch: &str) -> Effect {
        match self.new {
            _ if self.name.strip_prefix("refs/heads/") != Some(branch) => Effect::None,
            Some(commit) => Effect::Deploy(commit),
            None => Effect::DeleteDeployed,
        }
    }

    /// What to say to the pusher; nothing for a commit that is deployed, about which the agent has more to say.
    pub fn text(&self, branch: &str) -> Option<String> {
        let (kind, name) = self.kind();
        let text = match (self.effect(branch), self.new) {
            (Effect::Deploy(_), _) => return None,
            (Effect::DeleteDeployed, _) => {
                format!("deleting {branch}: nothing is removed here; what runs, runs on until it is pushed again")
            }
            (Effect::None, Some(_)) => format!("{kind}{name} is stored; only {branch} is deployed"),
            (Effect::None, None) => format!("{kind}{name} is deleted; it was never deployed, so nothing changes"),
        };
        Some(text)
    }

    fn kind(&self) -> (&'static str, String) {
        let name = |name: &str| printable(name.as_bytes());
        match (self.name.strip_prefix("refs/heads/"), self.name.strip_prefix("refs/tags/")) {
            (Some(branch), _) => ("branch ", name(branch)),
            (_, Some(tag)) => ("tag ", name(tag)),
            _ => ("", name(&self.name)),
        }
    }
}

/// What a pusher asks for beside the push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Plans whose removals are allowed.
    pub allow: Vec<String>,
}

/// Reads push options out of an environment: `GIT_PUSH_OPTION_COUNT`, `GIT_PUSH_OPTION_0` and so on.
pub fn read_options(environment: impl Fn(&str) -> Option<String>) -> Result<Options, HookError> {
    let count = environment("GIT_PUSH_OPTION_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0);
    let mut options = Options::default();
    for n in 0..OPTIONS_MAX.min(count) {
        let option = environment(&format!("GIT_PUSH_OPTION_{n}")).unwrap_or_default();
        match option.split_once('=') {
            Some(("allow", plan)) if !plan.is_empty() => options.allow.push(plan.to_owned()),
            _ => return Err(HookError::Option(printable(option.as_bytes()))),
        }
    }
    Ok(options)
}

/// Opens the repository that Git runs the hook in, with what lies in quarantine. `environment` is the hook's own.
pub fn open_pushed(environment: impl Fn(&str) -> Option<PathBuf>) -> Result<Repository, HookError> {
    crate::start();
    let folder = environment("GIT_DIR").ok_or(HookError::Environment("GIT_DIR"))?;
    // Git has judged whether this user may trust the repository; libgit2 would not know the user's `safe.directory`.
    let repository = Repository::open_bare(&folder)?;
    if let Some(quarantine) = environment("GIT_QUARANTINE_PATH") {
        let quarantine = std::path::absolute(folder.join(quarantine))?;
        let text = quarantine.to_str().ok_or_else(|| HookError::Line(quarantine.display().to_string()))?;
        repository.odb()?.add_disk_alternate(text)?;
    }
    Ok(repository)
}

/// The repository that a hook runs in, as its source names it.
pub fn repository_path(environment: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, HookError> {
    let folder = environment("GIT_DIR").ok_or(HookError::Environment("GIT_DIR"))?;
    Ok(std::fs::canonicalize(Path::new(&folder))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    #[test]
    fn effects_and_texts() {
        let lines = [
            format!("{ZERO} {A} refs/heads/main"),
            format!("{A} {ZERO} refs/heads/main"),
            format!("{ZERO} {A} refs/heads/main2"),
            format!("{A} {ZERO} refs/heads/dev"),
            format!("{ZERO} {A} refs/tags/v1"),
            format!("{ZERO} {A} refs/notes/x y\u{1b}[2J"),
        ];
        let input = lines.join("\n") + "\n";
        let updates = read_updates(&mut input.as_bytes()).unwrap();
        let said: Vec<String> =
            updates.iter().map(|update| update.text("main").unwrap_or_else(|| "(deployed)".to_owned())).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        (deployed)
        deleting main: nothing is removed here; what runs, runs on until it is pushed again
        branch main2 is stored; only main is deployed
        branch dev is deleted; it was never deployed, so nothing changes
        tag v1 is stored; only main is deployed
        refs/notes/x y�[2J is stored; only main is deployed
        ");
        assert_eq!(updates[0].effect("main"), Effect::Deploy(Oid::from_str(A).unwrap()));
    }

    #[test]
    fn what_is_no_update() {
        for line in ["", "x", &format!("{A} {A}\n"), &format!("{A} {A} \n"), &format!("{A} abc refs/heads/x\n")] {
            let updates = read_updates(&mut line.as_bytes());
            assert!(if line.is_empty() { updates.unwrap().is_empty() } else { updates.is_err() }, "{line}");
        }
    }

    #[test]
    fn symbolic_references_are_left_out() {
        let input = format!("ref:refs/heads/a ref:refs/heads/b HEAD\n{ZERO} ref:refs/heads/b HEAD\n{ZERO} {A} HEAD\n");
        let updates = read_updates(&mut input.as_bytes()).unwrap();
        assert_eq!(updates.iter().map(|update| update.effect("main")).collect::<Vec<_>>(), [Effect::None]);
    }

    #[test]
    fn options() {
        let read = |options: &[&str]| {
            read_options(|name| match name.strip_prefix("GIT_PUSH_OPTION_")? {
                "COUNT" => Some(options.len().to_string()),
                n => Some(options[n.parse::<usize>().unwrap()].to_owned()),
            })
        };
        assert_eq!(read(&[]).unwrap(), Options::default());
        assert_eq!(read(&["allow=1a", "allow=2b"]).unwrap().allow, ["1a", "2b"]);
        for bad in ["allow", "allow=", "alow=1", ""] {
            assert!(matches!(read(&[bad]), Err(HookError::Option(text)) if text == bad));
        }
    }
}
