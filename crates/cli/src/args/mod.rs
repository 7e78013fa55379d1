//! Every command and flag, with the texts of `--help`.
//!
//! | module | whose arguments |
//! |---|---|
//! | here | of commands that are about the program itself, and about documents alone |
//! | [`hub`] | about the hub of a fleet |
//! | [`operator`] | about Kubernetes |
//! | [`rollout`] | about a fleet's roll-outs |
//! | [`sources`] | about what is wished: repositories, folders, commits |
//! | [`units`] | about what runs |

pub(crate) mod enroll;
pub(crate) mod hub;
pub(crate) mod operator;
pub(crate) mod rollout;
pub(crate) mod sources;
pub(crate) mod units;

use crate::output::Format;
use abide_fleet::trust::age::Recipient;
use abide_spec::Name;
use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use std::{ffi::OsString, path::PathBuf};

/// Machines that abide by Git: a repository of YAML says what a machine runs, and abide sees to it
#[derive(Debug, Parser)]
#[command(name = "abide", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// Where everything of one agent is: another root is another machine
    ///
    /// Unless said, what lasts is in /var/lib/abide, and what is of this boot in /run/abide.
    #[arg(long, global = true, env = "ABIDE_ROOT", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) root: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All of it without what is hidden: shells would complete that too.
pub(crate) fn for_people() -> clap::Command {
    let all = Args::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    clap::Command::new("abide").args(all.get_arguments().cloned()).subcommands(shown)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Task(Task),
    #[command(flatten)]
    Process(Process),
}

/// What abide starts of itself: whole processes, which say themselves how they end.
#[derive(Debug, Subcommand)]
pub(crate) enum Process {
    /// The agent's child that meets what a Git server sends
    #[command(hide = true)]
    Fetch { job: OsString },
    /// The process of a virtual machine
    #[command(hide = true)]
    Vmm { directory: OsString },
    /// The parent of an instance, where no smaller program is embedded
    #[command(hide = true)]
    Keeper,
}

/// What people ask for.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Follow the sources of this machine and see to it that what they say runs
    ///
    /// Goes on until SIGTERM or SIGINT. What runs, runs on then; nothing restarts what exits.
    Agent,
    Operator(operator::Operator),
    Enroll(enroll::Enroll),
    Init(sources::Init),
    Source(sources::Source),
    Apply(sources::Apply),
    Plan(sources::Plan),
    Follow(sources::Follow),
    Rollback(sources::Rollback),
    Allow(sources::Allow),
    Down(sources::Down),
    Get(units::Get),
    Describe(units::Describe),
    Logs(units::Logs),
    Exec(units::Exec),
    Console(units::Console),
    Events(units::Events),
    Retry(units::Retry),
    Hub(hub::Hub),
    Rollout(rollout::Rollout),
    Validate(Validate),
    Doctor(Doctor),
    Schema(Schema),
    Encrypt(Encrypt),
    /// Print a shell's completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// What a repository of `abide init` runs when it is pushed to
    #[command(hide = true)]
    Hook {
        /// Which
        name: String,
        /// What Git says to it
        rest: Vec<OsString>,
    },
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Output {
    /// In which form to print it
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Check documents: every mistake of every file, with its place and what would be right
///
/// A folder with a `fleet.yaml` is a fleet's repository: that file is checked, and what machines get by it. Exits with 0
/// if there is no mistake, with 3 if there are, and with 1 if something can't be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Validate {
    /// Folders, each checked as a whole, or single documents
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// A file of kind Source, whose grants the documents may use
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) source: Option<PathBuf>,
    /// Of a fleet's repository, check what the machine of this name gets, and nothing else
    #[arg(long, value_name = "NAME")]
    pub(crate) machine: Option<Name>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Check what this machine offers, and say what is lost where something is missing
///
/// Exits with 1 if something essential is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Encrypt a value of a fleet's Secret, so that only the machines it is for can read it
#[derive(Debug, clap::Args)]
pub(crate) struct Encrypt {
    /// For whom: `age1…`, as `abide enroll --recipient` says on the machine; several may read it if it is given several times
    #[arg(short, long, required_unless_present = "machine")]
    pub(crate) recipient: Vec<Recipient>,
    /// For which machine, as the hub of this root knows it: what that says is shown, to be compared with what the machine
    /// says; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) machine: Vec<Name>,
    /// What to encrypt, every byte of it; the standard input unless given
    pub(crate) file: Option<PathBuf>,
}

/// Print the JSON Schema of what may be written, for editors and other tools
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    /// Of what the machine's owner writes about a source, instead of what a repository may say
    #[arg(long, conflicts_with = "status")]
    pub(crate) source: bool,
    /// Of a fleet's `fleet.yaml`
    #[arg(long, conflicts_with_all = ["source", "status"])]
    pub(crate) fleet: bool,
    /// Of what `abide get -o json` prints
    #[arg(long)]
    pub(crate) status: bool,
    /// Of what `abide get --fleet -o json` prints
    #[arg(long, conflicts_with_all = ["source", "fleet", "status"])]
    pub(crate) machines: bool,
    /// Of what `abide rollout status -o json` prints
    #[arg(long, conflicts_with_all = ["source", "fleet", "status", "machines"])]
    pub(crate) rollouts: bool,
    /// Print what a Kubernetes cluster takes our kinds by, as YAML for `kubectl apply`
    #[arg(long, conflicts_with_all = ["source", "fleet", "status", "machines", "rollouts", "output"])]
    pub(crate) crd: bool,
    /// In which form to print it
    #[arg(short, long, value_enum, default_value_t = Format::Json)]
    pub(crate) output: Format,
}
