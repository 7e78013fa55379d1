//! Every call, and what it leaves.

use crate::{Place, given::*};
use abide_fleet::{
    protocol::{HAPPENINGS_MAX, Happening, MachineState, Report, TROUBLES_MAX, Trouble},
    store::{Fact, Millis, NewMachine, NotEnrolled, Presence, Standing, StoreError, Token, Written},
};
use std::{collections::BTreeMap, time::Duration};

pub(crate) fn tokens_are_kept_until_they_are_removed(place: &dyn Place) {
    let store = place.open();
    let other = Token { names: Some("till-*".to_owned()), labels: BTreeMap::new(), ..token("a", 1) };
    store.put_token(&token("b", 2)).unwrap();
    store.put_token(&other).unwrap();
    store.put_token(&token("b", 3)).unwrap();
    assert_eq!(store.tokens().unwrap(), [other.clone(), token("b", 3)]);
    assert!(store.remove_token("b").unwrap());
    assert!(!store.remove_token("b").unwrap());
    assert_eq!(store.tokens().unwrap(), [other]);
}

pub(crate) fn a_token_lets_in_as_many_as_it_says(place: &dyn Place) {
    let store = place.open();
    store.put_token(&token("two", 2)).unwrap();
    for (name, expected) in [("a", Ok(())), ("b", Ok(())), ("c", Err(NotEnrolled::UsedUp))] {
        assert_eq!(store.enroll("two", &[7; 32], &new(name), NOW).unwrap(), expected);
    }
    assert_eq!(store.tokens().unwrap(), [token("two", 0)]);
    let came = machine(&*store, "a");
    assert_eq!((came.key.as_str(), came.recipient.as_str()), ("key of a", "age1a"));
    assert_eq!(came.labels, token("two", 0).labels);
    assert_eq!((came.serial, came.first_serial, came.enrolled_at), (NOW.0, NOW.0, NOW));
    assert_eq!(came.presence, Presence::Away { since: NOW });
    assert_eq!(store.machine(&name("c")).unwrap(), None);
}

pub(crate) fn whoever_may_not_is_told_why(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["taken"]);
    store.put_token(&Token { names: Some("till-*".to_owned()), ..token("tills", 5) }).unwrap();
    store.put_token(&token("any", 5)).unwrap();
    let another = |text| NewMachine { key: "another".to_owned(), ..new(text) };
    let ask = |token: &str, secret: u8, new: &NewMachine, now| store.enroll(token, &[secret; 32], new, now).unwrap();
    assert_eq!(ask("none", 7, &new("a"), NOW), Err(NotEnrolled::Unknown));
    assert_eq!(ask("any", 8, &new("a"), NOW), Err(NotEnrolled::Unknown));
    assert_eq!(ask("any", 7, &new("a"), NOW.plus(TTL)), Err(NotEnrolled::Expired));
    assert_eq!(ask("tills", 7, &new("a"), NOW), Err(NotEnrolled::Name("till-*".to_owned())));
    assert_eq!(ask("any", 7, &another("taken"), NOW), Err(NotEnrolled::NameTaken));
    assert_eq!(ask("tills", 7, &new("till-1"), NOW), Ok(()));
    assert_eq!(store.tokens().unwrap().iter().map(|token| token.uses_left).collect::<Vec<_>>(), [5, 0, 4]);
}

pub(crate) fn a_lost_answer_costs_no_use(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let later = NewMachine { serial: NOW.0 + 5, ..new("a") };
    assert_eq!(store.enroll("given", &[7; 32], &later, NOW).unwrap(), Ok(()));
    let again = machine(&*store, "a");
    assert_eq!((again.serial, again.first_serial), (NOW.0 + 5, NOW.0));
    assert_eq!(Standing::of(Some(&again), NOW.0), Standing::Good, "either answer may have come");
}

