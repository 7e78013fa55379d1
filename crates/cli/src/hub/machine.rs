//! `abide hub machine`

use crate::{
    admin,
    args::hub::{Label, MachineCommand},
    exit::{Done, Exit, Failure},
    here::Here,
    output::{self, Format},
    render::{age, fleet, style::Style},
};
use abide_fleet::{
    admin::{
        detail::{Detail, Labels},
        machine::{Machines, State},
    },
    server::tls::WallClock,
};
use abide_spec::Name;
use std::collections::BTreeMap;

pub(super) fn run(here: &Here, command: &MachineCommand) -> Done {
    match command {
        MachineCommand::List { labels, state, revision, output } => {
            return machines(here, output.format, labels, *state, revision.as_deref());
        }
        MachineCommand::Describe { name, output } => show(output.format, &admin::get(here, &path(name))?),
        MachineCommand::Label { name, labels, output } => {
            let labels = labels.iter().map(|change| (change.key.clone(), change.value.clone())).collect();
            show(output.format, &admin::ask(here, "PATCH", &path(name), Some(&Labels { labels }))?);
        }
        MachineCommand::Revoke { name, output } => {
            let detail: Detail = admin::ask(here, "DELETE", &path(name), None::<&()>)?;
            output::print(output.format, &detail, || {
                format!("✔ {name} is served no more; what it runs, runs on. With a new token it can be enrolled anew\n")
            });
        }
    }
    Ok(Exit::Done)
}

/// The machines of the fleet that are asked for, as `abide get --fleet` shows them too.
pub(crate) fn machines(
    here: &Here,
    format: Format,
    labels: &[Label],
    state: Option<State>,
    revision: Option<&str>,
) -> Done {
    let labels = labels.iter().map(|label| ("label", format!("{}={}", label.key, label.value)));
    let state = state.map(|state| ("state", state.to_string()));
    let revision = revision.map(|revision| ("revision", revision.to_owned()));
    let asked = labels.chain(state).chain(revision);
    let query: Vec<String> = asked.map(|(key, value)| format!("{key}={}", admin::quoted(&value))).collect();
    let found: Machines = admin::get(here, &format!("/admin/machines?{}", query.join("&")))?;
    output::print(format, &found, || fleet::machines(&found, Style::of_output()));
    Ok(Exit::Done)
}

/// What values for a machine are encrypted to, as the hub of this root knows.
pub(crate) fn recipient(here: &Here, name: &Name) -> Result<String, Failure> {
    let detail: Detail = admin::get(here, &path(name))?;
    if detail.recipient.is_empty() {
        return Err(Failure::failed(format!(
            "the hub doesn't know the recipient of {name}: enrol it anew, or say --recipient"
        )));
    }
    Ok(detail.recipient)
}

fn path(name: &Name) -> String {
    format!("/admin/machines/{}", admin::quoted(name.as_str()))
}

/// Labels, in a line.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn show(format: Format, detail: &Detail) {
    output::print(format, detail, || describe(detail, WallClock::system().now()));
}

fn describe(detail: &Detail, now: i64) -> String {
    let ago = |at: i64| format!("{} ago", age(u64::try_from(now.saturating_sub(at)).unwrap_or(0)));
    let machine = &detail.machine;
    let mut lines = vec![
        ("Machine", machine.name.clone()),
        ("State", machine.state.to_string()),
        ("Why", machine.message.clone()),
        ("Told", machine.commit.clone()),
        ("In force", machine.in_force.clone()),
        ("Labels", labels(&machine.labels)),
        ("Release", machine.version.clone()),
        ("Enrolled", ago(machine.enrolled_at)),
        ("Certificate", ago(detail.issued_at)),
        ("Heard", ago(machine.heard_at)),
        ("Silent since", machine.silent_since.map(ago).unwrap_or_default()),
        ("Revoked", detail.revoked_at.map(ago).unwrap_or_default()),
        ("Connected to", detail.hub.clone().unwrap_or_default()),
        ("Recipient", detail.recipient.clone()),
    ];
    let units = detail.units.iter().map(|(state, number)| format!("{number} {state}")).collect::<Vec<_>>();
    lines.push(("Units", units.join(", ")));
    lines.extend(
        detail
            .troubles
            .iter()
            .map(|trouble| ("Trouble", format!("{} is {}: {}", trouble.unit, trouble.state, trouble.message))),
    );
    lines.extend(detail.happened.iter().map(|happening| {
        let about = if happening.unit.is_empty() { String::new() } else { format!("{} ", happening.unit) };
        ("Happened", format!("{}: {about}{}", ago(happening.at), happening.text))
    }));
    let said = lines.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| format!("{:<13} {value}\n", format!("{key}:"))).collect()
}
