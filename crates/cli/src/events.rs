//! `abide events`

use crate::{
    args::units::Events,
    client::{Client, Heard},
    exit::{Done, Exit, Failure},
    here::Here,
    output::{self, Format},
    render::{board::event, style::Style},
};
use abide_agent::api::{Happening, Reply, Request};
use std::ops::ControlFlow;

pub(crate) fn run(here: &Here, command: &Events) -> Done {
    let mut failure = None;
    let style = Style::of_output();
    let Some(agent) = Client::connect(&here.paths.agent_socket())? else {
        let command = here.command("agent");
        return Err(Failure::failed(format!("no agent runs here, and nobody else notes what happens: `{command}`")));
    };
    agent.ask(Request::Events { follow: command.follow }, &mut |heard| {
        match heard {
            Heard::Reply(Reply::Happened(happening)) => return show(&happening, command.output.format, style),
            Heard::Reply(Reply::Refused { message }) => failure = Some(Failure::refused(message)),
            Heard::Reply(Reply::Failed { message }) => failure = Some(Failure::failed(message)),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    failure.map_or(Ok(Exit::Done), Err)
}

/// A line each, also of JSON, so that a program can read them as they come.
fn show(happening: &Happening, format: Format, style: Style) -> ControlFlow<()> {
    let text = match format {
        Format::Text => event(happening, style) + "\n",
        Format::Json => serde_json::to_string(happening).unwrap_or_default() + "\n",
        Format::Yaml => format!("---\n{}", serde_yaml::to_string(happening).unwrap_or_default()),
    };
    // Who closed the pipe has seen enough, and waiting on would be for nobody.
    if output::try_say(&text) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// The last ones about a unit; none where no agent runs.
pub(crate) fn about(here: &Here, source: &str, unit: &str) -> Result<Vec<Happening>, Failure> {
    let mut found = Vec::new();
    let Some(agent) = Client::connect(&here.paths.agent_socket())? else { return Ok(found) };
    agent.ask(Request::Events { follow: false }, &mut |heard| {
        if let Heard::Reply(Reply::Happened(happening)) = heard
            && happening.source.as_deref() == Some(source)
            && happening.unit.as_deref() == Some(unit)
        {
            found.push(happening);
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
