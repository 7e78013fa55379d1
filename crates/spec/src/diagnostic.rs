//! Mistakes, as the person who made them should see them: the place, what is wrong, what would be right, the line.

use std::{fmt, sync::Arc};

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// How many characters from there it concerns; within the line.
    pub width: usize,
}

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The file, as the repository names it.
    pub file: Arc<str>,
    /// Where in it.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The line itself; empty where it must not be shown (a secret), or can't be.
    pub text: String,
    /// Other places that it is about.
    pub related: Vec<Related>,
}

/// Another place that a mistake is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Related {
    /// The file, as the repository names it.
    pub file: Arc<str>,
    /// Where in it.
    pub place: Place,
    /// What is there.
    pub message: String,
}

/// More of a line than this helps nobody.
const TEXT_MAX: usize = 160;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column, width } = self.place;
        if line == 0 {
            write!(f, "{}: {}", self.file, self.message)?;
        } else {
            write!(f, "{}:{line}:{column}: {}", self.file, self.message)?;
        }
        if !self.text.is_empty() && column <= TEXT_MAX {
            // A tab is as wide as the terminal says; one column is what the mark below can count on.
            let text: String = self.text.chars().map(printable).take(TEXT_MAX).collect();
            let margin = line.to_string();
            let blank = " ".repeat(margin.len());
            let marks = "^".repeat(width.clamp(1, (TEXT_MAX + 1 - column).max(1)));
            write!(f, "\n {margin} | {text}\n {blank} | {}{marks}", " ".repeat(column - 1))?;
        }
        for Related { file, place, message } in &self.related {
            write!(f, "\n   {file}:{}:{}: {message}", place.line, place.column)?;
        }
        Ok(())
    }
}

/// What comes from a repository must not steer the terminal of who reads the mistake.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// The names nearest to a word that isn't one: `, did you mean …?`, or the ones there are, if they are few.
pub(crate) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const FEW: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    let close = |name: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase());
    let nearest = known.iter().map(|name| (close(name), *name)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + word.chars().count() / 4 => format!("; did you mean `{name}`?"),
        Some(_) if known.len() <= FEW => format!("; there are `{}`", known.join("`, `")),
        _ => String::new(),
    }
}
