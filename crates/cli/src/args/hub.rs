//! Arguments about the hub of a fleet.

use super::Output;
use abide_fleet::{admin::machine::State, link::Address, server::authority::Lifetime};
use abide_spec::{Name, quantity::Span};
use clap::{Subcommand, ValueHint};
use std::{net::SocketAddr, path::PathBuf, str::FromStr};

/// The hub of a fleet, which says which commit of its repository each machine is to be on, and when
#[derive(Debug, clap::Args)]
pub(crate) struct Hub {
    #[command(subcommand)]
    pub(crate) command: HubCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    Init(Init),
    Serve(Box<Serve>),
    RenewIssuing(RenewIssuing),
    /// What lets machines in
    #[command(subcommand)]
    Token(TokenCommand),
    /// The machines of the fleet
    #[command(subcommand)]
    Machine(MachineCommand),
}

/// Make a hub's authority: what machines know it by, and what it knows machines by
///
/// Prints what has to be in fleet.yaml. Run again, it makes what is missing, and changes nothing that is there.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The host names and addresses that machines reach it by
    #[arg(long, required = true, value_delimiter = ',', value_name = "HOST")]
    pub(crate) name: Vec<String>,
    /// How the fleet is called in its repository
    #[arg(long, default_value = "fleet")]
    pub(crate) fleet: Name,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Follow the fleet's repository, and serve its machines
///
/// Goes on until SIGTERM or SIGINT. Several processes may serve one fleet by one PostgreSQL database, each with a copy of
/// the folder that `abide hub init` made: all of them serve, and one of them decides.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The fleet's repository: `https://…`, `file://…` or a path of this machine
    #[arg(long, value_name = "URL|PATH", value_hint = ValueHint::DirPath)]
    pub(crate) repository: String,
    /// The branch
    #[arg(long, default_value = "main")]
    pub(crate) branch: String,
    /// How often a remote repository is asked
    #[arg(long, default_value = "30s")]
    pub(crate) interval: Span,
    /// A file with a token for the repository's server, readable for root alone
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with the certificates to trust for the repository's server, in PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Where machines come
    #[arg(long, default_value = "0.0.0.0:7443", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// Where machines reach it, if that is elsewhere than by the first name of `init` at the port of `--listen`
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<Address>,
    /// For how long a machine may be silent before it counts as away: in a roll-out it is then waited for no more
    #[arg(long, default_value = "30s", value_name = "TIME")]
    pub(crate) away_after: Span,
    /// What the hub keeps: a file, or postgres://…; a file of this root unless said
    #[arg(long, env = "ABIDE_DATABASE", hide_env_values = true, value_name = "FILE|URL")]
    pub(crate) database: Option<String>,
    /// How long machines' certificates are good, from 10s on; they renew them after two thirds of that, and the hub its own,
    /// which lasts three times as long
    #[arg(long, default_value = "720h", value_name = "TIME")]
    pub(crate) certificate_lifetime: Lifetime,
    /// For how long a machine's certificate may still be renewed after it expired; who was away for longer is enrolled anew
    #[arg(long, default_value = "720h", value_name = "TIME")]
    pub(crate) certificate_grace: Span,
    /// Where Prometheus may read how it goes, besides the admin socket
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,
}

/// Make another key that signs machines' certificates, by the root's key
///
/// Once in two years at least, and whenever the hub may have been read by others: what the key before signed then lets in
/// only machines that are known, with their own keys. The hub that serves here takes it at once; one elsewhere, which gets a
/// copy of the folder, within ten minutes.
#[derive(Debug, clap::Args)]
pub(crate) struct RenewIssuing {
    /// Where the root's key is; in the hub's folder unless said
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) root_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make one, and print how a machine enrols with it
    Create {
        /// How many machines it lets in
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// For how long it is good
        #[arg(long, default_value = "24h")]
        expires: Span,
        /// The names that it gives; * stands for any characters
        #[arg(long, value_name = "GLOB")]
        names: Option<String>,
        /// A label on the hub that the machines get, as site=berlin
        #[arg(long = "label", value_name = "KEY=VALUE")]
        labels: Vec<Label>,
        #[command(flatten)]
        output: Output,
    },
    /// List all, without their secrets
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Let nobody in by it any more
    Remove {
        /// Which
        id: String,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MachineCommand {
    /// List them, with what they are on
    List {
        /// Those with this label on the hub, as site=berlin; with all of several
        #[arg(short, long = "label", value_name = "KEY=VALUE")]
        labels: Vec<Label>,
        /// Those in this state: waiting, changing, ready, failed, refused, suspended, away, cloned or revoked
        #[arg(long)]
        state: Option<State>,
        /// Those that are told this commit, or have it in force
        #[arg(long, value_name = "COMMIT")]
        revision: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Show all that the hub knows of one
    Describe {
        /// Which
        name: Name,
        #[command(flatten)]
        output: Output,
    },
    /// Set labels on the hub, as ring=early, or take them away, as ring-; they steer roll-outs, and nothing that runs
    Label {
        /// Which
        name: Name,
        /// The labels
        #[arg(required = true, value_name = "KEY=VALUE|KEY-")]
        labels: Vec<LabelChange>,
        #[command(flatten)]
        output: Output,
    },
    /// Serve it no more, until it is enrolled anew; what it runs, runs on
    Revoke {
        /// Which
        name: Name,
        #[command(flatten)]
        output: Output,
    },
}

/// A label on the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A label on the hub, or that there is to be none of that key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelChange {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("{text:?} is no label: write KEY=VALUE, as site=berlin")),
        }
    }
}

impl FromStr for LabelChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix('-').filter(|key| !key.is_empty() && !key.contains('=')) {
            Some(key) => Ok(Self { key: key.to_owned(), value: None }),
            None => text.parse().map(|Label { key, value }| Self { key, value: Some(value) }),
        }
    }
}
