//! `abide plan`

use crate::{
    args::sources::Plan,
    ask::ask_one,
    documents,
    exit::{Done, Exit, Failure},
    here::Here,
    output,
    render::{plan::plan, style::Style},
    source::name_of,
};
use abide_agent::{
    Mode,
    api::{Preview, Reply, Request},
};
use abide_git::revision;
use abide_spec::{Name, Unit};

pub(crate) fn run(here: &Here, command: &Plan) -> Done {
    let folder = &command.folder;
    let path = folder.path.canonicalize().map_err(Failure::file("finding", &folder.path))?;
    let name = folder.name.clone().map_or_else(|| name_of(&path.display().to_string()), Ok)?;
    let grants = documents::grants(folder.source.as_deref())?;
    documents::warn_of_nothing(&path);
    let parsed = documents::read(&path, &name, &grants)?;
    let parsed = parsed
        .map_err(|mistakes| Failure::refused(format!("the folder has mistakes\n{}", revision::render(&mistakes))))?;
    let units = parsed.units.iter().map(|unit| Unit::clone(unit)).collect();
    let preview = preview(here, &name, units)?;
    output::print(command.output.format, &preview, || plan(&preview, Style::of_output()));
    let is_nothing = preview.changes.is_empty() && preview.held.is_none();
    Ok(if is_nothing { Exit::Done } else { Exit::Changes })
}

/// What these units would change, as all that a source wants.
fn preview(here: &Here, source: &Name, units: Vec<Unit>) -> Result<Preview, Failure> {
    match ask_one(here, Mode::LookOnly, Request::Preview { source: source.to_string(), units })?.0 {
        Reply::Preview(preview) => Ok(preview),
        _ => Err(Failure::failed("the agent answered something else: is it of another release?")),
    }
}