pub(crate) fn a_revoked_machine_comes_back_with_new_keys_and_later_numbers(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let term = lead(&*store);
    let before = machine(&*store, "a");
    let told = before.written(instance(1), commit(1), NOW.plus(TTL));
    assert!(store.write_target(&term, &before.name, before.version, Some(&told)).unwrap());
    store.record(NOW, &[Fact::Cloned { name: name("a") }]).unwrap();
    assert_eq!(Standing::of(Some(&machine(&*store, "a")), NOW.0), Standing::Cloned);

    assert!(store.revoke(&name("a"), NOW).unwrap());
    assert!(store.revoke(&name("a"), NOW.plus(TTL)).unwrap(), "it is");
    assert!(!store.revoke(&name("b"), NOW).unwrap());
    assert_eq!(machine(&*store, "a").revoked_at, Some(NOW));
    assert!(!store.renew(&name("a"), "key", NOW.0 + 1).unwrap());
    assert!(!store.adopt(&NewMachine { serial: NOW.0 + 1, ..new("a") }, NOW).unwrap());

    store.put_token(&token("again", 1)).unwrap();
    assert_eq!(store.enroll("again", &[7; 32], &new("a"), NOW).unwrap(), Err(NotEnrolled::KeyRevoked));
    let anew = NewMachine { key: "another".to_owned(), serial: NOW.0 + 2, ..new("a") };
    assert_eq!(store.enroll("again", &[7; 32], &anew, NOW).unwrap(), Ok(()));
    let after = machine(&*store, "a");
    assert_eq!((after.revoked_at, after.cloned, &after.target), (None, false, &None));
    assert_eq!(after.numbered, told.number);
    assert!(after.written(instance(2), commit(1), NOW).number > told.number);
    assert_eq!(Standing::of(Some(&after), NOW.0), Standing::Old);
    assert_eq!(Standing::of(Some(&after), NOW.0 + 2), Standing::Good);
}

pub(crate) fn an_old_backup_learns_what_it_forgot(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let term = lead(&*store);
    let row = machine(&*store, "a");
    let told = row.written(instance(1), commit(1), NOW);
    assert!(store.write_target(&term, &row.name, row.version, Some(&told)).unwrap());
    let says = |sequence, target, state| {
        let session = "s".to_owned();
        let report =
            Report { session, sequence, target: Some(target), in_force: Some(commit(2)), state, ..Report::default() };
        let (name, report) = (name("a"), Box::new(report));
        store.record(NOW, &[Fact::Reported { name, report, ready_since: None, hub_since: NOW }]).unwrap();
        machine(&*store, "a")
    };
    // What it is on its way to may fail; what nobody can have told is made up; what is older is nothing new.
    for (sequence, target, state) in [
        (1, told.number + 5, MachineState::Changing),
        (2, u64::MAX, MachineState::Ready),
        (3, told.number - 1, MachineState::Ready),
        (4, told.number + 3_600_000, MachineState::Ready),
    ] {
        assert_eq!(says(sequence, target, state).target, Some(told.clone()));
    }
    let after = says(5, told.number + 5, MachineState::Ready);
    assert_eq!(after.target, Some(Written { number: told.number + 5, commit: commit(2), ..told }));
    assert_eq!(after.reported.as_ref().unwrap().ready_since, Some(NOW));
    assert!(after.written(instance(2), commit(3), NOW).number > told.number + 5);
}

pub(crate) fn certificates_are_renewed_and_adopted(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    assert!(store.renew(&name("a"), "second", NOW.0 + 1).unwrap());
    assert!(!store.renew(&name("a"), "first", NOW.0).unwrap(), "it has a newer one");
    assert!(!store.renew(&name("b"), "first", NOW.0).unwrap());
    assert_eq!(machine(&*store, "a").key, "second");

    let known = NewMachine { key: "third".to_owned(), serial: NOW.0 + 2, recipient: String::new(), ..new("a") };
    assert!(store.adopt(&known, NOW).unwrap());
    assert!(!store.adopt(&known, NOW).unwrap());
    let adopted = machine(&*store, "a");
    assert_eq!((adopted.key.as_str(), adopted.serial, adopted.recipient.as_str()), ("third", NOW.0 + 2, "age1a"));
    assert_eq!(adopted.labels, token("given", 0).labels);
    assert!(store.adopt(&new("b"), NOW).unwrap());
    assert_eq!(machine(&*store, "b").labels, BTreeMap::new());
}

