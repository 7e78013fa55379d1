//! Every page of `docs/` is run as it stands: what it shows is what happens.
//!
//! | fenced block | what is done with it |
//! |---|---|
//! | ` ```yaml ` | written to the file that its first line names (`# FILE`); the folder it is in must be valid |
//! | ` ```yaml broken ` | the same, and it must be refused |
//! | ` ```yaml cluster ` | written in the same way; the API server must take it, or with `broken` refuse it |
//! | ` ```sh ` | run, and must succeed |
//! | ` ```console ` | each `$ COMMAND` is run, and must print the lines below it; `…` stands for anything |
//! | ` ```sh ci ` | must be what CI runs |
//! | ` ```text ` | nothing: it isn't ours |
//!
//! A page is one script, run in namespaces of its own by `stage.sh`, which also says what is there before the page begins;
//! `stages/PAGE.sh` says what a page needs besides. Commands within the text have to exist, with the flags they show.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod expected;
mod page;
mod play;
mod props;

use page::{Block, Page};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A test for each page, and a list of all.
macro_rules! pages {
    ($($test:ident: $path:literal,)*) => {
        const PAGES: &[&str] = &[$($path),*];
        $(#[test]
        fn $test() {
            play::page(&Page::read($path));
        })*
    };
}

pages! {
    readme: "README.md",
    apply: "docs/apply.md",
    configuration: "docs/configuration.md",
    containers: "docs/containers.md",
    coming_from: "docs/coming-from.md",
    fleet: "docs/fleet.md",
    git_push: "docs/git-push.md",
    guard: "docs/guard.md",
    health: "docs/health.md",
    installing: "docs/installing.md",
    kubernetes: "docs/kubernetes.md",
    networking: "docs/networking.md",
    operating: "docs/operating.md",
    security: "docs/security.md",
    sources: "docs/sources.md",
    status: "docs/status.md",
    virtual_machines: "docs/virtual-machines.md",
    volumes: "docs/volumes.md",
}

/// Pages that show no commands.
const TEXTS: [&str; 6] =
    ["docs/README.md", "docs/figures.md", "deploy/README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// The release, where that is what is tested.
fn program() -> PathBuf {
    env::var_os("ABIDE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_abide").into(), PathBuf::from)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn no_page_is_left_out() {
    let pages: BTreeSet<&str> = PAGES.iter().chain(&TEXTS).copied().collect();
    for entry in fs::read_dir(repository().join("docs")).unwrap() {
        let path = format!("docs/{}", entry.unwrap().file_name().to_str().unwrap());
        assert!(pages.contains(path.as_str()), "{path} is run by no test: name it in `pages!`");
    }
}

#[test]
fn pages_lead_somewhere() {
    for path in PAGES.iter().chain(&TEXTS).filter(|path| repository().join(path).exists()) {
        let page = Page::read(path);
        let folder = Path::new(path).parent().unwrap();
        for link in page.links() {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { repository().join(path) } else { repository().join(folder).join(file) };
            assert!(target.exists(), "{path} links to {link}, which isn't there");
            let is_there = || Page::of(&fs::read_to_string(&target).unwrap()).anchors().any(|known| known == anchor);
            assert!(anchor.is_empty() || is_there(), "{path} links to {link}, and there is no such heading");
        }
    }
}

#[test]
fn ci_runs_what_the_readme_says() {
    let scripts = [".ci/run", "crates/lab/test.sh"].map(|path| fs::read_to_string(repository().join(path)).unwrap());
    let page = Page::read("README.md");
    let said: Vec<&str> = page.blocks.iter().filter_map(|(_, block)| block.of_ci()).flat_map(str::lines).collect();
    assert!(!said.is_empty());
    for line in said {
        let command = line.split(" #").next().unwrap().trim();
        assert!(scripts.iter().any(|script| script.contains(command)), "CI doesn't run {command:?}");
    }
}

/// What is within the text can't be run, as `abide logs -f web`; but it has to be something.
#[test]
fn commands_within_the_text_are_known() {
    for path in PAGES.iter().chain(&TEXTS).filter(|path| repository().join(path).exists()) {
        for command in Page::read(path).commands() {
            let is_word = |word: &&str| {
                !word.starts_with('-') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            };
            let mut words = command.split(' ').skip(1).peekable();
            let mut name: Vec<&str> = words.next().filter(is_word).into_iter().collect();
            for group in [&["source"][..], &["hub"], &["hub", "machine"], &["hub", "token"], &["rollout"]] {
                name.extend(words.next_if(|word| name == group && is_word(word)));
            }
            let output = Command::new(program()).args(&name).arg("--help").output().unwrap();
            assert!(output.status.success(), "{path} names `{command}`, which isn't there");
            let help = String::from_utf8(output.stdout).unwrap();
            let flags = words.take_while(|word| *word != "--").filter(|word| word.starts_with('-'));
            for flag in flags {
                let flag = flag.split('=').next().unwrap();
                let is_there = help.split([' ', ',', '\n']).any(|word| word == flag);
                assert!(is_there, "{path} names `{command}`, and {flag} isn't there");
            }
        }
    }
}

#[test]
fn services_are_verified() {
    for service in ["systemd/abide.service", "hub/abide-hub.service"] {
        let unit = fs::read_to_string(repository().join("deploy").join(service)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Path::new(service).file_name().unwrap());
        // The program has to be there.
        fs::write(&path, unit.replace("/usr/local/bin/abide", program().to_str().unwrap())).unwrap();
        let output = Command::new("systemd-analyze").arg("verify").arg(&path).output();
        let output = output.unwrap_or_else(|error| panic!("this test needs systemd-analyze: {error}"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.is_empty(), "{service}: {said}");
    }
}

#[test]
fn files_are_named() {
    for path in PAGES {
        for (line, block) in &Page::read(path).blocks {
            if let Block::File { path: file, .. } = block {
                assert!(file.ends_with(".yaml"), "{path}:{line} names no file in its first line, but {file:?}");
            }
        }
    }
}
