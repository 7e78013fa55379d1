//! Arguments about roll-outs of a fleet.

use super::Output;
use abide_spec::Name;
use clap::Subcommand;

/// How commits get to the machines of this hub's fleet
#[derive(Debug, clap::Args)]
pub(crate) struct Rollout {
    #[command(subcommand)]
    pub(crate) command: RolloutCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    Status(Status),
    /// Tell nobody a new commit; what was begun is finished
    Pause(Which),
    /// Go on after `pause`
    Resume(Which),
    /// Try a commit again on a machine where it failed
    Retry {
        /// Which
        machine: Name,
        #[command(flatten)]
        output: Output,
    },
}

/// Show how far the roll-outs are, and what holds them up
///
/// With `--watch` it ends when nothing moves any more: with 0 if all is done, with 1 if a roll-out is stopped or paused, and with
/// 3 if the newest commit is refused. The hub asks its repository before that, so that a push just before isn't missed; if the
/// repository can't be reached, that is said, and what was heard last counts.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// One of them; all unless said
    pub(crate) name: Option<String>,
    /// Go on, and show each change
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Wait for what becomes of this commit, which may be yet to be pushed; 1 if a later one took its place
    #[arg(long, value_name = "COMMIT", requires = "watch")]
    pub(crate) commit: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// A roll-out by its name
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Which; `all` or `rest` has the machines that no Rollout of fleet.yaml selects
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: Output,
}
