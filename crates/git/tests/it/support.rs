//! A place of one's own for each test, with Git in it.

use abide_git::{GitSource, Settings, cache::History, source::Bounds};
use abide_reconcile::{Attend, Fault, Progress, Revision, Source, SourceId, Wish};
use abide_spec::{
    Name,
    kind::{Credentials, Grants},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A document that makes one unit.
pub(crate) fn volume(name: &str) -> String {
    format!("apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: {name}}}\nspec: {{}}\n")
}

/// Loses interest after a while, so that no test hangs.
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn of(seconds: f32) -> Self {
        Self(Instant::now() + Duration::from_secs_f32(seconds))
    }
}

impl Attend for Patience {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        Instant::now() > self.0
    }
}

/// The next thing a source says.
pub(crate) fn next(source: &mut GitSource) -> Result<Revision, Fault> {
    source.next(&Patience::of(60.0))
}

/// The names of the units of a wish, or why it is refused.
pub(crate) fn said(revision: &Revision) -> String {
    match &revision.wish {
        Wish::Complete(complete) => {
            complete.units().keys().map(|unit| unit.name.as_str()).collect::<Vec<_>>().join(" ")
        }
        Wish::Refused(why) => format!("refused: {why}"),
        Wish::Withdrawn => "withdrawn".to_owned(),
    }
}

/// The program with the hidden commands.
pub(crate) fn helper() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let helper = test.parent().unwrap().parent().unwrap().join("examples/helper");
    assert!(helper.exists(), "{} is not built: run the tests of the whole package", helper.display());
    helper
}

/// A folder with a bare repository, a clone to commit in, and a source's state.
pub(crate) struct Place(TempDir);

impl Place {
    /// With an empty bare repository `bare.git`.
    pub(crate) fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::create_dir(place.path("state")).unwrap();
        place.git(".", &["init", "-q", "--bare", "-b", "main", "bare.git"]);
        place.git(".", &["init", "-q", "-b", "main", "work"]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs Git in a folder, with no configuration but ours.
    pub(crate) fn git(&self, folder: &str, arguments: &[&str]) -> String {
        let (output, is_success) = self.try_git(folder, arguments);
        assert!(is_success, "git {arguments:?}: {output}");
        output
    }

    /// [`git`](Self::git) that may fail: everything it says, and whether it succeeded.
    pub(crate) fn try_git(&self, folder: &str, arguments: &[&str]) -> (String, bool) {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "gc.auto=0"])
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(self.path(folder))
            .env("HOME", self.0.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("these tests need git");
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&text).trim().to_owned(), output.status.success())
    }

    /// Writes a file of the clone.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits all of the clone, and gives the commit's id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git("work", &["add", "-A"]);
        self.git("work", &["commit", "-q", "--allow-empty", "-m", message]);
        self.git("work", &["rev-parse", "HEAD"])
    }

    /// Commits one volume under this name, and pushes.
    pub(crate) fn push_volume(&self, name: &str) -> String {
        self.write("volume.yaml", volume(name));
        let commit = self.commit(&format!("add {name}"));
        self.push();
        commit
    }

    pub(crate) fn push(&self) {
        self.git("work", &["push", "-q", "-f", "../bare.git", "HEAD:main"]);
    }

    /// How to follow `url`, but for what `change` changes.
    pub(crate) fn settings(&self, url: &str, change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings {
            id: SourceId(Name::new("infra").unwrap()),
            repository: serde_json::from_value(serde_json::json!({ "url": url })).unwrap(),
            credentials: Credentials::default(),
            grants: Grants::default(),
            directory: self.path("state"),
            program: helper(),
            said: None,
            keep: Vec::new(),
            history: History::None,
            reading: None,
            bounds: Bounds { ask: Duration::from_secs(10), fetch: Duration::from_secs(20), pack_bytes: 64 << 20 },
        };
        change(&mut settings);
        settings
    }

    /// A source that follows the bare repository.
    pub(crate) fn follow(&self) -> GitSource {
        GitSource::new(self.settings(&text(&self.path("bare.git")), |_| {})).unwrap()
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
