//! What is going on, told by happenings: lines that stay, and lines for what is under way.

use super::{
    short, span,
    style::{Style, Tone},
};
use abide_agent::api::{Happening, Outcome, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Ends of steps after which nothing more comes for a unit. Others (`started`, `stopped`) are on the way to one of these.
const ENDS: [&str; 4] = ["serves", "updated", "removed", "completed"];

/// What is under way.
#[derive(Debug)]
pub(crate) struct Board {
    style: Style,
    /// By unit.
    active: BTreeMap<String, Active>,
    /// The longest unit's name so far, so that lines stand below each other.
    width: usize,
    /// Sources that can't be read, of which that was said.
    unread: BTreeSet<String>,
}

#[derive(Debug)]
struct Active {
    since_ms: u64,
    text: String,
    /// Why the last step failed, if one did.
    failure: Option<String>,
}

impl Board {
    pub(crate) fn new(style: Style) -> Self {
        Self { style, active: BTreeMap::new(), width: 0, unread: BTreeSet::new() }
    }

    /// Notes what happened, and gives a line that stays, if it is worth one.
    pub(crate) fn hear(&mut self, happening: &Happening) -> Option<String> {
        let Happening { at, unit, kind, text, source, .. } = happening;
        let Some(unit) = unit.as_deref() else {
            // It is tried again and again, and need not be said each time.
            let source = source.as_deref().filter(|_| kind == "failed")?;
            let is_new = self.unread.insert(source.to_owned());
            return is_new.then(|| self.line(Tone::Bad, "✖", source, text));
        };
        self.width = self.width.max(unit.chars().count());
        match kind.as_str() {
            "step" | "progress" => {
                self.active(unit, *at).text.clone_from(text);
                None
            }
            "done" if ENDS.contains(&text.as_str()) => {
                let line = self.line(Tone::Good, "✔", unit, text);
                // It may have begun before anybody listened.
                let Some(active) = self.active.remove(unit) else { return Some(line) };
                let took = self.style.paint(Tone::Faint, &span(at.saturating_sub(active.since_ms)));
                Some(format!("{line}  {took}"))
            }
            "failed" => {
                let active = self.active(unit, *at);
                active.text.clone_from(text);
                // The same again is what is waited for, and not worth a line of its own.
                let is_news = active.failure.as_ref() != Some(text);
                active.failure = Some(text.clone());
                is_news.then(|| self.line(Tone::Bad, "✖", unit, text))
            }
            "exited" => Some(self.line(Tone::Waiting, "!", unit, text)),
            _ => None,
        }
    }

    fn active(&mut self, unit: &str, at: u64) -> &mut Active {
        let begins = || Active { since_ms: at, text: String::new(), failure: None };
        self.active.entry(unit.to_owned()).or_insert_with(begins)
    }

    /// A line for each unit that has not come to its end.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.active.iter().map(|(unit, active)| self.line(Tone::Waiting, "…", unit, &active.text)).collect()
    }

    fn line(&self, tone: Tone, sign: &str, unit: &str, text: &str) -> String {
        let width = self.width;
        let text = self.style.paint(Tone::Plain, text);
        format!("  {} {unit:width$}  {text}", self.style.paint(tone, sign))
    }
}

/// How waiting ended.
pub(crate) fn outcome(outcome: &Outcome, style: Style) -> String {
    let Outcome { commit, result, message, took_ms } = outcome;
    let took = span(*took_ms);
    let (tone, text) = match result {
        Verdict::Settled => (Tone::Good, format!("✔ settled in {took}")),
        Verdict::Failed => (Tone::Bad, format!("✖ failed after {took}: {message}")),
        Verdict::Refused if message.contains('\n') => (Tone::Bad, format!("✖ refused:\n{message}")),
        Verdict::Refused => (Tone::Bad, format!("✖ refused: {message}")),
        Verdict::Superseded => (Tone::Waiting, format!("• not waited for any longer: {message}")),
    };
    if commit.is_empty() {
        style.paint(tone, &text)
    } else {
        format!("{}  {}", short(commit), style.paint(tone, &text))
    }
}

/// An event, in a line: when, what about, what.
pub(crate) fn event(happening: &Happening, style: Style) -> String {
    let Happening { at, source, unit, kind, text, .. } = happening;
    let time = abide_host::time::utc(at / 1000);
    let what = match (unit, source) {
        (Some(unit), Some(source)) => format!("{source}:{unit}"),
        (Some(unit), None) => unit.clone(),
        (None, Some(source)) => source.clone(),
        (None, None) => String::new(),
    };
    let tone = match kind.as_str() {
        "failed" => Tone::Bad,
        "exited" => Tone::Waiting,
        _ => Tone::Plain,
    };
    format!("{}  {what}  {}", style.paint(Tone::Faint, &time), style.paint(tone, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(at: u64, unit: &str, kind: &str, text: &str) -> Happening {
        Happening {
            at,
            source: Some("infra".to_owned()),
            commit: None,
            unit: Some(unit.to_owned()),
            kind: kind.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_story() {
        let mut board = Board::new(Style::Plain);
        let heard = [
            happening(0, "VirtualMachine/db", "step", "is being started"),
            happening(0, "Container/web", "step", "is being prepared"),
            happening(120, "Container/web", "progress", "pulling layer 2 of 5 43 %"),
            happening(340, "VirtualMachine/db", "done", "started"),
            happening(341, "VirtualMachine/db", "done", "serves"),
            happening(500, "Container/bad", "failed", "no such image\u{1b}[2J"),
            happening(600, "Container/bad", "exited", "exited with 1"),
            Happening { unit: None, ..happening(700, "", "failed", "/srv/infra.git can't be followed") },
            Happening { unit: None, ..happening(800, "", "source", "settled: every unit is as wished") },
        ];
        let lines: Vec<String> = heard.iter().filter_map(|each| board.hear(each)).collect();
        insta::assert_snapshot!(lines.join("\n") + "\n--\n" + &board.lines().join("\n"));
    }

    #[test]
    fn outcomes() {
        let of = |result, message: &str| Outcome {
            commit: "6f1c2ab9d0e1".to_owned(),
            result,
            message: message.to_owned(),
            took_ms: 620,
        };
        let all = [
            of(Verdict::Settled, "every unit is as wished"),
            of(Verdict::Failed, "Container/web exited with 1"),
            of(Verdict::Refused, "a.yaml:1:1: wrong\n 1 | x\n   | ^"),
            of(Verdict::Superseded, "a newer commit took its place"),
        ];
        let lines = all.map(|each| outcome(&each, Style::Plain));
        insta::assert_snapshot!(lines.join("\n"));
    }
}
