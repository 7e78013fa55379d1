//! Arguments about Kubernetes.

use abide_spec::quantity::Span;
use clap::ValueHint;
use std::path::PathBuf;

/// Be the agent of a Kubernetes node: run what the cluster's objects say, and keep their status
///
/// With --controller, choose the nodes of objects that have a nodeSelector instead: several may run, and one of them does.
///
/// Goes on until SIGTERM or SIGINT, like `abide agent`. What runs, runs on then. Everything else works as with any agent:
/// `abide get`, `logs`, `exec`, `allow`.
#[derive(Debug, clap::Args)]
pub(crate) struct Operator {
    /// How the cluster calls this machine
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// How to get at the cluster; unless said, as kubectl would, or as pods do
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Which context of the kubeconfig; its current one unless said
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The namespace of agents and controller
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "abide-system")]
    pub(crate) namespace: String,
    /// A file of kind Source that follows this node: what the cluster's objects may ask for
    #[arg(short = 'f', long = "source", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) source: Option<PathBuf>,
    /// Choose nodes instead of being the agent of one
    #[arg(long, conflicts_with = "source")]
    pub(crate) controller: bool,
    /// The controller's: for how long a node's agent is silent before what has no data there moves
    #[arg(long, value_name = "TIME", default_value = "5m", requires = "controller")]
    pub(crate) node_timeout: Span,
}
