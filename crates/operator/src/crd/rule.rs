//! A rule that an API server keeps, and the sentence with which it refuses.

use serde_json::{Value, json};

/// Stands in a sentence for what was written.
pub(super) const FIRST: &str = "①";
/// Stands in a sentence for what should have been.
pub(super) const SECOND: &str = "②";

/// A CEL expression that is true of what may be written.
pub(super) struct Rule {
    cel: String,
    says: Says,
    at: Option<&'static str>,
}

enum Says {
    Always(String),
    /// A CEL expression that makes the sentence.
    Depending(String),
}

impl Rule {
    /// The sentence is the same whatever was written.
    pub(super) fn new(cel: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { cel: cel.into(), says: Says::Always(sentence.into()), at: None }
    }

    /// The sentence has [`FIRST`] and [`SECOND`] where the values of these expressions belong.
    pub(super) fn about(cel: impl Into<String>, sentence: &str, values: &[&str]) -> Self {
        Self { cel: cel.into(), says: Says::Depending(expression(sentence, values)), at: None }
    }

    /// The field below that is to blame.
    pub(super) fn at(self, path: &'static str) -> Self {
        Self { at: Some(path), ..self }
    }

    /// As a schema has it.
    pub(super) fn to_value(&self) -> Value {
        let mut rule = match &self.says {
            Says::Always(sentence) => json!({ "rule": self.cel, "message": sentence }),
            Says::Depending(expression) => json!({ "rule": self.cel, "messageExpression": expression }),
        };
        if let Some(path) = self.at {
            rule["fieldPath"] = path.into();
        }
        rule
    }
}

/// The text as a literal of CEL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A CEL expression of the sentence, with values where their marks are. Formatting is what an API server can estimate the
/// cost of: texts that are put together have no bound for it where one was a number.
fn expression(sentence: &str, values: &[&str]) -> String {
    let marked = [FIRST, SECOND].into_iter().zip(values);
    let mut places: Vec<(usize, &str)> =
        marked.flat_map(|(mark, value)| sentence.match_indices(mark).map(|(at, _)| (at, *value))).collect();
    places.sort_unstable();
    let values: Vec<&str> = places.into_iter().map(|(_, value)| value).collect();
    let format = sentence.replace('%', "%%").replace(FIRST, "%s").replace(SECOND, "%s");
    format!("{}.format([{}])", quoted(&format), values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_becomes_an_expression() {
        let sentence = format!("{FIRST} isn't 5% of {SECOND}, {FIRST}: \\");
        let expression = expression(&sentence, &["self", "1"]);
        assert_eq!(expression, r#"'%s isn\'t 5%% of %s, %s: \\'.format([self, 1, self])"#);
    }
}
