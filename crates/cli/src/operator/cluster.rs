//! How to get at a cluster: a kubeconfig that is named, as kubectl would, or as pods do.

use crate::{args::operator::Operator, exit::Failure};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::time::Duration;
use tokio::runtime::Runtime;

/// An API server that doesn't take a connection in this time is away.
const CONNECT: Duration = Duration::from_secs(10);

/// A client of the cluster, which lives in the runtime. Nothing is asked yet.
pub(super) fn client(runtime: &Runtime, command: &Operator) -> Result<Client, Failure> {
    let options = KubeConfigOptions { context: command.context.clone(), ..KubeConfigOptions::default() };
    let mut config = runtime.block_on(async {
        match &command.kubeconfig {
            Some(file) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await,
            None if command.context.is_some() => Config::from_kubeconfig(&options).await,
            None => Ok(Config::infer().await.map_err(|error| Failure::failed(no_cluster(&error)))?),
        }
        .map_err(Failure::from)
    })?;
    config.connect_timeout = Some(CONNECT);
    let _entered = runtime.enter();
    Ok(Client::try_from(config)?)
}

fn no_cluster(error: &kube::config::InferConfigError) -> String {
    format!("there is neither a kubeconfig nor a pod's account here: say --kubeconfig FILE ({error})")
}
