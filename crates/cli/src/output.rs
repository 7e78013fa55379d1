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

/// Prints a value, in words by `text`; tells whether anybody reads on.
pub(crate) fn print(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) -> bool {
    let printed = match format {
        Format::Text => Ok(text()),
        Format::Json => serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string()),
        Format::Yaml => serde_yaml::to_string(value).map_err(|error| error.to_string()),
    };
    match printed {
        Ok(text) => try_say(&text),
        Err(error) => {
            complain(&format!("abide: the answer has no such form: {error}\n"));
            true
        }
    }
}

/// Prints what was done, a line each.
pub(crate) fn words(format: Format, messages: &[String]) {
    #[derive(Serialize)]
    struct Words<'a> {
        messages: &'a [String],
    }
    print(format, &Words { messages }, || messages.iter().map(|message| format!("{message}\n")).collect());
}

/// Prints words.
pub(crate) fn say(text: &str) {
    // A reader that went away is no failure: `abide … | head` closes the pipe early.
    let _is_read = try_say(text);
}

/// Prints words, and tells whether anybody reads on.
pub(crate) fn try_say(text: &str) -> bool {
    try_write(text.as_bytes())
}

/// The same of bytes.
pub(crate) fn try_write(bytes: &[u8]) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).is_ok()
}

/// Prints why something isn't done.
pub(crate) fn complain(text: &str) {
    // Nobody is left to be told where this fails.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
