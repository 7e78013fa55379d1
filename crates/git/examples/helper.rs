//! The program that this crate's tests run where the product runs itself: the hidden commands, and nothing else.
//!
//! `helper fetch JOB` is the child. `helper follow SETTINGS` says the next commit of a source, its child being this very
//! program by `/proc/self/exe`, as in the product. As a repository's hook (`helper hook NAME --root DIR`) it says what it would ask the
//! agent about, and refuses a tree that is invalid.

use abide_git::{GitSource, Oid, Settings, cache::History, hook, revision, tree};
use abide_reconcile::{Attend, Progress, Source, SourceId};
use abide_spec::{Context, Scope, kind::Grants};
use std::{env, error::Error, ffi::OsStr, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    match arguments.get(1).and_then(|name| name.to_str()) {
        Some("fetch") => abide_git::fetch_child(arguments.get(2).map_or(OsStr::new(""), |job| job)),
        Some("follow") => match follow(arguments.get(2).and_then(|spec| spec.to_str()).unwrap_or_default()) {
            Ok(commit) => {
                println!("{commit}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Some("hook") => match run_hook(arguments.get(2).and_then(|name| name.to_str()).unwrap_or_default()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(3)
            }
        },
        _ => ExitCode::from(64),
    }
}

fn run_hook(name: &str) -> Result<(), Box<dyn Error>> {
    let path = |name: &str| env::var_os(name).map(PathBuf::from);
    let options = hook::read_options(|name| env::var(name).ok())?;
    for update in hook::read_updates(&mut std::io::stdin().lock())? {
        if name != "pre-receive" {
            continue;
        }
        if let Some(text) = update.text("main") {
            println!("{text}");
        }
        if let hook::Effect::Deploy(commit) = update.effect("main") {
            judge(commit, hook::open_pushed(path)?)?;
            println!("allowed: {:?}", options.allow);
        }
    }
    Ok(())
}

fn judge(commit: Oid, repository: abide_git::Repository) -> Result<(), Box<dyn Error>> {
    let snapshot = tree::of_commit(repository, commit, "")?;
    let scope = Scope::new("pushed")?;
    let parsed = revision::parse(&snapshot, "", Context::plain(&scope, &Grants::default()));
    println!("{} units", parsed.map_err(|mistakes| revision::render(&mistakes))?.units.len());
    Ok(())
}

fn follow(arguments: &str) -> Result<String, Box<dyn Error>> {
    let (url, directory) = arguments.split_once('\n').ok_or("two lines are wanted")?;
    let settings = Settings {
        id: SourceId(Scope::new("infra")?),
        repository: serde_json::from_value(serde_json::json!({ "url": url }))?,
        credentials: Default::default(),
        grants: Default::default(),
        directory: directory.into(),
        program: "/proc/self/exe".into(),
        said: None,
        keep: Vec::new(),
        history: History::None,
        reading: None,
        bounds: Default::default(),
    };
    Ok(GitSource::new(settings)?.next(&Patient)?.commit)
}

struct Patient;

impl Attend for Patient {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}
