//! What exit codes mean, in every command; and why one fails.

pub(crate) use abide_reconcile::with_causes;

use std::{error::Error, fmt::Display, io, path::Path, process::ExitCode};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Done,
    /// It failed: something could not be read, reached or brought about.
    Failed,
    /// Nothing is wrong, and something would change.
    Changes,
    /// It was refused: invalid input, or not allowed.
    Refused,
    /// The command line makes no sense (`EX_USAGE` of sysexits.h).
    Usage,
    /// As the program ended that was run.
    Of(u8),
}

/// What is said, and the exit code, when a command doesn't do what it was asked to do.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

/// How commands end.
pub(crate) type Done = Result<Exit, Failure>;

impl Failure {
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, text: text.into() }
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, text: text.into() }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }

    /// Of an operation on a file, as "reading".
    pub(crate) fn file(act: impl Display, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let text = format!("{act} {}", path.display());
        move |error| Self::failed(format!("{text}: {error}"))
    }

    /// Of an operation of the kernel's, as "reading the terminal".
    pub(crate) fn doing<E: Display>(act: &str) -> impl FnOnce(E) -> Self {
        move |error| Self::failed(format!("{act}: {error}"))
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::failed(with_causes(&error))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Changes => 2,
            Exit::Refused => 3,
            Exit::Usage => 64,
            Exit::Of(code) => code,
        })
    }
}
