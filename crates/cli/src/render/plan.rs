//! What would change: the same text for `abide plan` and for whoever pushes.

use super::{
    count,
    style::{Style, Tone},
};
use abide_agent::api::{Change, Field, Preview};

/// How wide a field's value may be; the rest is left out.
const VALUE_MAX: usize = 60;

/// The plan, with a first line that says how much it is.
pub(crate) fn plan(preview: &Preview, style: Style) -> String {
    format!("{}\n{}", summary(preview), details(preview, style))
}

/// As `12 units, 2 changed`.
pub(crate) fn summary(preview: &Preview) -> String {
    let changes = match preview.changes.len() {
        0 => "nothing changes".to_owned(),
        changes => format!("{changes} changed"),
    };
    format!("{}, {changes}", count(preview.units, "unit"))
}

/// Each change, and what stands in the way.
pub(crate) fn details(preview: &Preview, style: Style) -> String {
    let width = preview.changes.iter().map(|change| change.unit.chars().count()).max().unwrap_or(0);
    let mut text: String = preview.changes.iter().map(|each| change(each, width, style)).collect();
    for unit in &preview.known_bad {
        let line = format!(
            "  ! {unit}: this version is known to be bad, and the last good one stays; change it, or `abide retry {unit}`"
        );
        text += &(style.paint(Tone::Waiting, &line) + "\n");
    }
    if let Some(held) = &preview.held {
        let what = held.removals.join(", ");
        let line = format!("✖ held by the guard: it {}. What would go: {what}", held.why);
        text += &format!("{}\n{}\n", style.paint(Tone::Bad, &line), says_yes(&held.plan));
    }
    text
}

fn says_yes(plan: &str) -> String {
    format!("  if that is meant: `git push -o allow={plan}`, or `abide allow {plan}` on the machine")
}

fn change(change: &Change, width: usize, style: Style) -> String {
    let (sign, tone) = match change.action.as_str() {
        "create" | "start" => ("+", Tone::Good),
        "remove" => ("-", Tone::Bad),
        _ => ("~", Tone::Waiting),
    };
    let mut lines: Vec<String> = change.fields.iter().map(field).collect();
    lines.push(change.how.clone());
    if !change.dependents.is_empty() && change.how.starts_with("swap") {
        lines.push(format!("felt by {}", change.dependents.join(", ")));
    }
    let blank = " ".repeat(width);
    let unit = format!("{:width$}", change.unit);
    let show = |(n, line): (usize, &String)| {
        let (sign, unit) = if n == 0 { (sign, &unit) } else { (" ", &blank) };
        let line = format!("  {} {unit}  {}", style.paint(tone, sign), style.paint(Tone::Plain, line));
        line.trim_end().to_owned() + "\n"
    };
    lines.iter().enumerate().map(show).collect()
}

fn field(field: &Field) -> String {
    let path = field.path.strip_prefix("spec.").unwrap_or(&field.path);
    match (field.old.as_str(), field.new.as_str()) {
        ("", new) => format!("{path} {}", cut(new)),
        (old, "") => format!("{path} {} → nothing", cut(old)),
        (old, new) => format!("{path} {} → {}", cut(old), cut(new)),
    }
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(VALUE_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_agent::api::Held;

    fn change(unit: &str, action: &str, how: &str) -> Change {
        let text = str::to_owned;
        Change { unit: text(unit), action: text(action), how: text(how), fields: Vec::new(), dependents: Vec::new() }
    }

    #[test]
    fn a_plan() {
        let field = |path: &str, old: &str, new: &str| Field {
            path: path.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        };
        let web = Change {
            fields: vec![field("spec.image", "web:1.4", "web:1.5"), field("spec.env.LOG", "", "debug")],
            ..change("Container/web", "replace", "surge: the old one serves until the new one has proved itself")
        };
        let db = Change {
            fields: vec![field("spec.resources.memory", "1Gi", "2Gi")],
            dependents: vec!["Container/web".to_owned()],
            ..change("VirtualMachine/db", "replace", "swap: both need Volume/db, so the old one stops first")
        };
        let removals = vec!["Container/old".to_owned(), "Volume/old".to_owned()];
        let preview = Preview {
            changes: vec![
                web,
                db,
                change("Container/new", "create", "new"),
                change("Container/old", "remove", "stopped and removed"),
            ],
            units: 12,
            known_bad: vec!["Container/worse".to_owned()],
            held: Some(Held {
                plan: "1a2b3c".to_owned(),
                why: "deletes the data of Volume/old (reclaim: Delete)".to_owned(),
                removals,
            }),
        };
        insta::assert_snapshot!(plan(&preview, Style::Plain));
        insta::assert_snapshot!(plan(&Preview { units: 1, ..Preview::default() }, Style::Plain), @"1 unit, nothing changes");
    }
}
