//! Progress as it is seen: redrawn lines on a terminal, plain lines elsewhere.
//!
//! On a terminal what is under way is shown below the lines that stay, and is drawn anew with each happening. Elsewhere only
//! what ended is a line, and, where somebody waits at the other end of a connection, a sign of life now and then.

use crate::render::{board::Board, style::Style};
use abide_agent::api::Happening;
use abide_host::terminal;
use std::io::{self, IsTerminal, Write};

/// Where progress goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Output,
    /// Standard output is for a program.
    Error,
}

/// A view of what is going on.
pub(crate) struct Live {
    to: To,
    board: Board,
    is_terminal: bool,
    /// Lines that will be drawn over.
    drawn: usize,
}

impl Live {
    pub(crate) fn new(to: To) -> Self {
        let (style, is_terminal) = match to {
            To::Output => (Style::of(&io::stdout()), io::stdout().is_terminal()),
            To::Error => (Style::of(&io::stderr()), io::stderr().is_terminal()),
        };
        Self { to, board: Board::new(style), is_terminal, drawn: 0 }
    }

    pub(crate) fn hear(&mut self, happening: &Happening) {
        let stays = self.board.hear(happening);
        if self.is_terminal {
            let mut text = self.erase();
            text.extend(stays.map(|line| line + "\n"));
            text += &self.draw();
            self.write(&text);
        } else if let Some(line) = stays {
            self.write(&(line + "\n"));
        }
    }

    /// Says that it goes on: whoever waits behind a network may think that the line is dead.
    pub(crate) fn sign_of_life(&mut self) {
        if !self.is_terminal {
            let lines = self.board.lines();
            let text = if lines.is_empty() { "  … it goes on\n".to_owned() } else { lines.join("\n") + "\n" };
            self.write(&text);
        }
    }

    /// Leaves the lines that stay.
    pub(crate) fn end(&mut self) {
        let text = self.erase();
        self.write(&text);
    }

    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\r\x1b[{lines}A\x1b[J"),
        }
    }

    /// No line may wrap and not all may fit, or it could not be drawn over.
    fn draw(&mut self) -> String {
        let size = terminal::size(&io::stdout()).or_else(|| terminal::size(&io::stderr()));
        let (rows, columns) = size.map_or((24, 80), |size| (size.rows as usize, size.columns as usize));
        let lines = self.board.lines();
        let lines = lines.iter().take(rows.saturating_sub(2));
        let text: String = lines.clone().map(|line| cut(line, columns.saturating_sub(1)) + "\n").collect();
        self.drawn = lines.count();
        text
    }

    fn write(&self, text: &str) {
        // Who doesn't look any more has no use for it: `abide apply | head`, a closed connection.
        let _gone = match self.to {
            To::Output => io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()),
            To::Error => io::stderr().lock().write_all(text.as_bytes()),
        };
    }
}

/// The first so many characters; what colours the text takes no room.
fn cut(line: &str, width: usize) -> String {
    let (mut cut, mut seen, mut is_code) = (String::new(), 0, false);
    for c in line.chars() {
        is_code |= c == '\x1b';
        if !is_code {
            seen += 1;
        }
        if is_code || seen <= width {
            cut.push(c);
        }
        is_code &= c != 'm';
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_colours_kept() {
        assert_eq!(cut("\x1b[31mabc\x1b[0mdef", 4), "\x1b[31mabc\x1b[0md");
        assert_eq!(cut("äöü", 2), "äö");
    }
}
