//! Sources out of what the machine's owner wrote.

use crate::exit::with_causes;
use abide_agent::{Opened, Opening, SourceFactory};
use abide_fleet::link::{self, Link};
use abide_git::{
    GitSource, Settings,
    cache::History,
    folder,
    revision::{ReopenError, reopen},
};
use abide_operator::node::{self, Node};
use abide_reconcile::{
    Fault, Revision, SourceId,
    spec::kind::{Follow, SourceSpec},
};
use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// This very program, whatever the file that it was started from is by now.
const PROGRAM: &str = "/proc/self/exe";

/// Makes sources whose state is below this folder.
pub(super) struct Factory {
    /// `sources/` of the state folder.
    pub(super) sources: PathBuf,
    /// The cluster, if this is the agent of a node.
    pub(super) node: Option<Node>,
    /// What a hub is followed with.
    pub(super) link: Link,
}

impl Factory {
    /// The source's state folder, which is there then.
    fn directory(&self, id: &SourceId) -> Result<PathBuf, Fault> {
        let directory = self.sources.join(id.to_string());
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| Fault::Again(format!("making {}: {error}", directory.display()).into()))?;
        Ok(directory)
    }

    /// How to follow a repository or folder, if that is what `spec` names.
    fn settings(&self, id: &SourceId, spec: &SourceSpec) -> Result<Settings, Fault> {
        let SourceSpec { follow, credentials, grants } = spec.clone();
        let repository = match follow.clone() {
            Follow::Git(git) => git,
            Follow::Kubernetes(_) | Follow::Placement | Follow::Hub(_) | Follow::Fleet => {
                return Err(Fault::Never(format!("{follow} is no repository").into()));
            }
        };
        let directory = self.directory(id)?;
        Ok(Settings {
            id: id.clone(),
            repository,
            credentials,
            grants,
            directory,
            program: PROGRAM.into(),
            said: None,
            keep: Vec::new(),
            history: History::None,
            reading: None,
            bounds: Default::default(),
        })
    }
}

impl SourceFactory for Factory {
    fn open(&self, opening: &Opening) -> Result<Opened, Fault> {
        if let Follow::Kubernetes(_) = &opening.spec.follow {
            return match &self.node {
                Some(node) => node.open(opening, &self.directory(&opening.id)?),
                None => Err(Fault::Never("the objects of a cluster are followed by `abide operator`".into())),
            };
        }
        if let Follow::Hub(_) = &opening.spec.follow {
            return self.link.open(opening, &self.directory(&opening.id)?);
        }
        let Opening { id, spec, said, keep } = opening.clone();
        let settings = Settings { said, keep, ..self.settings(&id, &spec)? };
        let source = GitSource::new(settings).map_err(|error| Fault::Never(error.to_string().into()))?;
        let waker = source.waker();
        Ok(Opened { source: Box::new(source), wake: Box::new(move || waker.wake()), reporter: None, contact: None })
    }

    fn reopen(&self, id: &SourceId, spec: &SourceSpec, commit: &str) -> Result<Revision, Fault> {
        if let Follow::Kubernetes(_) = &spec.follow {
            return node::reopen(&self.directory(id)?, commit);
        }
        if let Follow::Hub(_) = &spec.follow {
            return link::reopen(id, &self.directory(id)?, &spec.grants, commit);
        }
        reopen(&self.settings(id, spec)?, commit).map_err(|error| {
            let text = with_causes(&error).into();
            if matches!(error, ReopenError::Id(_) | ReopenError::Unknown(_)) {
                Fault::Never(text)
            } else {
                Fault::Again(text)
            }
        })
    }

    fn commit_folder(&self, id: &SourceId, spec: &SourceSpec) -> Result<Revision, Fault> {
        let settings = self.settings(id, spec)?;
        let commit = folder::commit(Path::new(&settings.repository.url), &settings.directory);
        let commit = commit.map_err(|error| Fault::Again(with_causes(&error).into()))?;
        self.reopen(id, spec, &commit.to_string())
    }
}
