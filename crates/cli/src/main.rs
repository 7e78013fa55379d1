//! The binary `abide`: the only crate that names all others, prints, and knows flags and exit codes.
//!
//! | module | what it is |
//! |---|---|
//! | `args` | every command and flag, with the texts of `--help` |
//! | `exit` | what exit codes mean, everywhere, and why a command fails |
//! | `output`, `render`, `live`, `relay` | `-o json`, `-o yaml`, or words; the words; progress; a terminal |
//! | `here`, `ask`, `client`, `watch` | the root; who answers for it; what becomes of what was asked |
//! | `files` | how many files may be open |
//! | `admin` | asks the hub of this root |
//! | `units`, `documents` | units as people write them; files as people have them |
//! | `agent`, `operator`, `hub` | all crates put together; the same as the agent of a Kubernetes node, and as the hub of a fleet |
//! | the others | a command each |

#![forbid(unsafe_code)]

mod admin;
mod agent;
mod apply;
mod args;
mod ask;
mod client;
mod console;
mod decide;
mod describe;
mod doctor;
mod documents;
mod encrypt;
mod enroll;
mod events;
mod exec;
mod exit;
mod files;
mod get;
mod here;
mod hook;
mod hub;
mod init;
mod live;
mod logs;
mod operator;
mod output;
mod plan;
mod relay;
mod render;
mod rollout;
mod schema;
mod source;
mod units;
mod validate;
mod watch;

use args::{Args, Command, Process, Task};
use clap::{Parser, error::ErrorKind};
use exit::{Done, Exit, Failure};
use here::Here;
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let is_asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nothing can be done for somebody who closed the terminal.
            let _ = error.print();
            return if is_asked { Exit::Done.into() } else { Exit::Usage.into() };
        }
    };
    match args.command {
        Command::Task(task) => run(&task, args.root.as_deref()).unwrap_or_else(refused).into(),
        Command::Process(Process::Fetch { job }) => abide_git::fetch_child(&job),
        Command::Process(Process::Vmm { directory }) => abide_vm::vmm_main([directory]),
        Command::Process(Process::Keeper) => abide_keeper::run::main(),
    }
}

fn refused(Failure { exit, text }: Failure) -> Exit {
    output::complain(&format!("abide: {text}\n"));
    exit
}

fn run(task: &Task, root: Option<&Path>) -> Done {
    let here = &Here::new(root)?;
    match task {
        Task::Agent => agent::run(here),
        Task::Operator(command) => operator::run(here, command),
        Task::Enroll(command) => enroll::run(here, command),
        Task::Init(command) => init::run(here, command),
        Task::Source(command) => source::run(here, &command.command),
        Task::Apply(command) => apply::run(here, command),
        Task::Plan(command) => plan::run(here, command),
        Task::Follow(command) => decide::follow(here, command),
        Task::Rollback(command) => decide::rollback(here, command),
        Task::Allow(command) => decide::allow(here, command),
        Task::Down(command) => decide::down(here, command),
        Task::Get(command) => get::run(here, command),
        Task::Describe(command) => describe::run(here, command),
        Task::Logs(command) => logs::run(here, command),
        Task::Exec(command) => exec::run(here, command),
        Task::Console(command) => console::run(here, command),
        Task::Events(command) => events::run(here, command),
        Task::Retry(command) => decide::retry(here, command),
        Task::Hub(command) => hub::run(here, command),
        Task::Rollout(command) => rollout::run(here, &command.command),
        Task::Hook { name, rest } => hook::run(here, name, rest),
        Task::Validate(command) => validate::run(command),
        Task::Doctor(command) => doctor::run(here, command),
        Task::Schema(command) => schema::run(command),
        Task::Encrypt(command) => encrypt::run(here, command),
        Task::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut args::for_people(), "abide", &mut text);
            output::say(&String::from_utf8_lossy(&text));
            Ok(Exit::Done)
        }
    }
}
