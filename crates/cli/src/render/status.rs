//! How things stand: `abide get`, `abide source list`.

use super::{
    age, count, short,
    style::{Style, Tone},
    table::{Cell, cell, table},
};
use abide_agent::api::{Contact, Snapshot, SourceStatus, UnitStatus};
use std::time::SystemTime;

/// Everything: each source with its units below, then what no source wants any more.
pub(crate) fn snapshot(snapshot: &Snapshot, style: Style) -> String {
    if snapshot.sources.is_empty() && snapshot.units.is_empty() {
        return "nothing runs, and no source is followed: `abide init DIR`, `abide source add URL` or `abide apply PATH` begins\n"
            .to_owned();
    }
    let mut text = String::new();
    for source in &snapshot.sources {
        let units = snapshot.units.iter().filter(|unit| unit.source == source.name);
        text += &headed(&heading(source, style), units, style);
    }
    let is_known = |unit: &&UnitStatus| snapshot.sources.iter().any(|source| source.name == unit.source);
    let others: Vec<&UnitStatus> = snapshot.units.iter().filter(|unit| !is_known(unit)).collect();
    if !others.is_empty() {
        text += &headed("of no source", others.into_iter(), style);
    }
    text + &summary(snapshot, style) + "\n"
}

fn headed<'a>(heading: &str, units: impl Iterator<Item = &'a UnitStatus>, style: Style) -> String {
    format!("{heading}\n{}\n", self::units(units, style))
}

fn heading(source: &SourceStatus, style: Style) -> String {
    let name = style.paint(Tone::Strong, &source.name);
    let mut text = format!("{name}  {}", style.paint(tone_of_source(&source.state), &source.state));
    if !source.commit.is_empty() {
        text += &format!("  {}  {}", short(&source.commit), style.paint(Tone::Plain, &source.summary));
    }
    if !source.message.is_empty() {
        text += &format!("\n  {}", indented(&style.paint(Tone::Plain, &source.message)));
    }
    if let Some(contact) = &source.contact {
        text += &format!("\n  {}", style.paint(Tone::Faint, &contact_line(*contact, now_ms())));
    }
    if !source.taken_back.is_empty() {
        let units = source.taken_back.join(", ");
        let line = format!("partly in force: {units} was taken back to its last good version");
        text += &format!("\n  {}", style.paint(Tone::Bad, &line));
    }
    text
}

/// When a hub was heard last, and how old what it said is.
fn contact_line(contact: Contact, now_ms: u64) -> String {
    let Contact { heard_at, committed_at } = contact;
    let heard = heard_at.map_or_else(
        || "the hub was not heard since the agent started".to_owned(),
        |at| format!("the hub was heard {} ago", age(now_ms.saturating_sub(at))),
    );
    let made = committed_at
        .map(|at| format!("; the newest commit was made {} ago", age(now_ms.saturating_sub(at.saturating_mul(1000)))));
    heard + &made.unwrap_or_default()
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Texts of several lines keep their shape.
fn indented(text: &str) -> String {
    text.replace('\n', "\n  ")
}

/// Units, a line each.
pub(crate) fn units<'a>(units: impl Iterator<Item = &'a UnitStatus>, style: Style) -> String {
    let head = ["UNIT", "STATE", "READY", "RESTARTS", "ADDRESS", ""].map(|text| cell(text).toned(Tone::Faint));
    let rows: Vec<[Cell; 6]> = units.map(row).collect();
    if rows.is_empty() { String::new() } else { table("  ", &[&[head][..], &rows].concat(), style) }
}

fn row(unit: &UnitStatus) -> [Cell; 6] {
    let addresses: Vec<String> = unit.addresses.iter().map(ToString::to_string).collect();
    let ready = if unit.ready { "yes" } else { "no" };
    [
        cell(name(unit)),
        cell(&unit.state).toned(tone_of_unit(&unit.state)),
        cell(ready),
        cell(unit.restarts.to_string()),
        cell(if addresses.is_empty() { "-".to_owned() } else { addresses.join(",") }),
        cell(why(unit)),
    ]
}

/// A unit as its source's documents call it.
pub(crate) fn name(unit: &UnitStatus) -> String {
    // Documents of a source whose units are of many scopes are called by theirs.
    let scope = if unit.scope == unit.source { String::new() } else { format!("{}:", unit.scope) };
    let index = if unit.index == 0 { String::new() } else { format!("#{}", unit.index) };
    format!("{scope}{}/{}{index}", unit.kind, unit.name)
}

/// Why it isn't settled, or what else there is to say, in a line.
fn why(unit: &UnitStatus) -> String {
    let why = unit.waiting.as_deref().unwrap_or(&unit.message);
    why.split('\n').next().unwrap_or_default().to_owned()
}

fn summary(snapshot: &Snapshot, style: Style) -> String {
    if snapshot.settled {
        return style.paint(Tone::Good, "✔ settled");
    }
    let others = snapshot.units.iter().filter(|unit| unit.state != "settled").count();
    let text = match others {
        0 => "… not settled".to_owned(),
        others => format!("… not settled: {} of {}", others, count(snapshot.units.len(), "unit")),
    };
    style.paint(Tone::Waiting, &text)
}

