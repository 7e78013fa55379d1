//! Columns: as wide as their longest cell, the last one as it is.

use super::style::{Style, Tone};

/// What is in a row and a column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

pub(crate) fn cell(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), tone: Tone::Plain }
}

impl Cell {
    pub(crate) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// Lines, each indented by this.
pub(crate) fn table<const N: usize>(indent: &str, rows: &[[Cell; N]], style: Style) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].text.chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[Cell; N]| {
        let cells = row.iter().zip(widths).filter(|(_, width)| *width > 0);
        let cells = cells.map(|(cell, width)| {
            let blank = " ".repeat(width - cell.text.chars().count());
            style.paint(cell.tone, &cell.text) + &blank
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{indent}{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}
