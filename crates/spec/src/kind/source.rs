use crate::quantity::Span;

/// `spec` of kind `Source`: what to follow, and what it may ask for. Written by the machine's owner, never in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// The repository.
    pub git: GitSource,
    /// How to get at it.
    pub credentials: Option<Credentials>,
    /// What its documents may ask for beyond the default.
    pub grants: Grants,
}

/// A repository to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// A path of this machine, `file://` or `https://`.
    pub url: String,
    /// `main` unless said.
    pub branch: String,
    /// The folder in it; the whole of it unless said.
    pub path: Option<String>,
    /// How often a remote is asked; 30s unless said.
    pub interval: Span,
}

/// Files that only root can read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// A token for HTTP basic authentication.
    pub token_file: Option<String>,
    /// PEM certificates to trust instead of the built-in ones.
    pub ca_file: Option<String>,
}

/// What a source's documents may ask for. Nothing unless said, but any registry over https.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Folders of the host below which `hostPath` may point.
    pub host_paths: Vec<String>,
    /// Containers in the host's network.
    pub host_network: bool,
    /// Added capabilities.
    pub privileged: bool,
    /// Registries that images may come from; any if empty.
    pub registries: Vec<String>,
    /// Registries that are asked over plain http.
    pub insecure_registries: Vec<String>,
}
