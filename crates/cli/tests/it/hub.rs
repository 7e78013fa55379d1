//! A hub, as its owner has it.

use crate::{abide, text};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

/// Of a root in the folder.
fn hub(folder: &Path, args: &[&str]) -> Output {
    abide(folder, &[&["--root", "root", "hub"], args].concat())
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn git(folder: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    let status = Command::new("git").args(identity).args(args).current_dir(folder).status().unwrap();
    assert!(status.success(), "git {args:?}");
}

/// A process that serves, until it is dropped.
struct Serving(Child);

impl Serving {
    fn begin(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
        command.args(["--root", "root", "hub", "serve", "--repository", "repository", "--listen", "127.0.0.1:0"]);
        command.args(arguments);
        let serving = Self(command.current_dir(folder).spawn().unwrap());
        let began = Instant::now();
        while !hub(folder, &["machine", "list"]).status.success() {
            assert!(began.elapsed() < Duration::from_secs(60), "it doesn't serve");
        }
        serving
    }

    fn end(mut self) -> Option<i32> {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGTERM).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn an_authority_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let serve = hub(folder, &["serve", "--repository", "repository"]);
    assert_eq!(serve.status.code(), Some(3), "{}", text(&serve.stderr));
    assert!(text(&serve.stderr).contains("hub init --name HOST"), "{}", text(&serve.stderr));
    let init = ["init", "--name", "hub.example.org,127.0.0.1", "--fleet", "shops"];
    let first = hub(folder, &init);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stdout).contains("kind: Fleet\nmetadata: {name: shops}\n"), "{}", text(&first.stdout));
    let made = json(&hub(folder, &[&init[..], &["-o", "json"]].concat()));
    let again = json(&hub(folder, &[&init[..], &["-o", "json"]].concat()));
    assert_eq!(made, again);
    let other = hub(folder, &["init", "--name", "elsewhere"]);
    assert_eq!(other.status.code(), Some(3));

    let key = folder.join("root/state/hub/root.key");
    fs::rename(&key, folder.join("root.key")).unwrap();
    let lost = hub(folder, &["renew-issuing"]);
    assert_eq!(lost.status.code(), Some(3));
    assert!(text(&lost.stderr).contains("--root-key FILE"));
    assert!(hub(folder, &["renew-issuing", "--root-key", "root.key"]).status.success());
}

#[test]
fn a_hub_serves_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nobody = hub(folder, &["machine", "list"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("no hub runs here"), "{}", text(&nobody.stderr));
    let made = json(&hub(folder, &["init", "--name", "localhost", "-o", "json"]));
    let repository = folder.join("repository");
    fs::create_dir_all(repository.join("base")).unwrap();
    git(&repository, &["init", "-q", "-b", "main"]);
    fs::write(repository.join("fleet.yaml"), made["fleetYaml"].as_str().unwrap()).unwrap();
    fs::write(repository.join("base/data.yaml"), super::VOLUME).unwrap();
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-q", "-m", "first"]);

    let serving = Serving::begin(folder, &[]);
    let created = json(&hub(
        folder,
        &["token", "create", "--uses", "3", "--names", "till-*", "--label", "site=berlin", "-o", "json"],
    ));
    let root = created["token"].as_str().unwrap().rsplit('.').next().unwrap();
    assert_eq!(root, made["rootSha256"].as_str().unwrap());
    let words = text(&hub(folder, &["token", "create"]).stdout);
    assert!(words.contains("abide enroll https://localhost:"), "{words}");
    let tokens = json(&hub(folder, &["token", "list", "-o", "json"]));
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 2);
    assert!(!tokens.to_string().contains("secret"));
    let id = created["id"].as_str().unwrap();
    assert!(hub(folder, &["token", "remove", id]).status.success());
    assert_eq!(hub(folder, &["token", "remove", id]).status.code(), Some(3));
    assert_eq!(hub(folder, &["machine", "describe", "till-1"]).status.code(), Some(3));
    assert_eq!(hub(folder, &["machine", "list", "--state", "odd"]).status.code(), Some(64));
    let second = hub(folder, &["serve", "--repository", "repository"]);
    assert_ne!(second.status.code(), Some(0), "a root has one hub");
    let listed = text(&hub(folder, &["token", "list"]).stdout);
    assert!(listed.contains("in 24 hours"), "{listed}");
    assert_eq!(serving.end(), Some(0));

    // Machines may reach it elsewhere, by a name that its certificate has.
    let other =
        hub(folder, &["serve", "--repository", "repository", "--listen", "127.0.0.1:0", "--url", "https://elsewhere"]);
    assert_eq!(other.status.code(), Some(3), "{}", text(&other.stderr));
    assert!(text(&other.stderr).contains("whose certificate is for localhost"), "{}", text(&other.stderr));
    let serving = Serving::begin(folder, &["--url", "https://localhost:8443"]);
    let words = text(&hub(folder, &["token", "create"]).stdout);
    assert!(words.contains("abide enroll https://localhost:8443 --token"), "{words}");
    assert_eq!(serving.end(), Some(0));
}
