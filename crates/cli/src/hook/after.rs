//! What is done once a push has landed. Nothing here can undo it, and nothing that fails here fails the push.

use super::known::{Follower, Known, agent};
use crate::{
    ask::{By, ask_of},
    exit::{Done, Exit},
    here::Here,
    output::{self, Format},
    render::short,
    watch::Watch,
};
use abide_agent::api::Request;
use abide_git::hook::{Effect, Update, read_updates};
use std::io;

/// `reference-transaction`: also runs where the pusher hung up, so it is what wakes the agent.
pub(super) fn moved(here: &Here, is_committed: bool) -> Done {
    if !is_committed {
        return Ok(Exit::Done);
    }
    let updates = read_updates(&mut io::stdin().lock())?;
    if !updates.iter().any(|update| update.name.starts_with("refs/heads/")) {
        return Ok(Exit::Done);
    }
    if agent(here)?.is_none() {
        return Ok(Exit::Done);
    }
    let known = Known::ask(here)?;
    for source in known.sources() {
        let branch = &source.repository.branch;
        let is_moved = updates.iter().any(|update| update.effect(branch) != Effect::None);
        if let (true, Some(agent)) = (is_moved, agent(here)?) {
            ask_of(agent, Request::Wake { source: source.name.clone() })?;
        }
    }
    Ok(Exit::Done)
}

/// `post-receive`: shows how it goes on.
pub(super) fn received(here: &Here) -> Done {
    let updates = read_updates(&mut io::stdin().lock())?;
    let known = Known::ask(here)?;
    let mut exit = Exit::Done;
    for (source, commit) in deployed(&known, &updates) {
        match (&known, agent(here)?) {
            (Known::Agent(_), Some(agent)) => {
                let mut watch = Watch::new(Format::Text);
                let request = Request::Follow { source: Some(source.name.clone()), commit: commit.clone() };
                agent.ask(request, &mut |heard| watch.hear(heard))?;
                let ended = watch.end(By::Agent)?;
                exit = if ended == Exit::Done { exit } else { ended };
            }
            _ => output::say(&format!(
                "{} is kept, and deployed as soon as an agent runs here (`{}`)\n",
                short(&commit),
                here.command("agent")
            )),
        }
    }
    Ok(exit)
}

fn deployed<'a>(known: &'a Known, updates: &'a [Update]) -> Vec<(&'a Follower, String)> {
    let each = known.sources().iter().flat_map(|source| updates.iter().map(move |update| (source, update)));
    let deployed = each.filter_map(|(source, update)| match update.effect(&source.repository.branch) {
        Effect::Deploy(commit) => Some((source, commit.to_string())),
        Effect::DeleteDeployed | Effect::None => None,
    });
    deployed.collect()
}
