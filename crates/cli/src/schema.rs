//! `abide schema`

use crate::{
    args::Schema,
    exit::{Done, Exit},
    output,
};
use abide_fleet::admin::{machine::Machines, rollout::Rollouts};

pub(crate) fn run(command: &Schema) -> Done {
    if command.crd {
        output::say(&abide_operator::crd::manifest()?);
        return Ok(Exit::Done);
    }
    let schema = match command {
        Schema { source: true, .. } => abide_spec::schema::source(),
        Schema { fleet: true, .. } => abide_spec::schema::fleet(),
        Schema { status: true, .. } => abide_agent::api::snapshot_schema(),
        Schema { machines: true, .. } => Machines::schema(),
        Schema { rollouts: true, .. } => Rollouts::schema(),
        _ => abide_spec::schema::repository(),
    };
    output::print(command.output, &schema, || format!("{schema:#}\n"));
    Ok(Exit::Done)
}
