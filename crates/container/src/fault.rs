//! What the Reconciler hears of errors: the whole chain in one line, and whether another try makes sense.

use abide_image::PrepareError;
use abide_reconcile::Fault;
use std::{error::Error, iter::successors, sync::Arc};

/// It may work another time.
pub(crate) fn again(error: impl Error) -> Fault {
    Fault::Again(whole(&error))
}

/// It can't work before the unit changes.
pub(crate) fn never(error: impl Error) -> Fault {
    Fault::Never(whole(&error))
}

/// An image that isn't there says itself whether it may be another time.
pub(crate) fn of_image(error: PrepareError) -> Fault {
    match error {
        PrepareError::Cancelled => Fault::Cancelled,
        error if error.can_retry() => again(error),
        error => never(error),
    }
}

fn whole(error: &dyn Error) -> Arc<str> {
    let mut text = error.to_string();
    for cause in successors(error.source(), |cause| (**cause).source()) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text.into()
}
