use crate::fleet::{Fleet, name};
use abide_fleet::admin::rollout::{RolloutState, Rollouts};

const WAVES: &str = "{waves: [{count: 1}, {share: 25%}], maxUnavailable: 4, soak: 0s}";

fn state(fleet: &Fleet) -> Option<RolloutState> {
    fleet.rollouts().rollouts.iter().find(|rollout| rollout.name == "tills").map(|rollout| rollout.state)
}

fn is_done(fleet: &Fleet, commit: &str) -> bool {
    fleet.rollouts().commit == commit && state(fleet) == Some(RolloutState::Done)
}

/// A fleet whose machines are on its first commit, and that.
fn begun(machines: usize, rollout: &str) -> (Fleet, String) {
    let mut fleet = Fleet::of(machines);
    fleet.repository.fleet("", rollout);
    let first = fleet.repository.push("first");
    fleet.begin();
    fleet.until("on the first commit", |fleet| is_done(fleet, &first));
    (fleet, first)
}

/// A good commit gets everywhere, wave by wave and never on more than may be; a bad one stops in the first wave and is taken
/// back there; another hub knows that; and what mends it gets everywhere.
#[test]
fn a_bad_commit_stops_in_the_first_wave_and_another_hub_knows() {
    let mut fleet = Fleet::of(20);
    fleet.repository.fleet("", WAVES);
    let first = fleet.repository.push("first");
    fleet.begin();
    fleet.until("on the first commit", |fleet| fleet.on(&first) == 20 && is_done(fleet, &first));

    fleet.unavailable_max = 0;
    let good = fleet.repository.push("good");
    fleet.until("on the good commit", |fleet| fleet.on(&good) == 20 && is_done(fleet, &good));
    assert!(fleet.unavailable_max <= 4, "{} changed at once", fleet.unavailable_max);
    let waves: Vec<usize> = fleet.rollouts().rollouts[0].waves.iter().map(|wave| wave.machines).collect();
    assert_eq!(waves, [1, 5, 14]);

    let bad = fleet.repository.push("bad");
    fleet.bad.insert(bad.clone());
    let is_stopped = |fleet: &Fleet| state(fleet) == Some(RolloutState::Stopped) && fleet.on(&good) == 20;
    fleet.until("stopped", is_stopped);
    assert_eq!(fleet.tried(&bad), 1);

    fleet.end();
    fleet.begin();
    fleet.enroll(20);
    fleet.until("known to the next hub", |fleet| fleet.on(&good) == 20 && state(fleet) == Some(RolloutState::Stopped));
    assert_eq!(fleet.tried(&bad), 1, "nobody is told it again");

    let fix = fleet.repository.push("fix");
    fleet.until("on the fix", |fleet| fleet.on(&fix) == 21 && is_done(fleet, &fix));
    fleet.end();
}

/// A hub that dies in the middle of a roll-out leaves nothing that the next one would do twice, or at once.
#[test]
fn hubs_die_in_the_middle() {
    let (mut fleet, _) = begun(12, "{waves: [{count: 2}], maxUnavailable: 2, soak: 0s}");
    for n in 0..4 {
        fleet.unavailable_max = 0;
        let next = fleet.repository.push(&format!("next-{n}"));
        fleet.until("half way", |fleet| fleet.on(&next) > 3);
        fleet.end();
        fleet.begin();
        fleet.until("on the next commit", |fleet| fleet.on(&next) == 12 && is_done(fleet, &next));
        assert!(fleet.unavailable_max <= 2, "{} changed at once", fleet.unavailable_max);
    }
    fleet.end();
}

