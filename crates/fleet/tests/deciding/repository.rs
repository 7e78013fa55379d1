//! A repository that a fleet is deployed from, made by Git itself.

use std::{fs, path::PathBuf, process::Command};

pub(crate) const FLEET: &str = "0f6c1d2e3f405162738495a6b7c8d9e0";

pub(crate) struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.git(".", &["init", "-q", "--bare", "-b", "main", "bare.git"]);
        repository.git(".", &["init", "-q", "-b", "main", "work"]);
        repository
    }

    pub(crate) fn url(&self) -> String {
        self.path("bare.git").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn git(&self, folder: &str, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "gc.auto=0"])
            .args(arguments)
            .current_dir(self.path(folder))
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("these tests need git");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// `fleet.yaml` with this roll-out and these lines in the fleet's spec.
    pub(crate) fn fleet(&self, more: &str, rollout: &str) {
        let fleet = format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: shops}}\nspec:\n  id: {FLEET}\n{more}  machines:\n  - {{names: [\"*\"], paths: [base]}}\n---\napiVersion: abide.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: tills}}\nspec: {rollout}\n"
        );
        self.write("fleet.yaml", &fleet);
    }

    /// What all machines run, so that a commit is another one; and pushes it.
    pub(crate) fn push(&self, volume: &str) -> String {
        self.push_volume(volume, None)
    }

    /// The same, signed with this key.
    pub(crate) fn push_volume(&self, volume: &str, key: Option<&Key>) -> String {
        let document =
            format!("apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: {volume}}}\nspec: {{}}\n");
        self.write("base/volume.yaml", &document);
        self.push_signed(volume, key)
    }

    pub(crate) fn push_as_it_is(&self, message: &str) -> String {
        self.push_signed(message, None)
    }

    /// The same, signed with this key.
    pub(crate) fn push_signed(&self, message: &str, key: Option<&Key>) -> String {
        self.git("work", &["add", "-A"]);
        let commit = ["commit", "-q", "--allow-empty", "-m", message];
        match key {
            None => self.git("work", &commit),
            Some(key) => self.git("work", &[&key.options()[..], &commit, &["-S"]].concat()),
        };
        self.git("work", &["push", "-q", "-f", "../bare.git", "HEAD:main"]);
        self.git("work", &["rev-parse", "HEAD"])
    }

    /// Tags a commit, with what Git is told beside that, and pushes the tag.
    pub(crate) fn tag(&self, name: &str, commit: &str, key: Option<&Key>, options: &[&str]) {
        let tag = ["tag", "-f", name, commit];
        match key {
            None => self.git("work", &[&tag[..], options].concat()),
            Some(key) => self.git("work", &[&key.options()[..], &tag, &["-s", "-m", name], options].concat()),
        };
        self.git("work", &["push", "-q", "-f", "../bare.git", &format!("refs/tags/{name}")]);
    }

    /// Somebody who signs.
    pub(crate) fn key(&self, name: &str) -> Key {
        let path = self.path(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&path)
            .status()
            .expect("these tests need ssh-keygen");
        assert!(made.success());
        Key { signing: format!("user.signingKey={}", path.display()), path }
    }
}

/// A key that signs.
pub(crate) struct Key {
    path: PathBuf,
    signing: String,
}

impl Key {
    fn options(&self) -> [&str; 4] {
        ["-c", "gpg.format=ssh", "-c", &self.signing]
    }

    /// The line of `fleet.yaml` that lets it sign.
    pub(crate) fn signs(&self, require: &str) -> String {
        self.signs_from(1, require)
    }

    /// The same in a later set.
    pub(crate) fn signs_from(&self, version: u32, require: &str) -> String {
        let public = fs::read_to_string(self.path.with_extension("pub")).unwrap();
        format!("  signers: {{version: {version}, require: {require}, keys: [\"{}\"]}}\n", public.trim())
    }
}
