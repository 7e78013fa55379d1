//! Any calls, one after the other: both databases answer the same.

use crate::{File, Place, Served, given::*};
use abide_fleet::{
    protocol::{Happening, Report},
    store::{Fact, Millis, NewMachine, Store, StoreError, Term},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, time::Duration};

#[derive(Clone, Debug)]
enum Call {
    PutToken(u8, u32),
    RemoveToken(u8),
    Enroll(u8, u8, u8),
    Renew(u8, u8, u8),
    Adopt(u8, u8, u8),
    Revoke(u8),
    Label(u8, u8, Option<String>),
    Record(Vec<(u8, u8, u8)>),
    Beat(u8),
    Lead(u8),
    Resign,
    Target(u8, bool, u8),
    Append(Vec<u8>),
    Rewrite(Vec<Vec<u8>>),
    Rollouts(String),
    Pause(u8, bool),
    AskRetry(u8),
    Retried(u8),
}

fn call() -> impl Strategy<Value = Call> {
    let (few, three) = (0..4u8, 0..3u8);
    prop_oneof![
        (few.clone(), 0..4u32).prop_map(|(id, uses)| Call::PutToken(id, uses)),
        few.clone().prop_map(Call::RemoveToken),
        (few.clone(), few.clone(), three.clone()).prop_map(|(id, name, key)| Call::Enroll(id, name, key)),
        (few.clone(), three.clone(), few.clone()).prop_map(|(name, key, serial)| Call::Renew(name, key, serial)),
        (few.clone(), three.clone(), few.clone()).prop_map(|(name, key, serial)| Call::Adopt(name, key, serial)),
        few.clone().prop_map(Call::Revoke),
        (few.clone(), few.clone(), proptest::option::of("\\PC{0,8}"))
            .prop_map(|(name, key, to)| Call::Label(name, key, to)),
        prop::collection::vec((few.clone(), 0..6u8, few.clone()), 0..6).prop_map(Call::Record),
        few.clone().prop_map(Call::Beat),
        three.prop_map(Call::Lead),
        Just(Call::Resign),
        (few.clone(), any::<bool>(), few.clone()).prop_map(|(name, is_some, to)| Call::Target(name, is_some, to)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Call::Append),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4).prop_map(Call::Rewrite),
        "\\PC{0,20}".prop_map(Call::Rollouts),
        (few.clone(), any::<bool>()).prop_map(|(rollout, paused)| Call::Pause(rollout, paused)),
        few.clone().prop_map(Call::AskRetry),
        few.prop_map(Call::Retried),
    ]
}

/// One that calls, and what it has of the calls before.
struct Caller<'s> {
    store: &'s dyn Store,
    term: Term,
    now: Millis,
}

impl Caller<'_> {
    /// Calls, and tells the answer as text.
    fn call(&mut self, call: &Call) -> String {
        self.now = self.now.plus(Duration::from_secs(7));
        let store = self.store;
        let of = |n: u8| format!("m{n}");
        let new = |n: u8, key: u8, serial: u8| NewMachine {
            name: name(&of(n)),
            key: format!("key {key}"),
            serial: NOW.0 + i64::from(serial),
            recipient: if serial == 0 { String::new() } else { "age1".to_owned() },
        };
        match call {
            Call::PutToken(id, uses) => said(store.put_token(&token(&of(*id), *uses))),
            Call::RemoveToken(id) => said(store.remove_token(&of(*id))),
            Call::Enroll(id, n, key) => said(store.enroll(&of(*id), &[7; 32], &new(*n, *key, *key), NOW)),
            Call::Renew(n, key, serial) => said(store.renew(&name(&of(*n)), &of(*key), NOW.0 + i64::from(*serial))),
            Call::Adopt(n, key, serial) => said(store.adopt(&new(*n, *key, *serial), self.now)),
            Call::Revoke(n) => said(store.revoke(&name(&of(*n)), self.now)),
            Call::Label(n, key, to) => said(store.label(&name(&of(*n)), &BTreeMap::from([(of(*key), to.clone())]))),
            Call::Record(facts) => {
                let facts: Vec<Fact> = facts.iter().map(|(n, what, which)| self.fact(&of(*n), *what, *which)).collect();
                said(store.record(self.now, &facts))
            }
            Call::Beat(hub) => said(store.beat(&of(*hub), self.now)),
            Call::Lead(holder) => {
                let term = store.lead(&of(*holder), self.now, TTL);
                if let Ok(Some(term)) = &term {
                    self.term = term.clone();
                }
                said(term)
            }
            Call::Resign => said(store.resign(&self.term)),
            Call::Target(n, is_some, to) => {
                let Some(machine) = store.machine(&name(&of(*n))).unwrap() else { return "nobody".to_owned() };
                let target = machine.written(instance(u64::from(*to)), commit(*to), self.now);
                // Some come too late.
                let version = machine.version - i64::from(*to == 3);
                said(store.write_target(&self.term, &machine.name, version, is_some.then_some(&target)))
            }
            Call::Append(frame) => said(store.append(&self.term, "fleet", frame)),
            Call::Rewrite(frames) => said(store.rewrite(&self.term, "fleet", frames)),
            Call::Rollouts(text) => said(store.put_rollouts(&self.term, text)),
            Call::Pause(rollout, paused) => said(store.set_paused(&of(*rollout), *paused)),
            Call::AskRetry(n) => said(store.ask_retry(&name(&of(*n)))),
            Call::Retried(n) => {
                let asking = store.retries().unwrap().get(&name(&of(*n))).copied().unwrap_or_default();
                said(store.retried(&name(&of(*n)), asking))
            }
        }
    }

    fn fact(&self, n: &str, what: u8, which: u8) -> Fact {
        match what {
            0 => session(n, &which.to_string()),
            1 => Fact::Cloned { name: name(n) },
            2 => here(n, &format!("m{which}")),
            3 => Fact::Away { name: name(n), hub: format!("m{which}"), since: self.now },
            _ => {
                let happened = vec![Happening { at: self.now.0, unit: String::new(), text: "\0 é".to_owned() }];
                reported(n, Report { session: which.to_string(), happened, ..report(u64::from(what), Some(1)) })
            }
        }
    }

    /// All there is.
    fn all(&self) -> String {
        let store = self.store;
        let changes = store.changes(0).unwrap();
        let happened: Vec<_> =
            changes.machines.iter().map(|machine| store.happenings(&machine.name).unwrap()).collect();
        format!(
            "{changes:?} {happened:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            store.tokens().unwrap(),
            store.hubs().unwrap(),
            store.journal("fleet").unwrap(),
            store.rollouts().unwrap(),
            store.paused().unwrap(),
            store.retries().unwrap()
        )
    }
}

fn said<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::NotLeading { .. }) => "not leading".to_owned(),
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        Ok(value) => format!("{value:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn both_databases_answer_the_same(calls in prop::collection::vec(call(), 1..100)) {
        let (file, served) = (File::new(), Served::new());
        let (one, other) = (file.open(), served.open());
        let [mut one, mut other] = [&*one, &*other].map(|store| Caller {
            store,
            term: Term { holder: "nobody".to_owned(), epoch: 0 },
            now: NOW,
        });
        for call in &calls {
            prop_assert_eq!(one.call(call), other.call(call), "{:?}", call);
        }
        prop_assert_eq!(one.all(), other.all());
    }
}
