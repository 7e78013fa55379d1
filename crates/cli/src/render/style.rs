//! Colours, where somebody sees them. Nothing is said by colour alone.

use std::{
    env,
    io::{self, IsTerminal},
};

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Coloured,
}

/// What a text is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
    Waiting,
    Faint,
    Strong,
}

impl Style {
    /// For this stream: `NO_COLOR` (no-color.org) and terminals that can't are respected.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        if stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb { Self::Coloured } else { Self::Plain }
    }

    /// For standard output.
    pub(crate) fn of_output() -> Self {
        Self::of(&io::stdout())
    }

    /// The text in its colour. What others wrote can't steer the terminal.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let text: String = text.chars().map(printable).collect();
        let code = match tone {
            _ if self == Self::Plain || text.is_empty() => return text,
            Tone::Plain => return text,
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Waiting => 33,
            Tone::Faint => 2,
            Tone::Strong => 1,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn printable(c: char) -> char {
    if c.is_control() && c != '\n' { '\u{fffd}' } else { c }
}
