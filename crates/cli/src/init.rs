//! `abide init`: a repository that deploys, and the source that follows it.

use crate::{
    args::sources::Init,
    ask::{By, ask_one},
    exit::{Done, Exit, Failure},
    here::Here,
    output,
    source::{local, name_of, register},
};
use abide_agent::{
    Mode,
    api::{Reply, Request},
};
use abide_git::init::{self, InitError, Made};
use abide_spec::kind::SourceSpec;
use nix::unistd::{Gid, Group};
use std::path::{Path, PathBuf};

pub(crate) fn run(here: &Here, command: &Init) -> Done {
    let folder = std::path::absolute(&command.folder).map_err(Failure::file("finding", &command.folder))?;
    let name = command.name.clone().map_or_else(|| name_of(&folder.display().to_string()), Ok)?;
    let group = command.group.as_deref().map(group).transpose()?;
    let followed = followed(here, name.as_str())?;
    if let Some(url) = followed.as_ref().filter(|url| !is_at(url, &folder)) {
        let text = format!(
            "source {name} follows {url} already: choose another name with --name, or `abide source remove {name}` first"
        );
        return Err(Failure::refused(text));
    }
    let made = make(here, &folder, group, &command.branch)?;
    let repository = folder.canonicalize().map_err(Failure::file("finding", &folder))?;
    let by = match followed {
        // It may have been given grants since, which are to stay.
        Some(_) => {
            ask_one(here, Mode::Act, Request::Wake { source: name.to_string() }).map_or(By::Itself, |(_, by)| by)
        }
        None => register(here, &name, spec(&repository, &command.branch)?)?.1,
    };
    let verb = if made == Made::New { "made" } else { "put right" };
    let (branch, path) = (&command.branch, repository.display());
    let mut messages = vec![
        format!("{verb} {path}: what is pushed to its branch {branch} is deployed here, as source {name}"),
        format!("  git push root@HOST:{path} {branch}"),
    ];
    if by == By::Itself {
        let command = here.command("agent");
        messages.push(format!("no agent runs here: a push is kept, and deployed as soon as one does: `{command}`"));
    }
    output::words(command.output.format, &messages);
    Ok(Exit::Done)
}

fn make(here: &Here, folder: &Path, group: Option<u32>, branch: &str) -> Result<Made, Failure> {
    let program = std::env::current_exe().map_err(Failure::doing("finding this program"))?;
    let settings = init::Init { branch, group, program: &program, root: here.root.as_deref() };
    init::init(folder, &settings).map_err(|error| match error {
        InitError::NotEmpty(_) | InitError::ForeignHook(_) | InitError::Branch(_) => {
            Failure::refused(error.to_string())
        }
        error => error.into(),
    })
}

/// What the source of this name follows, if there is one.
fn followed(here: &Here, name: &str) -> Result<Option<String>, Failure> {
    if !here.paths.state.exists() {
        return Ok(None);
    }
    let (reply, _) = ask_one(here, Mode::LookOnly, Request::Get)?;
    let Reply::Snapshot(snapshot) = reply else { return Ok(None) };
    let mut sources = snapshot.sources.into_iter().filter(|source| source.state != "withdrawn");
    Ok(sources.find(|source| source.name == name).map(|source| source.url))
}

fn is_at(url: &str, folder: &Path) -> bool {
    let path = PathBuf::from(url.strip_prefix("file://").unwrap_or(url));
    path == folder || folder.canonicalize().is_ok_and(|folder| path == folder)
}

fn spec(repository: &Path, branch: &str) -> Result<SourceSpec, Failure> {
    let url = repository
        .to_str()
        .ok_or_else(|| Failure::refused(format!("{repository:?} is no text: choose another path")))?;
    Ok(local(url, branch))
}

fn group(text: &str) -> Result<u32, Failure> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let found = Group::from_name(text).map_err(Failure::doing("looking for the group"))?;
    let missing =
        || Failure::refused(format!("there is no group {text}: `groupadd {text}` makes it, or give its number"));
    found.map(|group: Group| Gid::as_raw(group.gid)).ok_or_else(missing)
}
