//! What is printed: words for people, or values for programs.

use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Write};

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For both
    Yaml,
}

/// Prints a value, in words by `text`. A reader that went away is no failure.
pub(crate) fn print(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) {
    let printed = match format {
        Format::Text => Ok(text()),
        Format::Json => serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string()),
        Format::Yaml => serde_yaml::to_string(value).map_err(|error| error.to_string()),
    };
    let mut stdout = io::stdout().lock();
    let written = match &printed {
        Ok(text) => stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()),
        Err(error) => writeln!(io::stderr(), "abide: the answer has no such form: {error}"),
    };
    // `abide … | head` closes the pipe early.
    drop(written);
}
