//! A page as a play: its blocks become one script, which `stage.sh` runs in namespaces of its own.
//!
//! ```text
//! page ──► WORK/script, files/LINE, commands/LINE-N ──stage.sh──► WORK/out/LINE, out/LINE-N ──► compared with the page
//! ```

use crate::{
    expected::is_shown,
    page::{Block, Judge, Page},
    program, props, repository,
};
use abide_lab::{ApiServer, assets};
use nix::sched::{CloneFlags, unshare};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
};

/// Whoever needs longer hangs.
const SECONDS_MAX: u32 = 300;

/// The page that has an API server beside its stage.
const CLUSTER: &str = "kubernetes";

/// Of the script, when it stopped.
const TRACE_LINES: usize = 8;

/// Runs a page.
pub(crate) fn page(page: &Page) {
    let work = tempfile::tempdir().unwrap();
    for folder in ["files", "commands", "out"] {
        fs::create_dir(work.path().join(folder)).unwrap();
    }
    let mut play = Play {
        work: work.path(),
        script: String::new(),
        unchecked: BTreeSet::new(),
        fleets: BTreeSet::new(),
        source: None,
    };
    page.blocks.iter().for_each(|(line, block)| play.add(*line, block));
    play.check();
    if play.script.is_empty() {
        return;
    }
    fs::write(work.path().join("script"), &play.script).unwrap();
    let name = Path::new(&page.path).file_stem().unwrap().to_str().unwrap();
    let status = if name == CLUSTER { beside_api_server(work.path(), name) } else { stage(work.path(), name, &[]) };
    let wrong: Vec<String> =
        page.blocks.iter().flat_map(|(line, block)| wrong(work.path(), page, *line, block)).collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), said(work.path(), "all"));
    assert!(status.success(), "{} stopped with {status}:\n{}", page.path, last_words(work.path()));
}

/// What was said there; nothing if nobody came so far.
fn said(work: &Path, name: &str) -> String {
    fs::read_to_string(work.join("out").join(name)).unwrap_or_default()
}

/// Where the script stopped, and what it said.
fn last_words(work: &Path) -> String {
    let read = |name: &str| said(work, name);
    let trace = read("trace");
    let trace: Vec<&str> = trace.lines().collect();
    let last = trace[trace.len().saturating_sub(TRACE_LINES)..].join("\n");
    let outputs =
        last.split(['\n', ' ']).filter(|word| word.contains("/commands/")).filter_map(|word| word.rsplit('/').next());
    let outputs: String = outputs.map(read).collect();
    format!("{}{last}\n{outputs}", read("all"))
}

/// The same, with an API server in the stage's network. That is the network of a thread first, as the server is to be there
/// before the stage, and reached from both.
fn beside_api_server(work: &Path, name: &str) -> ExitStatus {
    let run = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("a network of its own: {error}"));
        abide_lab::run("ip", &["link", "set", "lo", "up"]);
        let server = ApiServer::start();
        let kubectl = assets().join("kubectl");
        let given = [("CLUSTER", server.kubeconfig().into_os_string()), ("KUBECTL", kubectl.into_os_string())];
        stage(work, name, &given)
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Namespaces end with their first process, and what runs in there with them. What is given is for the stage's script; who
/// gives it brings the network, too.
fn stage(work: &Path, name: &str, given: &[(&str, OsString)]) -> ExitStatus {
    let here = repository().join("crates/cli/tests/docs");
    let output = fs::File::create(work.join("out/all")).unwrap();
    let network = if given.is_empty() { &["--net"][..] } else { &[] };
    Command::new("timeout")
        .args(["--kill-after=10", &SECONDS_MAX.to_string(), "unshare", "--mount", "--pid", "--ipc", "--uts"])
        .args(network)
        .args(["--fork", "--kill-child", "--mount-proc", "--propagation=private", "bash", "-euo", "pipefail"])
        .arg(here.join("stage.sh"))
        .env("ABIDE", program())
        .env("CHECKOUT", repository())
        .env("PROPS", props::folder())
        .env("STAGES", here.join("stages"))
        .env("WORK", work)
        .env("NAME", name)
        .envs(given.iter().map(|(name, value)| (name, value)))
        .env_remove("ABIDE_ROOT")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .status()
        .unwrap_or_else(|error| panic!("pages need unshare and timeout: {error}"))
}

