//! Rows, as a person or a program reads them.

use crate::{
    figure::{Figure, Goal},
    rows::Row,
};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A row's heading, and a line a figure.
pub(crate) fn text(row: &Row, figures: &[Figure]) -> String {
    let mut text = format!("{}: {}\n", row.name, row.what);
    let width = figures.iter().map(|figure| figure.what.chars().count()).max().unwrap_or_default();
    for figure in figures {
        let unit = figure.unit;
        let told = |sample: f64| number(unit.told(sample));
        let spread = &figure.spread;
        let padding = " ".repeat(width - figure.what.chars().count());
        let _ = write!(text, "  {}{padding}  {} {unit}", figure.what, told(spread.median));
        if spread.count > 1 {
            let (least, most) = (told(spread.minimum), told(spread.maximum));
            let _ = write!(text, "  ({least} … {most}, p99 {}, n {})", told(spread.percentile_99), spread.count);
        }
        for goal in &figure.goals {
            let _ = write!(text, "  [{}]", verdict(figure, goal));
        }
        text.push('\n');
    }
    text
}

/// The same with every number in the figure's unit.
pub(crate) fn json(row: &Row, figures: &[Figure]) -> Value {
    let figures: Vec<Value> = figures.iter().map(figure_json).collect();
    json!({ "name": row.name, "what": row.what, "figures": figures })
}

fn figure_json(figure: &Figure) -> Value {
    let told = |sample: f64| figure.unit.told(sample);
    let goals = figure
        .goals
        .iter()
        .map(|goal| json!({ "of": goal.of.to_string(), "atMost": goal.at_most, "reached": figure.reaches(goal) }));
    json!({
        "what": figure.what,
        "unit": figure.unit.to_string(),
        "count": figure.spread.count,
        "minimum": told(figure.spread.minimum),
        "median": told(figure.spread.median),
        "percentile99": told(figure.spread.percentile_99),
        "maximum": told(figure.spread.maximum),
        "goals": goals.collect::<Vec<_>>(),
    })
}

fn verdict(figure: &Figure, goal: &Goal) -> String {
    let verdict = if figure.reaches(goal) { "reached" } else { "NOT reached" };
    format!("{} ≤ {} {}: {verdict}", goal.of, goal.at_most, figure.unit)
}

/// With three digits that mean something.
fn number(value: f64) -> String {
    match value {
        value if value >= 99.5 => format!("{value:.0}"),
        value if value >= 9.95 => format!("{value:.1}"),
        value if value >= 0.995 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{json, text};
    use crate::{
        figure::{Figure, Statistic, Unit},
        measure::Spread,
        rows::Row,
    };

    fn row() -> (Row, Vec<Figure>) {
        let row = Row { name: "nap", what: "sleeping", measure: || Ok(Vec::new()) };
        let nap = Figure::new("one nap", Unit::Milliseconds, Spread::of(vec![0.0101, 0.0099, 0.0104]));
        let ratio = Figure::new("against the cat", Unit::Times, Spread::of(vec![4.2]));
        (row, vec![nap.at_most(Statistic::Median, 20.0), ratio.at_most(Statistic::Maximum, 1.0)])
    }

    #[test]
    fn as_text() {
        let (row, figures) = row();
        let expected = "nap: sleeping\n  \
            one nap          10.1 ms  (9.90 … 10.4, p99 10.4, n 3)  [median ≤ 20 ms: reached]\n  \
            against the cat  4.20 ×  [max ≤ 1 ×: NOT reached]\n";
        assert_eq!(text(&row, &figures), expected);
    }

    #[test]
    fn as_json() {
        let (row, figures) = row();
        let json = json(&row, &figures);
        assert_eq!(json["figures"][0]["goals"][0]["reached"], true);
        assert_eq!(json["figures"][1]["median"], 4.2);
        assert_eq!(json["figures"][1]["goals"][0]["reached"], false);
    }
}
