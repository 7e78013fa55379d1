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
        let document =
            format!("apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: {volume}}}\nspec: {{}}\n");
        self.write("base/volume.yaml", &document);
        self.push_as_it_is(volume)
    }

    pub(crate) fn push_as_it_is(&self, message: &str) -> String {
        self.git("work", &["add", "-A"]);
        self.git("work", &["commit", "-q", "--allow-empty", "-m", message]);
        self.git("work", &["push", "-q", "-f", "../bare.git", "HEAD:main"]);
        self.git("work", &["rev-parse", "HEAD"])
    }
}