/// Sources, a line each.
pub(crate) fn sources(sources: &[SourceStatus], style: Style) -> String {
    if sources.is_empty() {
        return "no source is followed: `abide init DIR` or `abide source add URL` begins\n".to_owned();
    }
    let head = ["NAME", "STATE", "COMMIT", "", "FOLLOWS", ""].map(|text| cell(text).toned(Tone::Faint));
    let row = |source: &SourceStatus| {
        let branch = if source.branch.is_empty() { String::new() } else { format!(" {}", source.branch) };
        [
            cell(&source.name),
            cell(&source.state).toned(tone_of_source(&source.state)),
            cell(if source.commit.is_empty() { "-" } else { short(&source.commit) }),
            cell(&source.summary),
            cell(format!("{}{branch}", source.url)),
            cell(source.message.split('\n').next().unwrap_or_default()),
        ]
    };
    let rows: Vec<[Cell; 6]> = sources.iter().map(row).collect();
    table("", &[&[head][..], &rows].concat(), style)
}

pub(crate) fn tone_of_unit(state: &str) -> Tone {
    match state {
        "settled" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Waiting,
    }
}

fn tone_of_source(state: &str) -> Tone {
    match state {
        "following" => Tone::Good,
        "refused" | "unreachable" => Tone::Bad,
        _ => Tone::Waiting,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use abide_agent::api::{Commit, InstanceStatus};

    /// A machine with a bit of everything.
    pub(crate) fn machine() -> Snapshot {
        let web = UnitStatus {
            source: "infra".to_owned(),
            scope: "infra".to_owned(),
            kind: "Container".to_owned(),
            name: "web".to_owned(),
            index: 0,
            state: "settled".to_owned(),
            ready: true,
            waiting: None,
            message: String::new(),
            restarts: 0,
            addresses: vec!["10.4.16.2".parse().unwrap()],
            instances: vec![InstanceStatus {
                id: "3-7".to_owned(),
                role: "active".to_owned(),
                state: "running".to_owned(),
                pid: Some(4711),
                exit_code: None,
            }],
        };
        let needs = "waits for Volume/db to be ready".to_owned();
        let db = UnitStatus {
            kind: "VirtualMachine".to_owned(),
            name: "db".to_owned(),
            state: "waiting".to_owned(),
            ready: false,
            waiting: Some(needs.clone()),
            message: needs,
            restarts: 2,
            addresses: Vec::new(),
            instances: Vec::new(),
            ..web.clone()
        };
        let stray =
            UnitStatus { source: "old".to_owned(), scope: "old".to_owned(), name: "left".to_owned(), ..web.clone() };
        let infra = SourceStatus {
            name: "infra".to_owned(),
            url: "/srv/infra.git".to_owned(),
            branch: "main".to_owned(),
            commit: "6f1c2ab9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f".to_owned(),
            summary: "web: 1.5".to_owned(),
            generation: 4,
            state: "refused".to_owned(),
            message: "commit 0123456789ab is not in force: a.yaml:4:8: unknown field `sise`; did you mean `size`?\n 4 | spec: {sise: 1Gi}\n   |        ^^^^".to_owned(),
            taken_back: vec!["Container/web".to_owned()],
            contact: None,
            history: vec![Commit { id: "6f1c2ab9d0e1".to_owned(), summary: "web: 1.5".to_owned() }],
        };
        Snapshot { settled: false, sources: vec![infra], units: vec![web, db, stray] }
    }

    #[test]
    fn a_snapshot() {
        insta::assert_snapshot!(snapshot(&machine(), Style::Plain));
    }

    #[test]
    fn a_source_with_units_of_many_scopes() {
        let Snapshot { sources, units, .. } = machine();
        let node = SourceStatus {
            name: "kubernetes".to_owned(),
            url: "kubernetes:n1".to_owned(),
            branch: String::new(),
            commit: "5f1c2ab9d0e1".to_owned(),
            summary: "2 objects".to_owned(),
            state: "following".to_owned(),
            message: String::new(),
            taken_back: Vec::new(),
            ..sources[0].clone()
        };
        let of =
            |scope: &str| UnitStatus { source: "kubernetes".to_owned(), scope: scope.to_owned(), ..units[0].clone() };
        let status = Snapshot { settled: true, sources: vec![node], units: vec![of("blog"), of("shop")] };
        insta::assert_snapshot!(snapshot(&status, Style::Plain), @r"
        kubernetes  following  5f1c2ab  2 objects
          UNIT                STATE    READY  RESTARTS  ADDRESS
          blog:Container/web  settled  yes    0         10.4.16.2
          shop:Container/web  settled  yes    0         10.4.16.2

        ✔ settled
        ");
        let list = self::sources(&status.sources, Style::Plain);
        assert!(list.contains("following  5f1c2ab  2 objects  kubernetes:n1"), "{list}");
    }

    #[test]
    fn a_hub() {
        let contact = |heard_at, committed_at| contact_line(Contact { heard_at, committed_at }, 1_000_000_000);
        assert_eq!(
            contact(Some(999_988_000), Some(1_000_000 - 3 * 24 * 3600)),
            "the hub was heard 12 s ago; the newest commit was made 3 days ago"
        );
        assert_eq!(contact(None, None), "the hub was not heard since the agent started");
    }

    #[test]
    fn a_list_of_sources() {
        insta::assert_snapshot!(sources(&machine().sources, Style::Plain));
    }

    #[test]
    fn nothing() {
        let text = snapshot(&Snapshot { settled: true, ..Snapshot::default() }, Style::Plain);
        assert!(text.contains("abide init DIR"), "{text}");
    }
}