/// A database that fails just after the lead was won: who leads in vain gives the lead up, and tries again.
#[test]
fn a_lead_in_vain_is_given_up() {
    let mut fleet = Fleet::of(2);
    fleet.repository.fleet("", WAVES);
    let first = fleet.repository.push("first");
    let trouble = "CREATE TRIGGER trouble BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no room'); END";
    fleet.database().execute_batch(trouble).unwrap();
    fleet.begin();
    fleet.until("in its second term", |fleet| fleet.terms() >= 2);
    fleet.database().execute_batch("DROP TRIGGER trouble").unwrap();
    fleet.until("on the first commit", |fleet| fleet.on(&first) == 2 && is_done(fleet, &first));
    fleet.end();

    fleet.database().execute_batch("ALTER TABLE journal RENAME TO lost").unwrap();
    let terms = fleet.terms();
    fleet.begin();
    fleet.until("in its second term", |fleet| fleet.terms() >= terms + 2);
    fleet.database().execute_batch("ALTER TABLE lost RENAME TO journal").unwrap();
    let next = fleet.repository.push("next");
    fleet.until("on the next commit", |fleet| fleet.on(&next) == 2 && is_done(fleet, &next));
    fleet.end();
}

/// What can't be rolled out is refused, in words, and changes nothing.
#[test]
fn refused_commits_change_nothing() {
    let mut fleet = Fleet::of(3);
    let anna = fleet.repository.key("anna");
    let signers = anna.signs("Commit");
    fleet.repository.fleet(&signers, WAVES);
    let good = fleet.repository.push_volume("good", Some(&anna));
    fleet.begin();
    fleet.until("on the good commit", |fleet| is_done(fleet, &good));

    let refused = |fleet: &mut Fleet, words: &str| {
        fleet.until(words, |fleet| fleet.rollouts().state == "refused" && fleet.rollouts().message.contains(words));
        assert_eq!((fleet.on(&good), fleet.rollouts().commit), (3, good.clone()));
    };
    fleet.repository.write("base/volume.yaml", "kind: Volum\n");
    fleet.repository.push_signed("typo", Some(&anna));
    refused(&mut fleet, "what till-00, till-01, till-02 would run is broken");
    fleet.repository.write("fleet.yaml", "kind: Fleet\n");
    fleet.repository.push_as_it_is("no fleet");
    refused(&mut fleet, "fleet.yaml");

    // Machines would refuse it: nobody is told.
    fleet.repository.fleet(&signers, WAVES);
    let unsigned = fleet.repository.push("unsigned");
    refused(&mut fleet, "isn't signed");
    let bert = fleet.repository.key("bert");
    let strange = fleet.repository.push_volume("strange", Some(&bert));
    refused(&mut fleet, "must be signed by the signers of version 1");
    assert_eq!((fleet.tried(&unsigned), fleet.tried(&strange)), (0, 0));

    fleet.repository.git("work", &["checkout", "-q", "--orphan", "rewritten"]);
    fleet.repository.push_volume("rewritten", Some(&anna));
    refused(&mut fleet, "it doesn't descend from");

    fleet.repository.fleet(&format!("{signers}  replaces: [{good}]\n"), WAVES);
    fleet.repository.push("stated-by-nobody");
    refused(&mut fleet, "isn't signed");
    let stated = fleet.repository.push_volume("stated", Some(&anna));
    fleet.until("on the history that says so", |fleet| fleet.on(&stated) == 3 && is_done(fleet, &stated));
    fleet.end();
}

/// A commit that is refused keeps nobody from what is in force.
#[test]
fn who_comes_while_a_commit_is_refused_gets_what_is_in_force() {
    let (mut fleet, good) = begun(3, WAVES);
    fleet.repository.write("fleet.yaml", "kind: Fleet\n");
    fleet.repository.push_as_it_is("broken");
    let is_refused = |fleet: &Fleet| fleet.rollouts().state == "refused";
    fleet.until("refused", is_refused);
    fleet.enroll(3);
    fleet.until("the new machine is told, and why it is no newer commit", |fleet| {
        fleet.on(&good) == 4 && is_refused(fleet)
    });
    fleet.store.set_paused("tills", true).unwrap();
    fleet.until("paused", |fleet| state(fleet) == Some(RolloutState::Paused) && is_refused(fleet));
    fleet.store.set_paused("tills", false).unwrap();
    // The next hub knows no more than what the first one wrote.
    fleet.end();
    fleet.begin();
    fleet.enroll(4);
    fleet.until("the same by another hub", |fleet| fleet.on(&good) == 5 && is_refused(fleet));
    fleet.end();
}

