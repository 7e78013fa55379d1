//! What keeps the cluster from being followed, for people at 3 a.m.

use kube::runtime::watcher;

/// What was being done, what went wrong, and what would help.
pub(crate) fn words(doing: &str, error: &kube::Error) -> String {
    let (why, remedy) = match error {
        kube::Error::Api(status) => match status.code {
            401 => ("the API server doesn't know this agent".to_owned(), "its token is wrong or has expired"),
            403 => (status.message.clone(), "the roles of deploy/kubernetes would allow it"),
            404 => (
                "the API server doesn't know this kind".to_owned(),
                "`abide schema --crd | kubectl apply --server-side -f -` makes it known",
            ),
            _ => (format!("the API server says {}: {}", status.code, status.message), "it is tried again"),
        },
        error => {
            (format!("the API server can't be reached: {}", chain(error)), "what runs, runs on; it is tried again")
        }
    };
    format!("{doing}: {why}; {remedy}")
}

/// The same of a watch.
pub(crate) fn of_watch(doing: &str, error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => words(doing, error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => {
            format!("{doing}: {error}; it is tried again")
        }
    }
}

/// The innermost cause says most: those around it repeat it, or say that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
