//! `abide apply`

use crate::{
    args::sources::Apply,
    ask::ask,
    documents,
    exit::{Done, Failure},
    here::Here,
    source::{local, name_of},
    watch::Watch,
};
use abide_agent::{Mode, api::Request};
use abide_spec::kind::SourceSpec;

pub(crate) fn run(here: &Here, command: &Apply) -> Done {
    let folder = &command.folder;
    let path = folder.path.canonicalize().map_err(Failure::file("finding", &folder.path))?;
    if !path.is_dir() {
        let text =
            format!("{} is no folder: what a source owns is all that its folder says; name that", path.display());
        return Err(Failure::refused(text));
    }
    documents::warn_of_nothing(&path);
    let unwritable = || Failure::refused(format!("{path:?} is no text: choose another path"));
    let path = path.to_str().ok_or_else(unwritable)?.to_owned();
    let name = folder.name.clone().map_or_else(|| name_of(&path), Ok)?;
    let grants = documents::grants(folder.source.as_deref())?;
    let spec = Box::new(SourceSpec { grants, ..local(&path, "main") });
    let mut watch = Watch::new(command.output.format);
    let request = Request::Apply { source: name.to_string(), path, spec };
    let by = ask(here, Mode::Act, request, &mut |heard| watch.hear(heard))?;
    watch.end(by)
}
