//! A repository that is pushed to, and the clone that a test pushes from, by Git itself.

use super::{Rig, Said};
use crate::{oci::Parts, write};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A clone, and where it pushes to.
#[derive(Clone)]
pub struct Repository {
    /// Where it is pushed to.
    pub bare: PathBuf,
    clone: PathBuf,
    abide: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Repository {
    pub(super) fn new(rig: &Rig, bare: &Path, clone: PathBuf) -> Self {
        // Nothing of the machine's own settings counts.
        let environment = [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "Test"),
            ("GIT_AUTHOR_EMAIL", "test@example.org"),
            ("GIT_COMMITTER_NAME", "Test"),
            ("GIT_COMMITTER_EMAIL", "test@example.org"),
        ];
        let mut environment = environment.map(|(name, value)| (name, value.to_owned())).to_vec();
        environment.push(("ABIDE_ROOT", rig.root().display().to_string()));
        fs::create_dir(&clone).unwrap();
        let repository = Self { bare: bare.to_owned(), clone, abide: rig.abide.clone(), environment };
        repository.git(&["init", "-q", "-b", "main"]);
        repository.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
        repository
    }

    /// A path in the clone.
    pub fn path(&self, name: &str) -> PathBuf {
        self.clone.join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        write(&self.path(name), text.as_bytes());
    }

    /// Removes a file or a folder.
    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    /// Adds an image, as `oci:images/NAME`.
    pub fn image(&self, name: &str, parts: &Parts) {
        parts.write_layout(&self.path("images").join(name), "image");
    }

    /// Adds the guest, as the kernel `images/guest`.
    pub fn guest(&self) {
        write(&self.path("images/guest"), &fs::read(crate::guest()).unwrap());
    }

    /// Commits everything, and says as which commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes `main`, with these options as well. What the pusher reads is in `err`.
    pub fn push(&self, options: &[&str]) -> Said {
        let arguments = [&["push", "origin", "main"], options].concat();
        self.command(&arguments).output().unwrap().into()
    }

    /// Commits and pushes everything to where nobody refuses it.
    pub fn land(&self, message: &str) -> String {
        let commit = self.commit(message);
        let said = self.push(&[]);
        assert_eq!(said.code, 0, "push of {message:?}: {said}");
        commit
    }

    /// Commits and pushes everything, which has to be accepted and to settle.
    pub fn deploy(&self, message: &str) -> String {
        let commit = self.commit(message);
        let said = self.push(&[]);
        assert_eq!(said.code, 0, "push of {message:?}: {said}");
        let followed = self.follow(&commit);
        assert_eq!(followed.code, 0, "{message:?}: {followed}\nthe push: {said}");
        commit
    }

    /// How a commit turns out: by `abide follow`.
    pub fn follow(&self, commit: &str) -> Said {
        Command::new(&self.abide)
            .args(["follow", commit])
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap()
            .into()
    }

    /// Runs Git, which has to succeed; returns what it printed.
    pub fn git(&self, arguments: &[&str]) -> String {
        let said: Said = self.command(arguments).output().unwrap().into();
        assert_eq!(said.code, 0, "git {arguments:?}: {said}");
        said.out.trim_end().to_owned()
    }

    /// Git with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.current_dir(&self.clone).args(arguments).envs(self.environment.iter().cloned());
        command
    }
}
