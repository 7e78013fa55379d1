//! Errors as faults: the whole chain of causes in one line, for the person who reads it.

use abide_reconcile::Fault;
use std::error::Error;

/// It may work another time.
pub fn again(error: impl Error) -> Fault {
    Fault::Again(chain(&error).into())
}

/// No use in trying again before the unit changes.
pub fn never(why: impl Into<String>) -> Fault {
    Fault::Never(why.into().into())
}

/// What went wrong, and what was wrong beneath it. What only repeats its cause is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