struct Play<'a> {
    work: &'a Path,
    script: String,
    /// Folders with new documents.
    unchecked: BTreeSet<PathBuf>,
    /// Repositories of fleets.
    fleets: BTreeSet<PathBuf>,
    /// Whose grants documents have.
    source: Option<String>,
}

impl Play<'_> {
    fn add(&mut self, line: usize, block: &Block) {
        match block {
            Block::File { path, text, is_broken, judge: Judge::Abide } => self.file(line, path, text, *is_broken),
            Block::File { path, text, is_broken, judge: Judge::Cluster } => {
                let kept = self.keep("files", &line.to_string(), text);
                self.run(&format!("place {kept} {path}"));
                // What kustomize reads is no object.
                if !text.contains("\nkind: Kustomization\n") {
                    self.run(&format!("judge {} {path}", u8::from(*is_broken)));
                }
            }
            Block::Script(text) => {
                self.check();
                let command = self.keep("commands", &line.to_string(), text);
                self.run(&format!(". {command} > {} 2>&1", self.out(&line.to_string())));
            }
            Block::Session(session) => {
                self.check();
                for (n, (command, _)) in session.iter().enumerate() {
                    let name = format!("{line}-{n}");
                    let command = self.keep("commands", &name, command);
                    self.run(&format!(". {command} > {} 2>&1 || true", self.out(&name)));
                }
            }
            Block::Ci(_) | Block::Foreign => {}
        }
    }

    fn file(&mut self, line: usize, path: &str, text: &str, is_broken: bool) {
        let kept = self.keep("files", &line.to_string(), text);
        self.run(&format!("place {kept} {path}"));
        if text.contains("\nkind: Source\n") {
            self.source = Some(path.to_owned());
            self.run(&format!("check 0 {path} $(mktemp -d)"));
        } else if is_broken {
            self.run(&format!("check 3 \"\" $(dirname {path})"));
        } else {
            let folder = Path::new(path).parent().map(Path::to_owned);
            if path.ends_with("/fleet.yaml") {
                self.fleets.extend(folder.clone());
            }
            self.unchecked.extend(folder);
        }
    }

    /// Documents that follow each other are checked together: they name each other.
    fn check(&mut self) {
        let mut folders = std::mem::take(&mut self.unchecked);
        // What a fleet's file gives to machines is checked as they get it.
        folders.retain(|folder| !self.fleets.iter().any(|fleet| folder != fleet && folder.starts_with(fleet)));
        for folder in folders {
            let source = self.source.clone().unwrap_or_default();
            self.run(&format!("check 0 \"{source}\" {}", folder.display()));
        }
    }

    fn keep(&self, folder: &str, name: &str, text: &str) -> String {
        let path = self.work.join(folder).join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn out(&self, name: &str) -> String {
        self.work.join("out").join(name).to_str().unwrap().to_owned()
    }

    fn run(&mut self, line: &str) {
        self.script += line;
        self.script.push('\n');
    }
}

/// What a block did and shouldn't have.
fn wrong(work: &Path, page: &Page, line: usize, block: &Block) -> Vec<String> {
    let printed = |name: &str| fs::read_to_string(work.join("out").join(name));
    let session = match block {
        Block::Session(session) => session,
        _ => return Vec::new(),
    };
    let differs = |(n, (command, shown)): (usize, &(String, Vec<String>))| {
        let place = format!("{}:{line}: $ {command}", page.path);
        // The script stopped before it.
        let printed = printed(&format!("{line}-{n}")).ok()?;
        let is_right = is_shown(shown, &printed.lines().collect::<Vec<_>>());
        (!is_right).then(|| format!("{place}\n--- shown\n{}\n--- printed\n{printed}---", shown.join("\n")))
    };
    session.iter().enumerate().filter_map(differs).collect()
}
