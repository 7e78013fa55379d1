//! `pre-receive`: whether a push may land. What is said is said on the pusher's screen.

use super::{
    known::{Follower, Known, agent},
    variable,
};
use crate::{
    ask::ask_of,
    exit::{Done, Exit, Failure},
    here::Here,
    output,
    render::{plan, short, style::Style},
};
use abide_agent::api::{Preview, Reply, Request};
use abide_git::{
    Oid,
    hook::{Effect, Options, Update, open_pushed, read_options, read_updates},
    revision, tree,
};
use abide_spec::{Context, Name, Unit};
use std::{env, io};

/// Hooks write to a pipe that Git forwards.
const STYLE: Style = Style::Plain;

pub(super) fn run(here: &Here) -> Done {
    let options = read_options(|name| env::var(name).ok()).map_err(|error| Failure::refused(error.to_string()))?;
    let updates = read_updates(&mut io::stdin().lock())?;
    let known = Known::ask(here)?;
    if known.sources().is_empty() {
        output::say("no source of this machine follows this repository: what is pushed is stored, and not deployed\n");
        return Ok(Exit::Done);
    }
    for update in &updates {
        let mut deployed = known.sources().iter().filter_map(|source| match update.effect(&source.repository.branch) {
            Effect::Deploy(commit) => Some((source, commit)),
            Effect::DeleteDeployed | Effect::None => None,
        });
        let Some(first) = deployed.next() else {
            tell(&known, update);
            continue;
        };
        for (source, commit) in [first].into_iter().chain(deployed) {
            let judged = judge(here, &known, source, commit, &options)?;
            if judged != Exit::Done {
                return Ok(judged);
            }
        }
    }
    Ok(Exit::Done)
}

/// Says what a reference that isn't deployed means.
fn tell(known: &Known, update: &Update) {
    let branches = known.sources().iter().map(|source| source.repository.branch.as_str());
    let texts = branches.filter_map(|branch| Some((update.effect(branch), update.text(branch)?)));
    // Of several sources the one whose branch goes has most to say.
    let text = texts.max_by_key(|(effect, _)| *effect == Effect::DeleteDeployed);
    output::say(&text.map(|(_, text)| text + "\n").unwrap_or_default());
}

fn judge(here: &Here, known: &Known, source: &Follower, commit: Oid, options: &Options) -> Done {
    let id = commit.to_string();
    let refused = |text: &str| {
        output::say(&format!("✖ {}  refused, and nothing was changed\n{}\n", short(&id), text.trim_end()));
        Ok(Exit::Refused)
    };
    let units = match read(source, commit)? {
        Ok(units) => units,
        Err(mistakes) => return refused(&mistakes),
    };
    if let Known::NoAgent(_) = known {
        let count = crate::render::count(units.len(), "unit");
        output::say(&format!("✔ {}  {count}; no agent runs here, so the guard judges it later\n", short(&id)));
        return Ok(Exit::Done);
    }
    let preview = preview(here, source, units)?;
    let Some(held) = &preview.held else {
        let summary = plan::summary(&preview);
        output::say(&format!("✔ {}  {summary}\n{}", short(&id), plan::details(&preview, STYLE)));
        return Ok(Exit::Done);
    };
    if !options.allow.contains(&held.plan) {
        return refused(&plan::details(&preview, STYLE));
    }
    let request = Request::Allow { plan: held.plan.clone(), source: Some(source.name.clone()) };
    say_of(here, request)?;
    let allowed = Preview { held: None, ..preview.clone() };
    let summary = plan::summary(&preview);
    output::say(&format!(
        "✔ {}  {summary}, and {} is allowed\n{}",
        short(&id),
        held.plan,
        plan::details(&allowed, STYLE)
    ));
    Ok(Exit::Done)
}

/// What a commit in quarantine says for a source, or all its mistakes.
fn read(source: &Follower, commit: Oid) -> Result<Result<Vec<Unit>, String>, Failure> {
    let path = source.repository.path.as_deref().unwrap_or_default();
    let snapshot = match tree::of_commit(open_pushed(variable)?, commit, path) {
        Ok(snapshot) => snapshot,
        Err(error) => return Ok(Err(crate::exit::with_causes(&error))),
    };
    let scope = Name::new(&source.name)?;
    let context = Context::plain(&scope, &source.grants);
    let parsed = revision::parse(&snapshot, path, context);
    let units = |parsed: abide_spec::Parsed| parsed.units.iter().map(|unit| Unit::clone(unit)).collect();
    Ok(parsed.map(units).map_err(|mistakes| revision::render(&mistakes)))
}

fn preview(here: &Here, source: &Follower, units: Vec<Unit>) -> Result<Preview, Failure> {
    match say_of(here, Request::Preview { source: source.name.clone(), units })? {
        Reply::Preview(preview) => Ok(preview),
        _ => Err(Failure::failed("the agent answered something else: is it of another release?")),
    }
}

/// Asks the agent, which was there a moment ago.
fn say_of(here: &Here, request: Request) -> Result<Reply, Failure> {
    let agent = agent(here)?.ok_or_else(|| Failure::failed("the agent ended meanwhile: push again"))?;
    ask_of(agent, request)
}
