//! `abide operator`: Kubernetes.
//!
//! | module | what it is |
//! |---|---|
//! | here | the agent of a node |
//! | `controller` | who places |
//! | `cluster` | how to get at a cluster |

mod cluster;
mod controller;

use crate::{
    agent::{self, Purpose},
    args::operator::Operator,
    documents,
    exit::{Done, Failure},
    files,
    here::Here,
};
use abide_operator::node::{Liveness, Node};
use abide_reconcile::{
    Name, SourceId,
    spec::{
        NodeName,
        kind::{Credentials, Follow, Grants, KubernetesSource, SourceSpec},
    },
};
use kvm_ioctls::Kvm;
use std::path::Path;

/// How the source is called that is the cluster.
const SOURCE: &str = "kubernetes";

/// Serves as a node's agent until a signal says that it is enough.
pub(crate) fn run(here: &Here, command: &Operator) -> Done {
    if command.controller {
        return controller::run(here, command);
    }
    let spec = source(command)?;
    let Follow::Kubernetes(KubernetesSource { node: name }) = &spec.follow else {
        return Err(Failure::usage("this follows a node of a cluster"));
    };
    let name = name.to_string();
    agent::serve(here, |runtime| {
        // Each ConfigMap and Secret that is named is a connection.
        files::open_many("fewer ConfigMaps and Secrets can be read");
        let client = cluster::client(runtime, command)?;
        let liveness = Liveness {
            holder: agent::identity(Some(name.clone()))?,
            namespace: command.namespace.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            has_kvm: Kvm::new().is_ok(),
        };
        let node = Node::new(client, runtime.handle().clone(), &name);
        runtime.spawn(node.clone().live(liveness));
        let source = SourceId(SOURCE.parse::<Name>()?);
        Ok(Some(Purpose { node, source, spec: spec.clone() }))
    })
}

/// What is followed: the node of the command line, with the grants of the file.
fn source(command: &Operator) -> Result<SourceSpec, Failure> {
    let node = |name: &str| name.parse::<NodeName>().map_err(|error| Failure::usage(format!("--node: {error}")));
    let named = command.node.as_deref().map(node).transpose()?;
    let written = command.source.as_deref().map(read).transpose()?;
    match (named, written) {
        (None, None) => Err(Failure::usage("which node is this? Say it with --node NAME, or as NODE_NAME")),
        (None, Some(spec)) => Ok(spec),
        (Some(node), None) => {
            let follow = Follow::Kubernetes(KubernetesSource { node });
            Ok(SourceSpec { follow, credentials: Credentials::default(), grants: Grants::default() })
        }
        (Some(node), Some(spec)) => Ok(SourceSpec { follow: Follow::Kubernetes(KubernetesSource { node }), ..spec }),
    }
}

fn read(path: &Path) -> Result<SourceSpec, Failure> {
    let (_, spec) = documents::source(path)?;
    match &spec.follow {
        Follow::Kubernetes(_) => Ok(spec),
        follow => {
            Err(Failure::refused(format!("{} follows {follow}: write `kubernetes: {{node: NAME}}`", path.display())))
        }
    }
}
