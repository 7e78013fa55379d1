//! What a person decides, in a request each: `abide follow`, `rollback`, `allow`, `retry`, `down`.

use crate::{
    args::{
        sources::{Allow, Down, Follow, Rollback},
        units::Retry,
    },
    ask::ask,
    exit::Done,
    here::Here,
    output::Format,
    source::snapshot,
    units,
    watch::Watch,
};
use abide_agent::{Mode, api::Request};

pub(crate) fn follow(here: &Here, command: &Follow) -> Done {
    let Follow { commit, source, output } = command;
    wait(here, output.format, Request::Follow { source: source.clone(), commit: commit.clone() })
}

pub(crate) fn rollback(here: &Here, command: &Rollback) -> Done {
    let Rollback { source, to, output } = command.clone();
    wait(here, output.format, Request::Rollback { source, commit: to })
}

pub(crate) fn allow(here: &Here, command: &Allow) -> Done {
    wait(here, command.output.format, Request::Allow { plan: command.plan.clone(), source: None })
}

pub(crate) fn retry(here: &Here, command: &Retry) -> Done {
    let snapshot = snapshot(here)?;
    let unit = units::full(units::find(&snapshot, &command.unit)?);
    wait(here, command.output.format, Request::Retry { unit })
}

pub(crate) fn down(here: &Here, command: &Down) -> Done {
    wait(here, command.output.format, Request::Down)
}

fn wait(here: &Here, format: Format, request: Request) -> Done {
    let mut watch = Watch::new(format);
    let by = ask(here, Mode::Act, request, &mut |heard| watch.hear(heard))?;
    watch.end(by)
}
