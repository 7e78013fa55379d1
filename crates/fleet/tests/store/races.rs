//! Many at once.

use crate::{Place, given::*};
use abide_fleet::store::{NewMachine, NotEnrolled, StoreError};
use std::{
    collections::BTreeMap,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

const THREADS: usize = 8;

pub(crate) fn a_token_of_three_uses_lets_in_three(place: &dyn Place) {
    let store = place.open();
    store.put_token(&token("three", 3)).unwrap();
    let start = Barrier::new(THREADS);
    let enrol = |n: usize| {
        start.wait();
        store.enroll("three", &[7; 32], &new(&format!("machine-{n}")), NOW).unwrap()
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || enrol(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(()) | Err(NotEnrolled::UsedUp))));
    assert_eq!(store.changes(0).unwrap().machines.len(), 3);
}

pub(crate) fn one_leads(place: &dyn Place) {
    let stores: Vec<_> = (0..THREADS).map(|_| place.open()).collect();
    for round in 1..=10 {
        let start = Barrier::new(THREADS);
        let now = NOW.plus(round * 2 * TTL);
        let terms: Vec<_> = thread::scope(|scope| {
            let lead = |n: usize| {
                start.wait();
                stores[n].lead(&format!("hub-{n}, started {round} times"), now, TTL).unwrap()
            };
            let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || lead(n))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(terms.iter().map(|term| term.epoch).collect::<Vec<_>>(), [u64::from(round)]);
    }
}

pub(crate) fn who_follows_misses_nothing(place: &dyn Place) {
    const EACH: usize = 40;
    let stores: Vec<_> = (0..THREADS).map(|_| place.open()).collect();
    let names: Vec<String> = (0..THREADS).map(|n| format!("machine-{n}")).collect();
    enroll(&*stores[0], &names.iter().map(String::as_str).collect::<Vec<_>>());
    let is_over = AtomicBool::new(false);
    let mirror = thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let (store, mut mirror, mut upto) = (place.open(), BTreeMap::new(), 0);
            loop {
                let is_last = is_over.load(Ordering::SeqCst);
                let news = store.changes(upto).unwrap();
                assert!(news.upto >= upto);
                upto = news.upto;
                mirror.extend(news.machines.into_iter().map(|machine| (machine.name.clone(), machine)));
                if is_last {
                    return mirror;
                }
            }
        });
        let write = |n: usize| {
            for k in 0..EACH {
                let hub = format!("hub-{k}");
                stores[n].record(NOW, &[here(&names[n], &hub), session(&names[(n + 1) % THREADS], &hub)]).unwrap();
            }
        };
        let writers: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || write(n))).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_over.store(true, Ordering::SeqCst);
        follower.join().unwrap()
    });
    assert_eq!(mirror.into_values().collect::<Vec<_>>(), stores[0].changes(0).unwrap().machines);
}

/// Leaders depose each other while all write targets: no number ever stands for two commits.
pub(crate) fn a_machine_is_told_one_thing(place: &dyn Place) {
    const ROUNDS: u64 = 30;
    let stores: Vec<_> = (0..THREADS).map(|_| place.open()).collect();
    enroll(&*stores[0], &["a"]);
    let is_over = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let (store, mut told) = (place.open(), BTreeMap::new());
            while !is_over.load(Ordering::SeqCst) {
                let Some(target) = machine(&*store, "a").target else { continue };
                let before = told.insert(target.number, target.commit);
                assert!(before.is_none_or(|before| before == target.commit), "one number, two commits");
            }
            told
        });
        let decide = |n: usize| {
            for round in 0..ROUNDS {
                // Each finds the one before it expired.
                let now = NOW.plus(TTL * 20 * (round as u32 + 1));
                let Some(term) = stores[n].lead(&format!("hub-{n}, started {round} times"), now, TTL).unwrap() else {
                    continue;
                };
                let saw = machine(&*stores[n], "a");
                let target = saw.written(instance(round), commit(n as u8), NOW);
                match stores[n].write_target(&term, &saw.name, saw.version, Some(&target)) {
                    Ok(_) | Err(StoreError::NotLeading { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let deciders: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || decide(n))).collect();
        deciders.into_iter().for_each(|decider| decider.join().unwrap());
        is_over.store(true, Ordering::SeqCst);
        follower.join().unwrap()
    });
    let last = machine(&*stores[0], "a");
    assert!(told.keys().all(|number| *number <= last.numbered));
    let by_key = NewMachine { serial: NOW.0 + 1, ..new("a") };
    assert!(stores[0].adopt(&by_key, NOW).unwrap(), "nobody holds anything");
}

/// Targets that are written at once share transactions, and each is judged by itself.
pub(crate) fn many_are_told_at_once(place: &dyn Place) {
    const EACH: usize = 25;
    let store = place.open();
    let names: Vec<String> = (0..THREADS * EACH).map(|n| format!("machine-{n}")).collect();
    enroll(&*store, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let (term, start) = (lead(&*store), Barrier::new(THREADS));
    let tell = |n: usize| {
        start.wait();
        for name in &names[n * EACH..(n + 1) * EACH] {
            let saw = machine(&*store, name);
            let target = saw.written(instance(1), commit(n as u8), NOW);
            assert!(!store.write_target(&term, &saw.name, saw.version + 1, Some(&target)).unwrap(), "it isn't that");
            assert!(store.write_target(&term, &saw.name, saw.version, Some(&target)).unwrap());
            assert!(!store.write_target(&term, &saw.name, saw.version, None).unwrap(), "it was that");
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || tell(n))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    for (n, name) in names.iter().enumerate() {
        assert_eq!(machine(&*store, name).target.unwrap().commit, commit((n / EACH) as u8));
    }
}

/// Machines that come at once share transactions, and each is judged by itself, after those before it.
pub(crate) fn many_come_at_once(place: &dyn Place) {
    const EACH: usize = 25;
    const USES: usize = 120;
    let store = place.open();
    store.put_token(&token("some", USES as u32)).unwrap();
    let start = Barrier::new(THREADS);
    let later = |name: &str, by: i64| NewMachine { serial: NOW.0 + by, ..new(name) };
    let come = |n: usize| {
        start.wait();
        (0..EACH)
            .filter(|k| {
                let name = format!("machine-{n}-{k}");
                let came = store.enroll("some", &[7; 32], &new(&name), NOW).unwrap();
                if came.is_err() {
                    assert_eq!(came, Err(NotEnrolled::UsedUp));
                    assert!(
                        !store.renew(&new(&name).name, "key", NOW.0 + 1).unwrap(),
                        "who isn't there has nothing to renew"
                    );
                    return false;
                }
                assert!(store.renew(&new(&name).name, "another key", NOW.0 + 1).unwrap());
                assert!(!store.renew(&new(&name).name, "another key", NOW.0 + 1).unwrap(), "it has that");
                assert!(!store.adopt(&later(&name, 1), NOW).unwrap(), "it is known");
                assert!(store.adopt(&later(&name, 2), NOW).unwrap());
                true
            })
            .count()
    };
    let came: usize = thread::scope(|scope| {
        let come = &come;
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || come(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((came, store.tokens().unwrap()), (USES, vec![token("some", 0)]));
    let machines = store.changes(0).unwrap().machines;
    assert!(
        machines.iter().all(|machine| machine.serial == NOW.0 + 2 && machine.key == new(machine.name.as_str()).key)
    );
    assert_eq!(machines.len(), USES);
}
