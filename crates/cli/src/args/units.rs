//! Arguments about what runs.

use super::{Output, hub::Label};
use abide_fleet::admin::machine::State;
use abide_spec::quantity::Span;

/// Show what runs, against which commit, how healthy, and if it isn't settled, why
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// One unit, as [SCOPE:]KIND/NAME or a name; all unless said
    pub(crate) unit: Option<String>,
    /// Go on, and show each change
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Show the machines of this hub's fleet instead
    #[arg(long, conflicts_with_all = ["unit", "watch"])]
    pub(crate) fleet: bool,
    /// Of the fleet's, those with this label on the hub
    #[arg(short, long = "label", value_name = "KEY=VALUE", requires = "fleet")]
    pub(crate) labels: Vec<Label>,
    /// Of the fleet's, those in this state: waiting, changing, ready, failed, refused, suspended, away, cloned or revoked
    #[arg(long, requires = "fleet")]
    pub(crate) state: Option<State>,
    /// Of the fleet's, those that are told this commit, or have it in force
    #[arg(long, value_name = "COMMIT", requires = "fleet")]
    pub(crate) revision: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Show all that is known of one unit
#[derive(Debug, clap::Args)]
pub(crate) struct Describe {
    /// Which, as [SCOPE:]KIND/NAME or a name
    pub(crate) unit: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Show what a unit prints; of a virtual machine, its serial line
#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// Which, as [SCOPE:]KIND/NAME or a name
    pub(crate) unit: String,
    /// Go on, also with the instances that come after
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only what is not older, as 5m
    #[arg(long)]
    pub(crate) since: Option<Span>,
    /// Only so many lines from the end
    #[arg(long, value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// Of the instance before the present one
    #[arg(long, conflicts_with = "follow")]
    pub(crate) previous: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Show what happened
#[derive(Debug, clap::Args)]
pub(crate) struct Events {
    /// Go on
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Run a command in a container
///
/// It has a terminal if this one has. Exits as the command does.
#[derive(Debug, clap::Args)]
pub(crate) struct Exec {
    /// Which, as [SCOPE:]Container/NAME or a name
    pub(crate) unit: String,
    /// What to run
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// Talk to a virtual machine over its serial line; ctrl-] leaves it
#[derive(Debug, clap::Args)]
pub(crate) struct Console {
    /// Which, as [SCOPE:]VirtualMachine/NAME or a name
    pub(crate) unit: String,
}

/// Try a unit again that was given up, or a version of it that was found bad
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// Which, as [SCOPE:]KIND/NAME or a name
    pub(crate) unit: String,
    #[command(flatten)]
    pub(crate) output: Output,
}
