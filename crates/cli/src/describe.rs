//! `abide describe`

use crate::{
    args::units::Describe,
    events,
    exec::running,
    exit::{Done, Exit, Failure},
    here::Here,
    output,
    render::{
        status,
        style::Style,
        unit::{Known, describe},
    },
    source::snapshot,
    units,
};
use abide_reconcile::{UnitId, UnitSpec};
use serde_json::Value;

/// Events that are shown, the last ones.
const EVENTS_MAX: usize = 15;

pub(crate) fn run(here: &Here, command: &Describe) -> Done {
    let snapshot = snapshot(here)?;
    let unit = units::find(&snapshot, &command.unit)?.clone();
    let id = units::id(&unit)?;
    let mut events = events::about(here, &unit.source, &status::name(&unit))?;
    let old = events.len().saturating_sub(EVENTS_MAX);
    events.drain(..old);
    let known = Known {
        source: snapshot.sources.iter().find(|source| source.name == unit.source).cloned(),
        spec: spec(here, &id)?,
        logs: abide_instance::log_directory(&here.paths, &id).display().to_string(),
        events,
        unit,
    };
    output::print(command.output.format, &known, || describe(&known, Style::of_output()));
    Ok(Exit::Done)
}

/// What runs, by its directory: the spec alone, which has no secret's value.
fn spec(here: &Here, unit: &UnitId) -> Result<Option<Value>, Failure> {
    // Nothing that runs is no failure here: the rest says why.
    let Ok(instance) = running(here, unit) else { return Ok(None) };
    let spec = match &instance.unit.spec {
        UnitSpec::Container(spec) => serde_json::to_value(spec)?,
        UnitSpec::VirtualMachine(spec) => serde_json::to_value(spec)?,
        UnitSpec::Volume(spec) => serde_json::to_value(spec)?,
        UnitSpec::Assignment(spec) => serde_json::to_value(spec)?,
        UnitSpec::Machine(spec) => serde_json::to_value(spec)?,
    };
    Ok(Some(without_nothing(spec)))
}

/// Leaves out what isn't said.
fn without_nothing(value: Value) -> Value {
    let is_something = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(map) => {
            let fields = map.into_iter().map(|(name, value)| (name, without_nothing(value)));
            Value::Object(fields.filter(|(_, value)| is_something(value)).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_nothing).collect()),
        other => other,
    }
}
