//! `abide schema`

use crate::{args::Schema, exit::Exit, output};

pub(crate) fn run(command: &Schema) -> Exit {
    let schema = if command.source { abide_spec::schema::source() } else { abide_spec::schema::repository() };
    output::print(command.output, &schema, || format!("{schema:#}\n"));
    Exit::Done
}
