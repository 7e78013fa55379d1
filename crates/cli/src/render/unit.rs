//! One unit, with all that is known of it: `abide describe`.

use super::{
    board::event,
    short,
    status::tone_of_unit,
    style::{Style, Tone},
    table::{cell, table},
};
use abide_agent::api::{Happening, InstanceStatus, SourceStatus, UnitStatus};
use serde::Serialize;

/// What is known of a unit.
#[derive(Debug, Serialize)]
pub(crate) struct Known {
    pub(crate) unit: UnitStatus,
    /// Whose it is; none if no source has it.
    pub(crate) source: Option<SourceStatus>,
    /// What runs, as JSON; secrets are left out. None where nothing does.
    pub(crate) spec: Option<serde_json::Value>,
    /// Where its logs are.
    pub(crate) logs: String,
    /// The last ones about it.
    pub(crate) events: Vec<Happening>,
}

pub(crate) fn describe(known: &Known, style: Style) -> String {
    let Known { unit, source, spec, logs, events } = known;
    let title = crate::units::full(unit);
    let mut text = style.paint(Tone::Strong, &title) + "\n";
    text += &table("  ", &facts(unit, source.as_ref(), logs), style);
    text += &heading("instances", style);
    text += &instances(&unit.instances, style);
    if let Some(spec) = spec {
        text += &heading("as it runs", style);
        // A value that was JSON has a form in YAML.
        let yaml = serde_yaml::to_string(spec).unwrap_or_default();
        text += &yaml.lines().map(|line| format!("  {}\n", style.paint(Tone::Plain, line))).collect::<String>();
    }
    if !events.is_empty() {
        text += &heading("events", style);
        text += &events.iter().map(|each| format!("  {}\n", event(each, style))).collect::<String>();
    }
    text
}

fn heading(text: &str, style: Style) -> String {
    format!("\n{}\n", style.paint(Tone::Faint, text))
}

fn facts(unit: &UnitStatus, source: Option<&SourceStatus>, logs: &str) -> Vec<[super::table::Cell; 2]> {
    let fact = |name: &str, value: String| [cell(name), cell(value)];
    let mut facts = vec![
        [cell("state"), cell(&unit.state).toned(tone_of_unit(&unit.state))],
        fact("ready", if unit.ready { "yes" } else { "no" }.to_owned()),
    ];
    if let Some(why) = unit.waiting.as_ref().or(Some(&unit.message).filter(|text| !text.is_empty())) {
        facts.push(fact("why", why.replace('\n', "\n         ")));
    }
    facts.push(fact("restarts", unit.restarts.to_string()));
    if !unit.addresses.is_empty() {
        let addresses: Vec<String> = unit.addresses.iter().map(ToString::to_string).collect();
        facts.push(fact("addresses", addresses.join(", ")));
    }
    if let Some(source) = source {
        let SourceStatus { commit, summary, state, url, .. } = source;
        facts.push(fact("source", format!("{} ({state}), {url}", source.name)));
        facts.push(fact("commit", format!("{}  {summary}", short(commit))));
    }
    facts.push(fact("logs", logs.to_owned()));
    facts
}

fn instances(instances: &[InstanceStatus], style: Style) -> String {
    if instances.is_empty() {
        return "  there is none\n".to_owned();
    }
    let row = |instance: &InstanceStatus| {
        let InstanceStatus { id, role, state, pid, exit_code } = instance;
        let pid = pid.map(|pid| format!("process {pid}")).unwrap_or_default();
        let code = exit_code.map(|code| format!("exit code {code}")).unwrap_or_default();
        [cell(id), cell(role), cell(state), cell(pid), cell(code)]
    };
    table("  ", &instances.iter().map(row).collect::<Vec<_>>(), style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::status::tests::machine;

    #[test]
    fn a_unit() {
        let machine = machine();
        let event = Happening {
            at: 1_798_761_599_000,
            source: Some("infra".to_owned()),
            commit: None,
            unit: Some("Container/web".to_owned()),
            kind: "done".to_owned(),
            text: "serves".to_owned(),
        };
        let known = Known {
            unit: machine.units[0].clone(),
            source: machine.sources.first().cloned(),
            spec: Some(serde_json::json!({ "image": "web:1.5" })),
            logs: "/var/lib/abide/log/infra_Container_web_0".to_owned(),
            events: vec![event],
        };
        insta::assert_snapshot!(describe(&known, Style::Plain));
    }
}
