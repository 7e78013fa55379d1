use super::Term;
use std::{error, fmt, sync::Arc};

/// Why the store didn't do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The term is over.
    #[error("{act}: the term {} of {} is over, and another hub process may lead; nothing was written", term.epoch, term.holder)]
    NotLeading {
        /// What was being done.
        act: &'static str,
        /// In which term.
        term: Term,
    },
    /// The database doesn't do it.
    #[error("{act}, in {database}: {trouble}")]
    Database {
        /// What was being done.
        act: &'static str,
        /// Which database, without its password.
        database: String,
        /// What is the matter.
        trouble: Trouble,
        /// As the database says it.
        #[source]
        source: Arc<dyn error::Error + Send + Sync>,
    },
    /// A later release has made it.
    #[error(
        "{database} has form {found}, and this release knows {known}: run the release that made it so, or a later one"
    )]
    Later {
        /// Which database.
        database: String,
        /// Its form.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// It is not named as a database is.
    #[error("{named:?} is no database: {why}")]
    NoDatabase {
        /// As it was named, without its password.
        named: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}

/// What is the matter with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It can't be reached, or has too much to do, or somebody else locks it.
    Away,
    /// The connection broke while a transaction was ending.
    Uncertain,
    /// There is no room.
    Full,
    /// What is in it is not what was written.
    Damaged,
    /// It doesn't let us.
    Rights,
    /// Anything else.
    Failed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Away => "it can't be reached or is busy; nothing was written, and the hub goes on when it answers",
            Self::Uncertain => "it went away while this was being written; whether it was, the next look tells",
            Self::Full => "there is no room left; nothing was written: make room where its data is",
            Self::Damaged => "it is damaged; stop the hub, put the database aside and restore the last backup",
            Self::Rights => "it doesn't permit that; nothing was written: see to the rights of the hub's user there",
            Self::Failed => "that failed; nothing was written",
        })
    }
}

impl StoreError {
    /// What is the matter with the database, if that is why.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Database { trouble, .. } => Some(*trouble),
            Self::NotLeading { .. } | Self::Later { .. } | Self::NoDatabase { .. } => None,
        }
    }
}
