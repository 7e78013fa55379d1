//! How many files this process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Takes what there is: connections are files. What is started gets limits of its own. `fewer` says what has to do with less
/// where that can't be.
pub(crate) fn open_many(fewer: &str) {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files can't be raised: {fewer}");
    }
}
