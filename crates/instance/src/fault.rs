//! Errors as faults: the whole chain of causes in one line, for the person who reads it.

use abide_reconcile::{Fault, with_causes};
use std::error::Error;

/// It may work another time.
pub fn again(error: impl Error) -> Fault {
    Fault::Again(with_causes(&error).into())
}

/// No use in trying again before the unit changes.
pub fn never(why: impl Into<String>) -> Fault {
    Fault::Never(why.into().into())
}
