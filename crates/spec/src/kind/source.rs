use crate::{
    decode::{Decode, Decoder, object},
    id::NodeName,
    quantity::Span,
    yaml::Node,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// What to follow, and what it may ask for. Written by the machine's owner, never in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
pub struct SourceSpec {
    /// Where the wishes come from.
    pub follow: Follow,
    /// How to get at it.
    pub credentials: Credentials,
    /// What its documents may ask for beyond the default.
    pub grants: Grants,
}

/// Where a source's wishes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The commits of a repository, or of a folder.
    Git(GitSource),
    /// The objects that a Kubernetes cluster has for a node.
    Kubernetes(KubernetesSource),
    /// The places of all objects of a Kubernetes cluster. Only the controller follows them, and no document says it.
    Placement,
    /// What a fleet's hub says this machine is to be on.
    Hub(HubSource),
    /// The machines of a fleet. Only its hub follows them, and no document says it.
    Fleet,
}

/// The form in which a source is written and recorded: each way of following has a field, and exactly one is there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["git"]}, {"required": ["kubernetes"]}, {"required": ["hub"]}]))]
struct Written {
    /// A repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GitSource")]
    git: Option<GitSource>,
    /// A node of a Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KubernetesSource")]
    kubernetes: Option<KubernetesSource>,
    /// All nodes of one; recorded, never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    placement: Option<Recorded>,
    /// The hub of a fleet; written by `abide enroll`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HubSource")]
    hub: Option<HubSource>,
    /// All machines of one; recorded, never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    fleet: Option<Recorded>,
    /// How to get at a repository.
    #[serde(default)]
    credentials: Credentials,
    /// What its documents may ask for beyond the default.
    #[serde(default)]
    grants: Grants,
}

/// What there is no more to say about.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {}

/// The fields of which exactly one says what is followed.
const WAYS: [&str; 3] = ["git", "kubernetes", "hub"];

impl Decode for SourceSpec {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        let object = to.object(node, &["git", "kubernetes", "hub", "credentials", "grants"])?;
        let follow = to.one_of(node, &WAYS).and_then(|way| match way {
            "git" => object.required(way, to).map(Follow::Git),
            "hub" => object.required(way, to).map(Follow::Hub),
            _ => object.required(way, to).map(Follow::Kubernetes),
        });
        let credentials = object.optional("credentials", Default::default, to);
        let grants = object.optional("grants", Default::default, to);
        Some(Self { follow: follow?, credentials: credentials?, grants: grants? })
    }
}

impl TryFrom<Written> for SourceSpec {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { git, kubernetes, placement, hub, fleet, credentials, grants } = written;
        let ways = [
            git.map(Follow::Git),
            kubernetes.map(Follow::Kubernetes),
            placement.map(|Recorded {}| Follow::Placement),
            hub.map(Follow::Hub),
            fleet.map(|Recorded {}| Follow::Fleet),
        ];
        let mut ways = ways.into_iter().flatten();
        match (ways.next(), ways.next()) {
            (Some(follow), None) => Ok(Self { follow, credentials, grants }),
            _ => Err("a source follows exactly one of `git`, `kubernetes` and `hub`"),
        }
    }
}

impl From<SourceSpec> for Written {
    fn from(SourceSpec { follow, credentials, grants }: SourceSpec) -> Self {
        let mut written =
            Self { git: None, kubernetes: None, placement: None, hub: None, fleet: None, credentials, grants };
        match follow {
            Follow::Git(git) => written.git = Some(git),
            Follow::Kubernetes(kubernetes) => written.kubernetes = Some(kubernetes),
            Follow::Placement => written.placement = Some(Recorded {}),
            Follow::Hub(hub) => written.hub = Some(hub),
            Follow::Fleet => written.fleet = Some(Recorded {}),
        }
        written
    }
}

impl SourceSpec {
    /// The repository or folder, if that is what it follows.
    pub fn git(&self) -> Option<&GitSource> {
        match &self.follow {
            Follow::Git(git) => Some(git),
            Follow::Kubernetes(_) | Follow::Placement | Follow::Hub(_) | Follow::Fleet => None,
        }
    }
}

impl fmt::Display for Follow {
    /// What is followed, as one word: a URL or a path, `kubernetes:NODE`, or `kubernetes` or `fleet` as a whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(git) => f.write_str(&git.url),
            Self::Kubernetes(kubernetes) => write!(f, "kubernetes:{}", kubernetes.node),
            Self::Placement => f.write_str("kubernetes"),
            Self::Hub(hub) => f.write_str(&hub.url),
            Self::Fleet => f.write_str("fleet"),
        }
    }
}

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

/// A node of a Kubernetes cluster: the objects that name it in `spec.node` are wished here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesSource {
    /// The name that the cluster has for this machine, as `kubectl get nodes` shows it.
    pub node: NodeName,
}

object!(KubernetesSource { node "node" required });

/// A fleet's hub: it says which commit this machine is to be on, and what runs is read from that commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HubSource {
    /// Where it answers, as `https://hub.example.org:7443`.
    pub url: String,
}

object!(HubSource { url "url" required });

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
