//! `abide schema`

use crate::{
    args::Schema,
    exit::{Done, Exit},
    output,
};

pub(crate) fn run(command: &Schema) -> Done {
    let schema = if command.source { abide_spec::schema::source() } else { abide_spec::schema::repository() };
    output::print(command.output, &schema, || format!("{schema:#}\n"));
    Ok(Exit::Done)
}
