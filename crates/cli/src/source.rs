//! `abide source`: what this machine follows.

use crate::{
    args::sources::{Add, SourceCommand, Which},
    ask::{By, ask_one},
    documents,
    exit::{Done, Exit, Failure},
    here::Here,
    output::{self, Format},
    render::{status, style::Style},
};
use abide_agent::{
    Mode,
    api::{Reply, Request, Snapshot},
};
use abide_git::location;
use abide_spec::{
    Name,
    kind::{Credentials, Follow, GitSource, Grants, SourceSpec},
    quantity::Span,
};
use std::{path::Path, time::Duration};

/// For sources that are never asked by interval.
const INTERVAL: Span = Span(Duration::from_secs(30));

pub(crate) fn run(here: &Here, command: &SourceCommand) -> Done {
    let (request, output) = match command {
        SourceCommand::Add(command) => return add(here, command),
        SourceCommand::List { output } => {
            let sources = snapshot(here)?.sources;
            output::print(output.format, &sources, || status::sources(&sources, Style::of_output()));
            return Ok(Exit::Done);
        }
        SourceCommand::Remove(Which { name, output }) => (Request::SourceRemove { name: name.clone() }, output),
        SourceCommand::Suspend(Which { name, output }) => (Request::SourceSuspend { name: name.clone() }, output),
        SourceCommand::Resume(Which { name, output }) => (Request::SourceResume { name: name.clone() }, output),
    };
    let (reply, by) = ask_one(here, Mode::Act, request)?;
    say(here, reply, by, output.format);
    Ok(Exit::Done)
}

/// How things stand. Where there is no root nothing is made.
pub(crate) fn snapshot(here: &Here) -> Result<Snapshot, Failure> {
    if !here.paths.state.exists() {
        return Ok(Snapshot { settled: true, ..Snapshot::default() });
    }
    match ask_one(here, Mode::LookOnly, Request::Get)?.0 {
        Reply::Snapshot(snapshot) => Ok(snapshot),
        _ => Err(Failure::failed("the agent answered something else: is it of another release?")),
    }
}

/// A decision was written; without an agent it takes effect later.
fn say(here: &Here, reply: Reply, by: By, format: Format) {
    output::words(format, &words_of(here, reply, by));
}

/// The same as lines.
pub(crate) fn words_of(here: &Here, reply: Reply, by: By) -> Vec<String> {
    let mut messages = Vec::new();
    if let Reply::Done { message } = reply {
        messages.push(message);
    }
    if by == By::Itself {
        let command = here.command("agent");
        messages.push(format!("no agent runs here: it takes effect as soon as one does: `{command}`"));
    }
    messages
}

fn add(here: &Here, command: &Add) -> Done {
    let (name, spec) = match &command.file {
        Some(file) => documents::source(file)?,
        None => described(command)?,
    };
    if let Some(git) = spec.git() {
        followable(&git.url)?;
    }
    let (reply, by) = register(here, &name, spec)?;
    say(here, reply, by, command.output.format);
    Ok(Exit::Done)
}

/// Registers a source, or changes it.
pub(crate) fn register(here: &Here, name: &Name, spec: SourceSpec) -> Result<(Reply, By), Failure> {
    ask_one(here, Mode::Act, Request::SourceAdd { name: name.to_string(), spec: Box::new(spec) })
}

/// A source as flags describe it.
fn described(command: &Add) -> Result<(Name, SourceSpec), Failure> {
    let url = located(command.url.as_deref().unwrap_or_default())?;
    // Before a name is made out of it.
    followable(&url)?;
    let name = command.name.clone().map_or_else(|| name_of(&url), Ok)?;
    let git = GitSource { url, branch: command.branch.clone(), path: command.path.clone(), interval: command.interval };
    let file = |path: &Option<std::path::PathBuf>| path.as_deref().map(readable).transpose();
    let credentials = Credentials { token_file: file(&command.token_file)?, ca_file: file(&command.ca_file)? };
    Ok((name, SourceSpec { follow: Follow::Git(git), credentials, grants: Grants::default() }))
}

fn followable(url: &str) -> Result<(), Failure> {
    location::parse(url).map(drop).map_err(|error| Failure::refused(error.to_string()))
}

/// What is no URL is a path of this machine, seen from here.
fn located(text: &str) -> Result<String, Failure> {
    if text.contains("://") || text.starts_with("git@") {
        return Ok(text.to_owned());
    }
    let path = Path::new(text).canonicalize().map_err(Failure::file("finding the repository", Path::new(text)))?;
    written(&path)
}

/// The agent reads it later, and wherever it was started: an absolute path of a file that is there.
fn readable(path: &Path) -> Result<String, Failure> {
    written(&path.canonicalize().map_err(Failure::file("finding", path))?)
}

fn written(path: &Path) -> Result<String, Failure> {
    let unwritable = || Failure::refused(format!("{path:?} is no text: choose another path"));
    path.to_str().map(str::to_owned).ok_or_else(unwritable)
}

/// A source's name, out of what it follows.
pub(crate) fn name_of(url: &str) -> Result<Name, Failure> {
    let last = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = last.strip_suffix(".git").unwrap_or(last);
    Name::new(name).map_err(|error| Failure::refused(format!("{error}; say how the source is called with --name NAME")))
}

/// A repository or folder of this machine.
pub(crate) fn repository(url: &str, branch: &str) -> GitSource {
    GitSource { url: url.to_owned(), branch: branch.to_owned(), path: None, interval: INTERVAL }
}

/// A source that follows it.
pub(crate) fn local(url: &str, branch: &str) -> SourceSpec {
    let git = repository(url, branch);
    SourceSpec { follow: Follow::Git(git), credentials: Credentials::default(), grants: Grants::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |url| name_of(url).map(|name| name.to_string()).map_err(|failure| failure.text);
        for url in ["/srv/infra.git", "https://git.example.org/x/infra.git/", "/srv/infra", "infra"] {
            assert_eq!(name(url), Ok("infra".to_owned()), "{url}");
        }
        insta::assert_snapshot!(name("/srv/My_Infra").unwrap_err(), @r#""My_Infra" is no name: use 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit; say how the source is called with --name NAME"#);
    }
}
