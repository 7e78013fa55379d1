//! People who sign, by Git itself.

use crate::hub::Hub;
use abide_lab::run;
use std::{fs, path::PathBuf};

/// Somebody who signs with a key of theirs.
pub(crate) struct Signer(PathBuf);

impl Signer {
    pub(crate) fn new(hub: &Hub, name: &str) -> Self {
        let key = hub.rig.path(name);
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key.to_str().unwrap()]);
        Self(key)
    }

    /// As `fleet.yaml` names it.
    pub(crate) fn public(&self) -> String {
        fs::read_to_string(self.0.with_extension("pub")).unwrap().trim().to_owned()
    }

    /// Tags a commit, signed, and pushes the tag.
    pub(crate) fn tags(&self, hub: &Hub, name: &str, commit: &str) {
        self.git(hub, &["tag", "-s", "-m", name, name, commit]);
        hub.repository.git(&["push", "-q", "origin", name]);
    }

    /// Commits everything, signed, and pushes it, whatever was there.
    pub(crate) fn signs(&self, hub: &Hub, message: &str) -> String {
        let commit = self.commits(hub, message);
        hub.repository.git(&["push", "-q", "-f", "origin", "main"]);
        commit
    }

    /// Commits everything, signed.
    pub(crate) fn commits(&self, hub: &Hub, message: &str) -> String {
        hub.repository.git(&["add", "-A"]);
        self.git(hub, &["commit", "-q", "-S", "--allow-empty", "-m", message]);
        hub.repository.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, hub: &Hub, arguments: &[&str]) {
        let key = format!("user.signingKey={}", self.0.display());
        hub.repository.git(&[&["-c", "gpg.format=ssh", "-c", &key], arguments].concat());
    }
}
