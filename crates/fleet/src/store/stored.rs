//! [`Store`] over a database: each call is one transaction.

use super::{
    Changes, Fact, Machine, Millis, NewMachine, NotEnrolled, Store, StoreError, Term, Token, Trouble, Written,
    coming::{Came, Coming, Known},
    gather::Gather,
    sql::{Access, Database, End, Statements, failed, postgres::Postgres, sqlite::Sqlite},
    table::{self, hubs, journal, leader, machines, retries, rollouts, tokens},
};
use crate::protocol::Happening;
use abide_spec::Name;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// Opens the store that is named so: by a URL of PostgreSQL, or a file's path, which is of SQLite. What isn't there is made.
pub fn open(database: &str) -> Result<Arc<dyn Store>, StoreError> {
    let is_server = ["postgres://", "postgresql://"].iter().any(|scheme| database.starts_with(scheme));
    let database: Box<dyn Database> =
        if is_server { Box::new(Postgres::new(database)?) } else { Box::new(Sqlite::open(Path::new(database))?) };
    database.migrate()?;
    Ok(Arc::new(Stored { database, targets: Gather::new(), comings: Gather::new() }))
}

struct Stored {
    database: Box<dyn Database>,
    targets: Gather<Order, Result<bool, StoreError>>,
    comings: Gather<Coming, Result<Came, StoreError>>,
}

/// What a machine is to be told.
struct Order {
    term: Term,
    name: Name,
    version: i64,
    target: Option<Written>,
}

impl Stored {
    fn transaction<T>(
        &self,
        act: &'static str,
        access: Access,
        mut work: impl FnMut(&mut dyn Statements) -> Result<(End, T), StoreError>,
    ) -> Result<T, StoreError> {
        let mut made = None;
        self.database.transaction(act, access, &mut |on| {
            let (end, value) = work(on)?;
            made = Some(value);
            Ok(end)
        })?;
        made.ok_or_else(|| failed(act, "the store", Trouble::Failed, "it ended without having begun"))
    }

    fn read<T>(
        &self,
        act: &'static str,
        mut work: impl FnMut(&mut dyn Statements) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(act, Access::Read, |from| Ok((End::Undo, work(from)?)))
    }

    fn write<T>(
        &self,
        act: &'static str,
        mut work: impl FnMut(&mut dyn Statements) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(act, Access::Write, |to| Ok((End::Keep, work(to)?)))
    }

    /// Changes what others follow, and nothing if `work` says that there is no news.
    fn change(
        &self,
        act: &'static str,
        mut work: impl FnMut(&mut dyn Statements, i64) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        self.transaction(act, Access::Write, |to| {
            let version = table::raise(to)?;
            let is_news = work(to, version)?;
            Ok((if is_news { End::Keep } else { End::Undo }, is_news))
        })
    }

    /// Changes a machine, if there is such a one and `edit` says that there is something to.
    fn edit(&self, act: &'static str, name: &Name, edit: impl Fn(&mut Machine) -> bool) -> Result<Edited, StoreError> {
        let mut edited = Edited::Nobody;
        self.change(act, |to, version| {
            let Some(mut machine) = machines::get(to, name)? else { return Ok(false) };
            let is_news = edit(&mut machine);
            edited = if is_news { Edited::Changed } else { Edited::Same };
            if is_news {
                machines::put(to, [&Machine { version, ..machine }])?;
            }
            Ok(is_news)
        })?;
        Ok(edited)
    }

    /// Writes something in a term.
    fn decide<T>(
        &self,
        act: &'static str,
        term: &Term,
        mut work: impl FnMut(&mut dyn Statements) -> Result<(End, T), StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(act, Access::Write, |to| {
            if leader::hold(to, term)? { work(to) } else { Err(StoreError::NotLeading { act, term: term.clone() }) }
        })
    }
}

