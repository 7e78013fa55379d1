//! Which sources follow the repository that is pushed to, as far as the pusher can know.

use crate::{
    ask::{ask_of, ask_one},
    client::Client,
    exit::Failure,
    here::Here,
};
use abide_agent::{
    Mode,
    api::{Registered, Reply, Request},
};
use abide_git::{Repository, hook::repository_path};
use abide_spec::{
    Name,
    kind::{Follow, GitSource, Grants},
};
use std::path::Path;

/// What is known.
pub(super) enum Known {
    /// Said by the agent, which runs.
    Agent(Vec<Follower>),
    /// No agent runs. What its journals say, if the pusher may read them; else what a repository of ours is as a rule.
    NoAgent(Vec<Follower>),
}

/// A source that follows the repository.
pub(super) struct Follower {
    /// How it is called, which is the scope of its units.
    pub(super) name: String,
    /// What it follows of it.
    pub(super) repository: GitSource,
    /// What its documents may ask for.
    pub(super) grants: Grants,
}

impl Known {
    /// Asks for the repository that Git runs this in.
    pub(super) fn ask(here: &Here) -> Result<Self, Failure> {
        let repository = repository_path(super::variable)?;
        let path = repository.to_str().ok_or_else(|| Failure::failed(format!("{repository:?} is no text")))?;
        let request = Request::SourcesOf { repository: path.to_owned() };
        if let Some(agent) = agent(here)? {
            return sources(ask_of(agent, request)?).map(Self::Agent);
        }
        if nix::unistd::geteuid().is_root() && here.paths.state.exists() {
            return sources(ask_one(here, Mode::LookOnly, request)?.0).map(Self::NoAgent);
        }
        usual(&repository).map(|source| Self::NoAgent(vec![source]))
    }

    pub(super) fn sources(&self) -> &[Follower] {
        match self {
            Self::Agent(sources) | Self::NoAgent(sources) => sources,
        }
    }
}

/// A connection to the agent by the hooks' door; `None` if no agent runs.
pub(super) fn agent(here: &Here) -> Result<Option<Client>, Failure> {
    let socket = here.paths.hook_socket();
    Client::connect(&socket).map_err(|_| {
        let text = format!(
            "the agent can't be reached at {} by this user: each folder above it must let others pass (chmod o+x)",
            socket.display()
        );
        Failure::failed(text)
    })
}

fn sources(reply: Reply) -> Result<Vec<Follower>, Failure> {
    let follower = |Registered { name, spec }| match spec.follow {
        Follow::Git(repository) => Some(Follower { name, repository, grants: spec.grants }),
        Follow::Kubernetes(_) | Follow::Placement | Follow::Hub(_) | Follow::Fleet => None,
    };
    match reply {
        Reply::Sources { sources } => Ok(sources.into_iter().filter_map(follower).collect()),
        _ => Err(Failure::failed("the agent answered something else: is it of another release?")),
    }
}

/// What `abide init` registers. Grants are not known, so nothing is refused for want of one; the agent does that later.
fn usual(repository: &Path) -> Result<Follower, Failure> {
    let opened = Repository::open_bare(repository)?;
    let head = opened.find_reference("HEAD")?;
    let branch = head.symbolic_target()?.and_then(|name| name.strip_prefix("refs/heads/")).unwrap_or("main");
    let name = crate::source::name_of(&repository.display().to_string())
        .or_else(|_| Ok::<_, Failure>(Name::new("pushed")?))?;
    let grants = Grants { host_paths: vec!["/".to_owned()], host_network: true, privileged: true, ..Grants::default() };
    Ok(Follower { name: name.to_string(), repository: crate::source::repository("", branch), grants })
}
