//! What Git itself writes and signs: a repository made with `git`, with a key of `ssh-keygen`.

use crate::world::{FLEET, Honest, Patient, World, target, volume};
use abide_fleet::{
    protocol::{Frame, ObjectId, ObjectKind, Target},
    trust::{NotTaken, Refused},
};
use std::{fs, path::Path, process::Command};

struct Repository {
    folder: tempfile::TempDir,
    world: World,
}

impl Repository {
    fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap(), world: World::new() };
        repository.run("git", &["init", "-q", "-b", "main"]);
        repository.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "anna", "-f", "../key"]);
        let key = repository.at().join("../key.pub");
        let settings = [
            ("user.name", "Anna"),
            ("user.email", "a@b"),
            ("gpg.format", "ssh"),
            ("user.signingKey", key.to_str().unwrap()),
        ];
        for (word, value) in settings {
            repository.run("git", &["config", word, value]);
        }
        repository
    }

    fn at(&self) -> std::path::PathBuf {
        let work = self.folder.path().join("work");
        fs::create_dir_all(&work).unwrap();
        work
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.at()).env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        let done = command.output().expect("git and ssh-keygen are installed");
        assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.at().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, content).unwrap();
    }

    fn fleet(&self, require: &str) {
        let key = fs::read_to_string(self.at().join("../key.pub")).unwrap();
        let text = format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: shops}}\nspec:\n  id: {FLEET}\n  signers:\n    version: 1\n    require: {require}\n    keys: [\"{}\"]\n  machines:\n    - {{names: [\"till-*\"], labels: {{role: till}}}}\n  content:\n    - {{labels: {{role: till}}, paths: [roles/till]}}\n",
            key.trim()
        );
        self.write("fleet.yaml", &text);
    }

    fn commit(&self, message: &str, more: &[&str]) -> ObjectId {
        self.run("git", &["add", "-A"]);
        self.run("git", &[&["commit", "-q", "--allow-empty", "-m", message], more].concat());
        self.run("git", &["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Everything that the repository has is what the hub has.
    fn serve(&mut self) {
        let repository = git2::Repository::open(self.at()).unwrap();
        let odb = repository.odb().unwrap();
        let mut ids = Vec::new();
        odb.foreach(|id| {
            ids.push(*id);
            true
        })
        .unwrap();
        for id in ids {
            let object = odb.read(id).unwrap();
            let kind = match object.kind() {
                git2::ObjectType::Commit => ObjectKind::Commit,
                git2::ObjectType::Tree => ObjectKind::Tree,
                git2::ObjectType::Tag => ObjectKind::Tag,
                _ => ObjectKind::Blob,
            };
            let id = ObjectId(id.as_bytes().try_into().unwrap());
            self.world.objects.insert(id, Frame { kind, content: object.data().to_vec() });
        }
    }

    fn take(&mut self, target: &Target) -> Result<(), NotTaken> {
        self.serve();
        self.world.trust().take(target, &Honest::of(&self.world), &Patient).map(drop)
    }
}

#[test]
fn commits_that_git_signs() {
    let mut repository = Repository::new();
    repository.fleet("Commit");
    repository.write("roles/till/data.yaml", &volume("data"));
    let first = repository.commit("first", &["-S"]);
    repository.take(&target(first)).unwrap();
    repository.run("git", &["checkout", "-q", "-b", "side"]);
    repository.write("roles/till/more.yaml", &volume("more"));
    repository.commit("on the side, unsigned", &[]);
    repository.run("git", &["checkout", "-q", "main"]);
    repository.commit("meanwhile", &[]);
    repository.run("git", &["merge", "-q", "-S", "--no-ff", "-m", "merge", "side"]);
    let merge = repository.run("git", &["rev-parse", "HEAD"]).parse().unwrap();
    repository.take(&target(merge)).unwrap();
    let unsigned = repository.commit("unsigned", &[]);
    let refused = repository.take(&target(unsigned)).unwrap_err();
    assert!(matches!(refused, NotTaken::Refused(why) if matches!(*why, Refused::Unsigned { .. })));
    let amended = repository.commit("amended", &["--amend", "-S"]);
    repository.take(&target(amended)).unwrap();
    assert_eq!(repository.world.trust().state().ran, [amended, merge, first]);
}

#[test]
fn tags_that_git_signs() {
    let mut repository = Repository::new();
    repository.fleet("Tag");
    repository.write("roles/till/data.yaml", &volume("data"));
    for version in ["v1", "v2"] {
        let commit = repository.commit(version, &[]);
        assert!(repository.take(&target(commit)).is_err() || version == "v1", "the first is trusted as it is");
        repository.run("git", &["tag", "-s", "-m", "A release\n\nWith a text.", version]);
        let tag = repository.run("git", &["rev-parse", version]).parse().unwrap();
        repository.take(&Target { tag: Some(tag), ..target(commit) }).unwrap();
    }
}