impl Stored {
    /// Writes targets in one term: whether each is written.
    fn write_targets(&self, orders: &[Order]) -> Vec<Result<bool, StoreError>> {
        let Some(Order { term, .. }) = orders.first() else { return Vec::new() };
        let written = self.decide("writing what machines are to be on", term, |to| {
            let raised = table::raise(to)?;
            let mut machines = machines::get_all(to, orders.iter().map(|order| &order.name))?;
            let mut written = Vec::with_capacity(orders.len());
            for Order { name, version, target, .. } in orders {
                let machine = machines.get_mut(name);
                let machine =
                    machine.filter(|machine| machine.version == *version && machine.may_be_told(target.as_ref()));
                written.push(machine.is_some());
                if let Some(machine) = machine {
                    machine.numbered = target.as_ref().map_or(machine.numbered, |target| target.number);
                    machine.target.clone_from(target);
                    machine.version = raised;
                }
            }
            machines::put(to, machines.values().filter(|machine| machine.version == raised))?;
            let end = if written.contains(&true) { End::Keep } else { End::Undo };
            Ok((end, written))
        });
        each(written, orders.len())
    }

    /// Has it come with all that come just now.
    fn come(&self, coming: Coming) -> Result<Came, StoreError> {
        self.comings.bring(coming, |comings| each(self.enter(comings), comings.len()))
    }

    /// Enters those that come: what became of each.
    fn enter(&self, comings: &[Coming]) -> Result<Vec<Came>, StoreError> {
        self.transaction("letting machines in", Access::Write, |to| {
            let version = table::raise(to)?;
            let names: BTreeSet<&Name> = comings.iter().map(Coming::name).collect();
            let by: BTreeSet<&String> = comings.iter().filter_map(Coming::token).collect();
            let mut known = Known { tokens: tokens::get_all(to, by)?, machines: machines::get_all(to, names)? };
            let came: Vec<Came> = comings.iter().map(|coming| coming.enter(&mut known, version)).collect();
            let changed: Vec<&Machine> = known.machines.values().filter(|machine| machine.version == version).collect();
            if changed.is_empty() {
                return Ok((End::Undo, came));
            }
            machines::put(to, changed)?;
            tokens::put_uses(to, known.tokens.values())?;
            Ok((End::Keep, came))
        })
    }
}

/// What came of each of so many that were done together.
fn each<T>(done: Result<Vec<T>, StoreError>, count: usize) -> Vec<Result<T, StoreError>> {
    match done {
        Ok(done) => done.into_iter().map(Ok).collect(),
        Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
    }
}

/// What became of a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edited {
    Nobody,
    Same,
    Changed,
}

impl Store for Stored {
    fn put_token(&self, token: &Token) -> Result<(), StoreError> {
        self.write("keeping a token", |to| tokens::put(to, token))
    }

    fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read("listing tokens", tokens::all)
    }

    fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        self.write("removing a token", |to| tokens::remove(to, id))
    }

    fn enroll(
        &self,
        token: &str,
        secret: &[u8; 32],
        new: &NewMachine,
        now: Millis,
    ) -> Result<Result<(), NotEnrolled>, StoreError> {
        let (token, secret, new) = (token.to_owned(), *secret, new.clone());
        Ok(self.come(Coming::Enroll { token, secret, new, now })?.map(drop))
    }

    fn renew(&self, name: &Name, key: &str, serial: i64) -> Result<bool, StoreError> {
        self.come(Coming::Renew { name: name.clone(), key: key.to_owned(), serial }).map(Came::unwrap_or_default)
    }

    fn adopt(&self, new: &NewMachine, now: Millis) -> Result<bool, StoreError> {
        self.come(Coming::Adopt { new: new.clone(), now }).map(Came::unwrap_or_default)
    }

    fn revoke(&self, name: &Name, now: Millis) -> Result<bool, StoreError> {
        let edited = self.edit("revoking a machine", name, |machine| {
            let is_news = machine.revoked_at.is_none();
            machine.revoked_at.get_or_insert(now);
            is_news
        })?;
        Ok(edited != Edited::Nobody)
    }

    fn label(&self, name: &Name, labels: &BTreeMap<String, Option<String>>) -> Result<bool, StoreError> {
        let edited = self.edit("labelling a machine", name, |machine| {
            let before = machine.labels.clone();
            for (key, value) in labels {
                match value {
                    Some(value) => drop(machine.labels.insert(key.clone(), value.clone())),
                    None => drop(machine.labels.remove(key)),
                }
            }
            machine.labels != before
        })?;
        Ok(edited != Edited::Nobody)
    }

    fn machine(&self, name: &Name) -> Result<Option<Machine>, StoreError> {
        self.read("looking at a machine", |from| machines::get(from, name))
    }

    fn happenings(&self, name: &Name) -> Result<Vec<Happening>, StoreError> {
        self.read("looking at what happened on a machine", |from| machines::happenings(from, name))
    }

    fn changes(&self, since: i64) -> Result<Changes, StoreError> {
        self.read("following machines", |from| {
            // First: what comes between the two questions is then told twice, and not never.
            let upto = table::counted(from)?;
            let machines = if upto == since { Vec::new() } else { machines::changed(from, since)? };
            Ok(Changes { machines, upto })
        })
    }

    fn record(&self, now: Millis, facts: &[Fact]) -> Result<(), StoreError> {
        if facts.is_empty() {
            return Ok(());
        }
        self.change("recording how machines are", |to, version| machines::record(to, facts, now, version)).map(drop)
    }

    fn beat(&self, hub: &str, now: Millis) -> Result<(), StoreError> {
        self.write("saying that this hub process lives", |to| hubs::beat(to, hub, now))
    }

    fn forget(&self, hub: &str, heard_at: Millis) -> Result<bool, StoreError> {
        // The counter before rows of hub processes, so that two of these can't wait for each other.
        self.change("forgetting a hub process", |to, version| hubs::forget(to, hub, heard_at, version))
    }

    fn hubs(&self) -> Result<Vec<(String, Millis)>, StoreError> {
        self.read("listing hub processes", hubs::all)
    }

    fn lead(&self, holder: &str, now: Millis, ttl: Duration) -> Result<Option<Term>, StoreError> {
        self.write("taking the lead", |to| leader::lead(to, holder, now, ttl))
    }

    fn lease(&self) -> Result<Option<(Term, Millis)>, StoreError> {
        self.read("asking who leads", leader::lease)
    }

    fn oust(&self, term: &Term, ends_at: Millis) -> Result<bool, StoreError> {
        self.write("ending a term that isn't kept up", |to| leader::oust(to, term, ends_at))
    }

    fn resign(&self, term: &Term) -> Result<(), StoreError> {
        self.write("giving up the lead", |to| leader::resign(to, term))
    }

    fn write_target(
        &self,
        term: &Term,
        name: &Name,
        version: i64,
        target: Option<&Written>,
    ) -> Result<bool, StoreError> {
        let order = Order { term: term.clone(), name: name.clone(), version, target: target.cloned() };
        self.targets.bring(order, |orders| {
            // Nearly always, all are of one term.
            orders.chunk_by(|one, next| one.term == next.term).flat_map(|orders| self.write_targets(orders)).collect()
        })
    }

    fn journal(&self, source: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        self.read("reading a journal", |from| journal::all(from, source))
    }

    fn append(&self, term: &Term, source: &str, frame: &[u8]) -> Result<(), StoreError> {
        self.decide("adding to a journal", term, |to| Ok((End::Keep, journal::append(to, source, frame)?)))
    }

    fn rewrite(&self, term: &Term, source: &str, frames: &[Vec<u8>]) -> Result<(), StoreError> {
        self.decide("rewriting a journal", term, |to| Ok((End::Keep, journal::rewrite(to, source, frames)?)))
    }

    fn put_rollouts(&self, term: &Term, json: &str) -> Result<(), StoreError> {
        self.decide("keeping what roll-outs show", term, |to| Ok((End::Keep, rollouts::put(to, json)?)))
    }

    fn rollouts(&self) -> Result<Option<String>, StoreError> {
        self.read("reading what roll-outs show", rollouts::shown)
    }

    fn set_paused(&self, rollout: &str, paused: bool) -> Result<(), StoreError> {
        self.change("pausing a roll-out", |to, _| rollouts::set_paused(to, rollout, paused)).map(drop)
    }

    fn paused(&self) -> Result<BTreeSet<String>, StoreError> {
        self.read("listing the roll-outs that are paused", rollouts::paused)
    }

    fn ask_retry(&self, name: &Name) -> Result<bool, StoreError> {
        self.change("asking that a commit is tried again", |to, version| {
            let is_known = machines::get(to, name)?.is_some();
            if is_known {
                retries::ask(to, name, version)?;
            }
            Ok(is_known)
        })
    }

    fn retries(&self) -> Result<BTreeMap<Name, i64>, StoreError> {
        self.read("listing which commits are to be tried again", retries::all)
    }

    fn retried(&self, name: &Name, asking: i64) -> Result<(), StoreError> {
        self.write("noting that a commit is tried again", |to| retries::done(to, name, asking))
    }
}
