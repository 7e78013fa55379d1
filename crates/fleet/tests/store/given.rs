//! What tests begin with.

use abide_fleet::{
    protocol::{MachineState, ObjectId, Report},
    store::{Fact, Machine, Millis, NewMachine, Store, Term, Token},
};
use abide_reconcile::InstanceId;
use abide_spec::Name;
use std::{collections::BTreeMap, time::Duration};

pub(crate) const NOW: Millis = Millis(1_790_000_000_000);
pub(crate) const TTL: Duration = Duration::from_secs(10);

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn commit(n: u8) -> ObjectId {
    ObjectId([n; 20])
}

pub(crate) fn instance(n: u64) -> InstanceId {
    InstanceId { epoch: 1, n }
}

pub(crate) fn token(id: &str, uses_left: u32) -> Token {
    let labels = BTreeMap::from([("site".to_owned(), "berlin".to_owned())]);
    Token { id: id.to_owned(), secret: [7; 32], uses_left, expires_at: NOW.plus(TTL), names: None, labels }
}

pub(crate) fn new(text: &str) -> NewMachine {
    NewMachine { name: name(text), key: format!("key of {text}"), serial: NOW.0, recipient: format!("age1{text}") }
}

/// With these machines, by a token that is used up then.
pub(crate) fn enroll(store: &dyn Store, names: &[&str]) {
    store.put_token(&token("given", names.len() as u32)).unwrap();
    for name in names {
        store.enroll("given", &[7; 32], &new(name), NOW).unwrap().unwrap();
    }
}

pub(crate) fn machine(store: &dyn Store, text: &str) -> Machine {
    store.machine(&name(text)).unwrap().unwrap()
}

pub(crate) fn lead(store: &dyn Store) -> Term {
    store.lead("first", NOW, TTL).unwrap().unwrap()
}

pub(crate) fn here(text: &str, hub: &str) -> Fact {
    Fact::Here { name: name(text), hub: hub.to_owned() }
}

pub(crate) fn session(text: &str, session: &str) -> Fact {
    Fact::Session { name: name(text), session: session.to_owned() }
}

pub(crate) fn report(sequence: u64, target: Option<u64>) -> Report {
    Report { session: "one".to_owned(), sequence, target, state: MachineState::Ready, ..Report::default() }
}

pub(crate) fn reported(text: &str, report: Report) -> Fact {
    Fact::Reported { name: name(text), report: Box::new(report), ready_since: Some(NOW), hub_since: NOW }
}