/// Where tags are signed, what has no such tag waits; the newest that has one is rolled out, be it the tip or not.
#[test]
fn signed_tags_are_waited_for() {
    let mut fleet = Fleet::of(3);
    let (anna, bert) = (fleet.repository.key("anna"), fleet.repository.key("bert"));
    fleet.repository.fleet(&anna.signs("Tag"), WAVES);
    let first = fleet.repository.push("first");
    fleet.begin();
    let waits = |fleet: &mut Fleet, state: &str, words: &str| {
        fleet.until(&format!("{state}: {words}"), |fleet| {
            let Rollouts { state: now, message, .. } = fleet.rollouts();
            now == state && message.contains("waits for a signed tag") && message.contains(words)
        });
    };
    waits(&mut fleet, "refused", "has no signed tag");
    fleet.repository.tag("light", &first, None, &[]);
    fleet.repository.tag("v1", &first, None, &["-a", "-m", "v1"]);
    waits(&mut fleet, "refused", "isn't signed");
    fleet.repository.tag("v1", &first, Some(&bert), &[]);
    waits(&mut fleet, "refused", "must be signed by the signers of version 1");
    fleet.repository.tag("v1.0", &first, Some(&anna), &[]);
    fleet.until("the tag came", |fleet| is_done(fleet, &first) && fleet.on(&first) == 3);

    let second = fleet.repository.push("second");
    let third = fleet.repository.push("third");
    waits(&mut fleet, "following", &third);
    fleet.until("the tip was judged", |fleet| fleet.rollouts().tip == third);
    assert_eq!(fleet.rollouts().newest, first);
    fleet.enroll(3);
    fleet.until("who comes meanwhile is told what is in force", |fleet| fleet.on(&first) == 4);
    fleet.repository.tag("v2", &second, Some(&anna), &[]);
    fleet.until("one that isn't the tip", |fleet| is_done(fleet, &second) && fleet.on(&second) == 4);
    waits(&mut fleet, "following", &third);
    fleet.end();
    fleet.begin();
    fleet.repository.tag("v3", &third, Some(&anna), &[]);
    fleet.until("the tip", |fleet| is_done(fleet, &third) && fleet.on(&third) == 4);
    assert_eq!(fleet.rollouts().message, "");

    // What has no tag may say what it wants.
    let fourth = fleet.repository.push("fourth");
    fleet.repository.write("fleet.yaml", "kind: Fleet\n");
    let slip = fleet.repository.push("slip");
    let is_passed_over = |fleet: &Fleet| {
        let Rollouts { state, tip, message, .. } = fleet.rollouts();
        state == "following" && tip == slip && message.contains("has no tag") && message.contains("fleet.yaml")
    };
    fleet.until("the slip is passed over", is_passed_over);
    fleet.repository.tag("v4", &fourth, Some(&anna), &[]);
    fleet.until("one below the slip", |fleet| is_done(fleet, &fourth) && fleet.on(&fourth) == 4);
    fleet.until("the slip is passed over again", is_passed_over);
    fleet.repository.tag("v5", &slip, Some(&anna), &[]);
    fleet.until("the slip is a release", |fleet| fleet.rollouts().state == "refused");
    fleet.repository.fleet(&anna.signs("Tag"), WAVES);
    let fifth = fleet.repository.push("fifth");
    fleet.repository.tag("v6", &fifth, Some(&anna), &[]);
    fleet.until("mended", |fleet| is_done(fleet, &fifth) && fleet.on(&fifth) == 4);
    assert_eq!(fleet.tried(&slip), 0);
    fleet.end();
}

/// A hub that has no commit yet begins with one that new machines would take.
#[test]
fn a_new_hub_begins_as_a_new_machine() {
    let mut fleet = Fleet::of(2);
    let (anna, bert) = (fleet.repository.key("anna"), fleet.repository.key("bert"));
    fleet.repository.fleet(&anna.signs("Commit"), WAVES);
    let first = fleet.repository.push("first");
    fleet.begin();
    fleet.until("its signers didn't sign it", |fleet| {
        let Rollouts { state, message, .. } = fleet.rollouts();
        state == "refused" && message.contains("isn't signed")
    });
    fleet.repository.fleet(&bert.signs_from(2, "Commit"), WAVES);
    let handing = fleet.repository.push_volume("handing-over", Some(&anna));
    fleet.until("anna handed over", |fleet| is_done(fleet, &handing) && fleet.on(&handing) == 2);
    assert_eq!(fleet.tried(&first), 0);
    fleet.end();

    let mut fleet = Fleet::of(2);
    let anna = fleet.repository.key("anna");
    fleet.repository.fleet(&anna.signs("Tag"), WAVES);
    let first = fleet.repository.push("first");
    fleet.repository.tag("v1", &first, Some(&anna), &[]);
    fleet.repository.write("fleet.yaml", "kind: Fleet\n");
    fleet.repository.push("slip");
    fleet.begin();
    fleet.until("one below the slip", |fleet| is_done(fleet, &first) && fleet.on(&first) == 2);
    fleet.end();
}

