//! What a hub keeps: its machines, tokens, decisions and who leads, in SQLite or in PostgreSQL.
//!
//! ```text
//!  server: enrolments, presence, reports ─┐                              ┌─ sql::sqlite    one file, one hub process
//!  leader: targets, journal, roll-outs  ──┼─► Store ─► table::* ─► sql ──┤
//!  people: tokens, labels, pauses       ──┘   (trait)  (one SQL)         └─ sql::postgres  a server, many hub processes
//! ```
//!
//! - Every call is a transaction, and blocks (machines that come at once share one, and so do targets): it is called from a
//!   thread that may.
//! - Whoever changes what others follow first raises the one counter, and holds its row until the end. So numbers are given in
//!   the order of commits, and who reads [`Store::changes`] after the last number it saw misses nothing.
//! - Whoever decides does so in a [`Term`]. The row of the present one is held in the same transaction, so what was decided
//!   in an earlier term can't be written any more.
//! - What becomes of a machine by a [`Fact`] is a pure function ([`Machine::apply`]); what changes nothing writes nothing.
//! - Nothing is tried twice here, but for a connection that was found broken before anything was asked by it.

mod coming;
mod error;
mod gather;
mod machine;
mod sql;
mod stored;
mod table;
mod time;
mod token;

pub use error::{StoreError, Trouble};
pub use machine::{Fact, Machine, NewMachine, Presence, Reported, Standing, Written};
pub use stored::open;
pub use time::Millis;
pub use token::{NotEnrolled, Token};

use crate::protocol::Happening;
use abide_spec::Name;
use std::collections::{BTreeMap, BTreeSet};

/// Who leads: only what is decided in the present term is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// Which hub process: a name that is drawn anew at each start.
    pub holder: String,
    /// How many terms there have been.
    pub epoch: u64,
}

/// What changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Each machine that did, as it is now.
    pub machines: Vec<Machine>,
    /// What to ask for next: all up to here was seen. It is raised by what people ask of roll-outs as well.
    pub upto: i64,
}

/// What a hub keeps. Times are the hub's, so hub processes need clocks that agree to a second or so; where they don't,
/// leadership may change needlessly, and nothing worse.
pub trait Store: Send + Sync {
    /// Adds a token, or replaces that of the same id.
    fn put_token(&self, token: &Token) -> Result<(), StoreError>;
    /// All of them, also what is used up or expired.
    fn tokens(&self) -> Result<Vec<Token>, StoreError>;
    /// Whether there was such a one.
    fn remove_token(&self, id: &str) -> Result<bool, StoreError>;

    /// Makes it one of the fleet, by a token of which this is the secret's SHA-256, and uses that by one. The same name with
    /// the same key again, as when the answer got lost, is granted without a use.
    fn enroll(
        &self,
        token: &str,
        secret: &[u8; 32],
        new: &NewMachine,
        now: Millis,
    ) -> Result<Result<(), NotEnrolled>, StoreError>;
    /// It gets a certificate of this serial for this key. False if there is no such machine, it is revoked, or it has a newer one.
    fn renew(&self, name: &Name, key: &str, serial: i64) -> Result<bool, StoreError>;
    /// Takes a machine that shows a certificate of ours which isn't known here, or is newer than what is known, as after an old
    /// backup came back. False if it is revoked, or what is known is as new.
    fn adopt(&self, machine: &NewMachine, now: Millis) -> Result<bool, StoreError>;
    /// From now on it is no machine of the fleet, until it is enrolled anew with other keys. False if there is none.
    fn revoke(&self, name: &Name, now: Millis) -> Result<bool, StoreError>;
    /// Sets labels, or takes them away. False if there is no such machine.
    fn label(&self, name: &Name, labels: &BTreeMap<String, Option<String>>) -> Result<bool, StoreError>;

    /// One machine.
    fn machine(&self, name: &Name) -> Result<Option<Machine>, StoreError>;
    /// What happened on it lately, oldest first.
    fn happenings(&self, name: &Name) -> Result<Vec<Happening>, StoreError>;
    /// The machines that changed since `upto` of the last answer; 0 is all. Costs one look at one row if there are none.
    fn changes(&self, since: i64) -> Result<Changes, StoreError>;
    /// Writes what was noticed, together. What is no news, or about no machine, is left out.
    fn record(&self, now: Millis, facts: &[Fact]) -> Result<(), StoreError>;

    /// This hub process lives.
    fn beat(&self, hub: &str, now: Millis) -> Result<(), StoreError>;
    /// Hub processes, and when each was heard last, by its own clock.
    fn hubs(&self) -> Result<Vec<(String, Millis)>, StoreError>;
    /// Forgets a hub process that was heard then and never since: the machines that it had are away since then. False if it was
    /// heard again.
    fn forget(&self, hub: &str, heard_at: Millis) -> Result<bool, StoreError>;

    /// Leads on for `ttl`, or begins a term if nobody leads; none if another does.
    fn lead(&self, holder: &str, now: Millis, ttl: std::time::Duration) -> Result<Option<Term>, StoreError>;
    /// The present term and when it ends, by the clock of who leads; none if nobody does.
    fn lease(&self) -> Result<Option<(Term, Millis)>, StoreError>;
    /// Ends a term that was to last until then and wasn't renewed since, whatever the clocks say. False if it was.
    fn oust(&self, term: &Term, ends_at: Millis) -> Result<bool, StoreError>;
    /// Leads no more, so that another may at once.
    fn resign(&self, term: &Term) -> Result<(), StoreError>;

    /// Writes what a machine is told, in this term. False if it is no longer at that version, or has had that number already
    /// for something else: look again ([`Machine::written`] makes the next).
    fn write_target(
        &self,
        term: &Term,
        name: &Name,
        version: i64,
        target: Option<&Written>,
    ) -> Result<bool, StoreError>;
    /// The frames of a source's journal, in order.
    fn journal(&self, source: &str) -> Result<Vec<Vec<u8>>, StoreError>;
    /// Adds a frame, in this term.
    fn append(&self, term: &Term, source: &str, frame: &[u8]) -> Result<(), StoreError>;
    /// Replaces all frames, in this term.
    fn rewrite(&self, term: &Term, source: &str, frames: &[Vec<u8>]) -> Result<(), StoreError>;
    /// Keeps what is to be shown of roll-outs, in this term.
    fn put_rollouts(&self, term: &Term, json: &str) -> Result<(), StoreError>;
    /// What was kept last.
    fn rollouts(&self) -> Result<Option<String>, StoreError>;

    /// Pauses a roll-out, or lets it go on.
    fn set_paused(&self, rollout: &str, paused: bool) -> Result<(), StoreError>;
    /// Which are.
    fn paused(&self) -> Result<BTreeSet<String>, StoreError>;

    /// Asks that a machine tries a commit again which failed there. False if there is no such machine.
    fn ask_retry(&self, name: &Name) -> Result<bool, StoreError>;
    /// For which machines that was asked and not done, and the number of each asking.
    fn retries(&self) -> Result<BTreeMap<Name, i64>, StoreError>;
    /// This asking was granted; a later one was not.
    fn retried(&self, name: &Name, asking: i64) -> Result<(), StoreError>;
}
