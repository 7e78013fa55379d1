use crate::{decode::object, quantity::Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What to follow, and what it may ask for. Written by the machine's owner, never in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceSpec {
    /// The repository.
    pub git: GitSource,
    /// How to get at it.
    #[serde(default)]
    pub credentials: Credentials,
    /// What its documents may ask for beyond the default.
    #[serde(default)]
    pub grants: Grants,
}

object!(SourceSpec { git "git" required, credentials "credentials" optional, grants "grants" optional });

/// A repository to follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSource {
    /// An absolute path of this machine, `file://` or `https://`.
    pub url: String,
    /// `main` unless said.
    #[serde(default = "branch")]
    pub branch: String,
    /// The folder in it; the whole of it unless said.
    #[serde(default)]
    pub path: Option<String>,
    /// How often a remote is asked; 30s unless said.
    #[serde(default = "interval")]
    pub interval: Span,
}

object!(GitSource {
    url "url" required,
    branch "branch" or(branch()),
    path "path" optional,
    interval "interval" or(interval()),
});

fn branch() -> String {
    "main".to_owned()
}

fn interval() -> Span {
    Span(Duration::from_secs(30))
}

/// Files that only root can read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// A token for HTTP basic authentication.
    #[serde(default)]
    pub token_file: Option<String>,
    /// PEM certificates to trust instead of the built-in ones.
    #[serde(default)]
    pub ca_file: Option<String>,
}

object!(Credentials { token_file "tokenFile" optional, ca_file "caFile" optional });

/// What a source's documents may ask for. Nothing unless said, but any registry over https.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grants {
    /// Folders of the host below which `hostPath` may point.
    #[serde(default)]
    pub host_paths: Vec<String>,
    /// Containers in the host's network.
    #[serde(default)]
    pub host_network: bool,
    /// Added capabilities.
    #[serde(default)]
    pub privileged: bool,
    /// Registries that images may come from; any if empty.
    #[serde(default)]
    pub registries: Vec<String>,
    /// Registries that are asked over plain http.
    #[serde(default)]
    pub insecure_registries: Vec<String>,
}

object!(Grants {
    host_paths "hostPaths" optional,
    host_network "hostNetwork" optional,
    privileged "privileged" optional,
    registries "registries" optional,
    insecure_registries "insecureRegistries" optional,
});
