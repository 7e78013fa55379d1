//! Arguments about what is wished.

use super::Output;
use abide_spec::{Name, quantity::Span};
use clap::{Subcommand, ValueHint};
use std::path::PathBuf;

/// Make a bare repository that deploys what is pushed to it
///
/// It becomes a source of this machine. Run again, it puts the repository's hooks and settings right.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The repository's folder, as /srv/infra.git
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// How the source is called; as the folder, without `.git`, unless said
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// A group whose members may push too. Who can push can run what the source's grants allow
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// The branch that is deployed
    #[arg(long, default_value = "main")]
    pub(crate) branch: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The repositories that this machine follows
#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    #[command(subcommand)]
    pub(crate) command: SourceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    Add(Add),
    /// List all, with the commit that is in force
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Give one up: what it owns runs on, unowned
    Remove(Which),
    /// Take no new commits; what is in force stays and is kept up
    Suspend(Which),
    /// Follow again: after `suspend`, `rollback` and `down`
    Resume(Which),
}

/// A source by its name
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Which
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Follow a repository, or change how one is followed
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// `https://…`, `file://…` or a path of this machine
    #[arg(value_name = "URL|PATH", required_unless_present = "file", value_hint = ValueHint::DirPath)]
    pub(crate) url: Option<String>,
    /// How the source is called; as the repository, without `.git`, unless said
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// The folder in the repository that is this machine's
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// The branch
    #[arg(long, default_value = "main")]
    pub(crate) branch: String,
    /// How often a remote repository is asked
    #[arg(long, default_value = "30s")]
    pub(crate) interval: Span,
    /// A file with a token for the server, readable for root alone
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with the certificates to trust, in PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,
    /// A file of kind Source that says all of it, and what the repository may ask for
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["url", "name", "path", "branch", "interval", "token_file", "ca_file"])]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// A folder whose content is, or would be, a commit of a source
#[derive(Debug, clap::Args)]
pub(crate) struct Folder {
    /// The folder
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// How the source is called; as the folder unless said
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// A file of kind Source, whose grants the folder may use
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) source: Option<PathBuf>,
}

/// Make what a folder says so, and wait until it is
///
/// The folder becomes a source. What that source owned before and no longer declares is removed. Exits with 0 if every
/// unit is as wished, with 1 if one is not, and with 3 if the folder has mistakes or the guard holds what it removes.
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) folder: Folder,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Show what a folder would change here, and why
///
/// Exits with 0 if nothing, with 2 if something, and with 3 if the folder has mistakes.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) folder: Folder,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Wait for a commit, and say what became of it
///
/// Exits with 0 if it settled, with 1 if it failed or a newer one took its place, and with 3 if it was refused.
#[derive(Debug, clap::Args)]
pub(crate) struct Follow {
    /// Its id, or how that begins
    pub(crate) commit: String,
    /// Of which source; the one that has the commit unless said
    #[arg(long)]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Go back to an earlier commit, and stay there until `abide source resume` or a newer push
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Rollback {
    /// Of which source; the only one unless said
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// To which commit; the last that settled before the present one unless said
    #[arg(long, value_name = "COMMIT")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Say yes to what the guard holds
#[derive(Debug, clap::Args)]
pub(crate) struct Allow {
    /// The plan's id, as the guard shows it
    pub(crate) plan: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Stop everything of this root, keep its volumes, and suspend its sources
#[derive(Debug, clap::Args)]
pub(crate) struct Down {
    #[command(flatten)]
    pub(crate) output: Output,
}
