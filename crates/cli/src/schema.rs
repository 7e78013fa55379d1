//! `abide schema`

use crate::{
    args::Schema,
    exit::{Done, Exit},
    output,
};

pub(crate) fn run(command: &Schema) -> Done {
    if command.crd {
        output::say(&abide_operator::crd::manifest()?);
        return Ok(Exit::Done);
    }
    let schema = match (command.source, command.fleet, command.status) {
        (true, _, _) => abide_spec::schema::source(),
        (_, true, _) => abide_spec::schema::fleet(),
        (_, _, true) => abide_agent::api::snapshot_schema(),
        (false, false, false) => abide_spec::schema::repository(),
    };
    output::print(command.output, &schema, || format!("{schema:#}\n"));
    Ok(Exit::Done)
}