pub(crate) fn labels_are_set_and_taken_away(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let labels = |pairs: &[(&str, Option<&str>)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect::<BTreeMap<_, _>>()
    };
    assert!(store.label(&name("a"), &labels(&[("ring", Some("early")), ("site", None), ("none", None)])).unwrap());
    let labelled = machine(&*store, "a");
    assert_eq!(labelled.labels, BTreeMap::from([("ring".to_owned(), "early".to_owned())]));
    assert!(store.label(&name("a"), &labels(&[("ring", Some("early"))])).unwrap());
    assert_eq!(machine(&*store, "a").version, labelled.version, "that is no news");
    assert!(!store.label(&name("b"), &labels(&[])).unwrap());
}

pub(crate) fn changes_are_told_once(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["b", "a"]);
    let all = store.changes(0).unwrap();
    assert_eq!(all.machines, [machine(&*store, "a"), machine(&*store, "b")]);
    assert_eq!(store.changes(all.upto).unwrap().machines, []);
    store.record(NOW, &[here("b", "hub"), session("b", "one")]).unwrap();
    let news = store.changes(all.upto).unwrap();
    assert_eq!(news.machines, [machine(&*store, "b")]);
    assert_eq!(news.machines[0].version, news.upto);
    assert_eq!(store.changes(news.upto).unwrap().machines, []);
}

pub(crate) fn what_is_no_news_writes_nothing(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    store.record(NOW, &[here("a", "hub"), session("a", "one"), reported("a", report(2, None))]).unwrap();
    let before = store.changes(0).unwrap();
    let away = |hub: &str| Fact::Away { name: name("a"), hub: hub.to_owned(), since: NOW };
    let no_news =
        [here("a", "hub"), session("a", "one"), reported("a", report(1, None)), away("another hub"), here("b", "hub")];
    store.record(NOW.plus(TTL), &no_news).unwrap();
    store.record(NOW, &[]).unwrap();
    assert_eq!(store.changes(0).unwrap(), before);
    store.record(NOW.plus(TTL), &[away("hub")]).unwrap();
    assert_eq!(machine(&*store, "a").presence, Presence::Away { since: NOW });
}

pub(crate) fn reports_are_kept_with_what_happened(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let happened = |from: i64, count: i64| {
        let one = |at| Happening { at, unit: "Container/web".to_owned(), text: format!("{at}") };
        (from..from + count).map(one).collect::<Vec<_>>()
    };
    let trouble = Trouble { unit: "Container/web".to_owned(), state: "failed".to_owned(), message: "é".repeat(5000) };
    let long = Report {
        message: "x".repeat(100_000),
        troubles: vec![trouble; TROUBLES_MAX + 5],
        happened: happened(0, 70),
        ..report(1, Some(3))
    };
    store.record(NOW, &[reported("a", long)]).unwrap();
    let kept = machine(&*store, "a").reported.unwrap();
    assert_eq!((kept.at, kept.ready_since, kept.report.target), (NOW, Some(NOW), Some(3)));
    assert_eq!((kept.report.troubles.len(), kept.report.happened.len()), (TROUBLES_MAX, 0));
    assert_eq!(kept.report.troubles[0].message.chars().count(), 501);
    assert_eq!(kept.report.message.len(), 500 + '…'.len_utf8());
    let next = Report { happened: happened(70, 70), ..report(2, Some(3)) };
    store.record(NOW, &[reported("a", next.clone()), reported("a", next)]).unwrap();
    let all = store.happenings(&name("a")).unwrap();
    assert_eq!(all, happened(140 - HAPPENINGS_MAX as i64, HAPPENINGS_MAX as i64), "the last ones, once");
    assert_eq!(store.happenings(&name("b")).unwrap(), []);
}