/// Machines come, go and are paused while a commit is in force.
#[test]
fn the_roster_changes() {
    let (mut fleet, first) = begun(4, "{soak: 0s, maxUnavailable: 100%}");

    fleet.enroll(4);
    fleet.until("told to who came", |fleet| fleet.on(&first) == 5);
    fleet.store.revoke(&name(0), super::fleet::now()).unwrap();
    fleet.until("taken from who was revoked", |fleet| fleet.on(&first) == 4);

    fleet.store.set_paused("tills", true).unwrap();
    fleet.until("paused", |fleet| state(fleet) == Some(RolloutState::Paused));
    let second = fleet.repository.push("second");
    fleet.until("known", |fleet| fleet.rollouts().commit == second);
    assert_eq!(fleet.on(&second), 0);
    fleet.store.set_paused("tills", false).unwrap();
    fleet.silent.insert(name(1));
    fleet.until("told to all", |fleet| fleet.on(&second) == 4);
    fleet.end();
}

/// What made a commit fail may not have been the commit: the machine tries it again, whichever hub is asked.
#[test]
fn a_machine_tries_again_when_a_person_says_so() {
    let (mut fleet, first) = begun(3, WAVES);
    let second = fleet.repository.push("second");
    fleet.bad.insert(second.clone());
    let is_back = |fleet: &Fleet| state(fleet) == Some(RolloutState::Stopped) && fleet.on(&first) == 3;
    fleet.until("stopped", is_back);

    // It is asked for while nobody leads.
    fleet.end();
    fleet.bad.clear();
    assert!(fleet.store.ask_retry(&name(0)).unwrap());
    fleet.begin();
    fleet.until("on the second commit after all", |fleet| fleet.on(&second) == 3 && is_done(fleet, &second));
    fleet.until("done with", |fleet| fleet.store.retries().unwrap().is_empty());
    fleet.end();
}

/// Who is to try again does so itself, and nobody in its stead: not even if it is well just when that is asked.
#[test]
fn nobody_tries_again_in_the_stead_of_another() {
    let (mut fleet, good) = begun(3, "{maxUnavailable: 1, soak: 0s}");
    let bad = fleet.repository.push("bad");
    fleet.bad.insert(bad.clone());
    let is_stopped = |fleet: &Fleet| state(fleet) == Some(RolloutState::Stopped) && fleet.on(&good) == 3;
    for _ in 0..20 {
        fleet.until("stopped", |fleet| fleet.rollouts().commit == bad && is_stopped(fleet));
        let before = fleet.numbered(&name(0));
        // What it says of the good commit is heard while that is carried out.
        assert!(fleet.store.ask_retry(&name(0)).unwrap());
        fleet.until("told once more", |fleet| fleet.numbered(&name(0)) > before || fleet.tried(&bad) > 1);
        assert_eq!(fleet.tried(&bad), 1, "another was told");
    }
    fleet.end();
}

/// Who is in reach and never well has had its time.
#[test]
fn who_is_not_well_in_time_stops_the_roll_out() {
    let (mut fleet, _) = begun(3, WAVES);
    fleet.repository.fleet("", "{waves: [{count: 1}], soak: 0s, progressDeadline: 1s}");
    fleet.silent.insert(name(0));
    let second = fleet.repository.push("second");
    fleet.until("stopped", |fleet| fleet.rollouts().commit == second && state(fleet) == Some(RolloutState::Stopped));
    assert_eq!(fleet.tried(&second), 0);
    fleet.end();
}