pub(crate) fn targets_are_written_by_the_leader_at_the_version_it_saw(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let term = lead(&*store);
    let saw = machine(&*store, "a");
    let target = saw.written(instance(1), commit(1), NOW);
    assert_eq!(target, Written { number: NOW.0 as u64, instance: instance(1), commit: commit(1), attempt: 0, at: NOW });
    assert!(!store.write_target(&term, &name("b"), 0, Some(&target)).unwrap());
    assert!(store.write_target(&term, &saw.name, saw.version, Some(&target)).unwrap());
    assert!(!store.write_target(&term, &saw.name, saw.version, Some(&target)).unwrap(), "it isn't what was seen");
    assert_eq!(machine(&*store, "a").target, Some(target.clone()));

    // What it didn't know while it was away it knows from when it comes.
    store.record(NOW.plus(TTL), &[here("a", "hub")]).unwrap();
    assert_eq!(machine(&*store, "a").target.unwrap().at, NOW.plus(TTL));
    store.record(NOW.plus(TTL), &[reported("a", report(1, Some(target.number)))]).unwrap();
    store.record(NOW.plus(2 * TTL), &[here("a", "another hub")]).unwrap();
    assert_eq!(machine(&*store, "a").target.unwrap().at, NOW.plus(TTL), "it has known it");

    let version = machine(&*store, "a").version;
    assert!(store.write_target(&term, &saw.name, version, None).unwrap());
    assert_eq!(machine(&*store, "a").target, None);
}

pub(crate) fn who_was_away_proves_anew_that_it_is_ready(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let ready = || machine(&*store, "a").reported.unwrap().ready_since;
    store.record(NOW, &[here("a", "hub"), reported("a", report(1, Some(3)))]).unwrap();
    store.record(NOW.plus(TTL), &[here("a", "another hub")]).unwrap();
    assert_eq!(ready(), Some(NOW), "it only came by another way");
    let away = Fact::Away { name: name("a"), hub: "another hub".to_owned(), since: NOW.plus(TTL) };
    store.record(NOW.plus(2 * TTL), &[away]).unwrap();
    store.record(NOW.plus(3 * TTL), &[here("a", "hub")]).unwrap();
    assert_eq!(ready(), Some(NOW.plus(3 * TTL)));
}

pub(crate) fn numbers_are_given_once(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let term = lead(&*store);
    let write = |target: Option<&Written>| {
        let version = machine(&*store, "a").version;
        store.write_target(&term, &name("a"), version, target).unwrap()
    };
    let first = machine(&*store, "a").written(instance(1), commit(1), NOW);
    assert!(write(Some(&first)));
    assert!(write(Some(&Written { at: NOW.plus(TTL), ..first.clone() })), "it is the same");
    assert!(!write(Some(&Written { commit: commit(2), ..first.clone() })), "the number is taken");
    assert!(write(None));
    assert!(!write(Some(&first)), "the number was given");
    // Clocks go back.
    let second = machine(&*store, "a").written(instance(2), commit(2), Millis(5));
    assert_eq!(second.number, first.number + 1);
    assert!(write(Some(&second)));
}

pub(crate) fn a_lead_is_kept_ended_and_taken(place: &dyn Place) {
    let store = place.open();
    let first = lead(&*store);
    assert_eq!(store.lead("second", NOW, TTL).unwrap(), None);
    assert_eq!(store.lead("first", NOW.plus(TTL / 2), TTL).unwrap(), Some(first.clone()), "it is kept");
    assert_eq!(store.lead("second", NOW.plus(TTL), TTL).unwrap(), None);
    let second = store.lead("second", NOW.plus(2 * TTL), TTL).unwrap().unwrap();
    assert_eq!(second.epoch, first.epoch + 1);
    store.resign(&first).unwrap();
    assert_eq!(store.lead("first", NOW.plus(2 * TTL), TTL).unwrap(), None, "who doesn't lead can't give it up");
    store.resign(&second).unwrap();
    assert_eq!(store.lease().unwrap(), None);

    // Its clock was a year ahead, and it died: who saw that it isn't renewed ends it.
    let ahead = NOW.plus(TTL * 3_000_000);
    let first = store.lead("first", ahead, TTL).unwrap().unwrap();
    assert_eq!(first.epoch, second.epoch + 1);
    assert_eq!(store.lead("second", NOW, TTL).unwrap(), None);
    assert_eq!(store.lease().unwrap(), Some((first.clone(), ahead.plus(TTL))));
    assert!(!store.oust(&first, ahead).unwrap(), "it was renewed since");
    assert!(!store.oust(&second, ahead.plus(TTL)).unwrap(), "that one is over");
    assert!(store.oust(&first, ahead.plus(TTL)).unwrap());
    assert_eq!(store.lead("second", NOW, TTL).unwrap().unwrap().epoch, first.epoch + 1);
}

pub(crate) fn what_a_term_decided_stays_and_what_comes_after_it_does_not(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let first = lead(&*store);
    store.append(&first, "fleet", b"one").unwrap();
    store.put_rollouts(&first, "{}").unwrap();
    let saw = machine(&*store, "a");
    let target = saw.written(instance(1), commit(1), NOW);
    let second = store.lead("second", NOW.plus(TTL), TTL).unwrap().unwrap();
    for (term, holds) in [(&first, false), (&second, true), (&first, false)] {
        let is = |result: Result<(), StoreError>| match result {
            Ok(()) => true,
            Err(StoreError::NotLeading { term: said, .. }) if said == *term => false,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(is(store.append(term, "fleet", b"two")), holds);
        assert_eq!(is(store.rewrite(term, "fleet", &[b"all".to_vec()])), holds);
        assert_eq!(is(store.put_rollouts(term, "[]")), holds);
        assert_eq!(is(store.write_target(term, &saw.name, saw.version, Some(&target)).map(drop)), holds);
    }
    assert_eq!(store.journal("fleet").unwrap(), [b"all"]);
    assert_eq!(store.rollouts().unwrap().as_deref(), Some("[]"));
    assert_eq!(machine(&*store, "a").target, Some(target));
}

pub(crate) fn journals_are_frames_in_order(place: &dyn Place) {
    let store = place.open();
    let term = lead(&*store);
    assert_eq!(store.journal("fleet").unwrap(), [] as [Vec<u8>; 0]);
    let frames: Vec<Vec<u8>> = (0..=20).map(|n| vec![n; usize::from(n)]).collect();
    for frame in &frames {
        store.append(&term, "fleet", frame).unwrap();
    }
    store.append(&term, "other", &[0, 255]).unwrap();
    assert_eq!(store.journal("fleet").unwrap(), frames);
    store.rewrite(&term, "fleet", &frames[3..5]).unwrap();
    store.append(&term, "fleet", &[9]).unwrap();
    assert_eq!(store.journal("fleet").unwrap(), [vec![3; 3], vec![4; 4], vec![9]]);
    store.rewrite(&term, "fleet", &[]).unwrap();
    assert_eq!(store.journal("fleet").unwrap(), [] as [Vec<u8>; 0]);
    assert_eq!(store.journal("other").unwrap(), [[0, 255]]);
}

pub(crate) fn pauses_are_followed(place: &dyn Place) {
    let store = place.open();
    let upto = |store: &dyn abide_fleet::store::Store| store.changes(0).unwrap().upto;
    let before = upto(&*store);
    store.set_paused("tills", true).unwrap();
    let paused = upto(&*store);
    assert!(paused > before);
    store.set_paused("tills", true).unwrap();
    store.set_paused("other", false).unwrap();
    assert_eq!(upto(&*store), paused);
    assert_eq!(store.paused().unwrap(), ["tills".to_owned()].into());
    store.set_paused("tills", false).unwrap();
    assert_eq!(store.paused().unwrap(), [].into());
    assert_eq!(store.rollouts().unwrap(), None);
}

pub(crate) fn what_is_to_be_tried_again_is_followed(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a", "b"]);
    let before = store.changes(0).unwrap();
    assert!(!store.ask_retry(&name("nobody")).unwrap());
    assert_eq!(store.changes(0).unwrap(), before);
    assert!(store.ask_retry(&name("a")).unwrap());
    let asked = store.changes(before.upto).unwrap();
    assert!(asked.upto > before.upto && asked.machines.is_empty(), "{asked:?}");
    let first = store.retries().unwrap();
    assert_eq!(first.keys().collect::<Vec<_>>(), [&name("a")]);
    // It is asked for once more before the first asking is granted.
    assert!(store.ask_retry(&name("a")).unwrap());
    store.retried(&name("a"), first[&name("a")]).unwrap();
    let second = store.retries().unwrap();
    assert!(second[&name("a")] > first[&name("a")], "{second:?}");
    store.retried(&name("a"), second[&name("a")]).unwrap();
    assert_eq!(store.retries().unwrap(), [].into());
}

pub(crate) fn hubs_that_fell_silent_are_forgotten(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a", "b"]);
    store.beat("first", NOW).unwrap();
    store.beat("second", NOW).unwrap();
    store.record(NOW, &[here("a", "first"), here("b", "second")]).unwrap();
    let upto = store.changes(0).unwrap().upto;
    let year = Duration::from_secs(365 * 24 * 3600);
    store.beat("second", NOW.plus(year)).unwrap();
    assert_eq!(store.hubs().unwrap(), [("first".to_owned(), NOW), ("second".to_owned(), NOW.plus(year))]);
    assert!(!store.forget("second", NOW).unwrap(), "it was heard since");
    assert!(!store.forget("third", NOW).unwrap());
    assert_eq!(store.changes(upto).unwrap().machines, [], "clocks alone say nothing of who lives");
    assert!(store.forget("first", NOW).unwrap());
    assert_eq!(store.hubs().unwrap(), [("second".to_owned(), NOW.plus(year))]);
    assert_eq!(store.changes(upto).unwrap().machines, [machine(&*store, "a")]);
    assert_eq!(machine(&*store, "a").presence, Presence::Away { since: NOW });
    assert_eq!(machine(&*store, "b").presence, Presence::Here { hub: "second".to_owned() });
}

pub(crate) fn all_of_it_is_there_after_a_restart(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    let term = lead(&*store);
    let saw = machine(&*store, "a");
    store.write_target(&term, &saw.name, saw.version, Some(&saw.written(instance(1), commit(1), NOW))).unwrap();
    store.record(NOW, &[here("a", "hub"), session("a", "one"), reported("a", report(1, Some(5)))]).unwrap();
    store.append(&term, "fleet", b"frame").unwrap();
    let (changes, tokens) = (store.changes(0).unwrap(), store.tokens().unwrap());
    drop(store);
    let store = place.open();
    assert_eq!(store.changes(0).unwrap(), changes);
    assert_eq!(store.tokens().unwrap(), tokens);
    assert_eq!(store.journal("fleet").unwrap(), [b"frame"]);
    assert_eq!(store.lead("another", NOW, TTL).unwrap(), None, "who leads is, too");
}

pub(crate) fn odd_texts_come_back(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    for text in ["", "'; DROP TABLE machine; --", "\u{1F3ED} $1 \\ \" \u{301}", "a\nb\t\u{1}"] {
        store.renew(&name("a"), text, machine(&*store, "a").serial + 1).unwrap();
        assert_eq!(machine(&*store, "a").key, text);
        store.set_paused(text, true).unwrap();
        assert!(store.paused().unwrap().contains(text));
    }
    // The one character that PostgreSQL has not; and a terminal isn't shown what would move it.
    let message = Report { message: "a\0b".to_owned(), ..report(1, None) };
    store.record(NOW, &[reported("a", message), session("a", "o\0ne")]).unwrap();
    assert_eq!(machine(&*store, "a").session.as_deref(), Some("o\u{fffd}ne"));
    assert_eq!(machine(&*store, "a").reported.unwrap().report.message, "a\u{fffd}b");
}
