use super::*;
use abide_agent::api::{Held, UnitStatus};
use abide_reconcile::{Complete, Name, Want, spec};
use std::sync::Arc;

const TARGET: &str = "2222222222222222222222222222222222222222";
const OLD: &str = "1111111111111111111111111111111111111111";

fn unit(name: &str) -> UnitId {
    UnitId {
        scope: "fleet".parse().unwrap(),
        kind: spec::Kind::Container,
        name: name.parse::<Name>().unwrap(),
        index: 0,
    }
}

fn version(n: u8) -> Digest {
    Digest::of(&[n])
}

/// A unit of version 2, as the target has it.
fn report(state: &str, ready: bool) -> UnitReport {
    let status = UnitStatus {
        source: "fleet".to_owned(),
        scope: "fleet".to_owned(),
        kind: "Container".to_owned(),
        name: "web".to_owned(),
        index: 0,
        state: state.to_owned(),
        ready,
        waiting: None,
        message: format!("it is {state}"),
        restarts: 0,
        addresses: Vec::new(),
        instances: Vec::new(),
    };
    UnitReport { status, wanted: Some(version(2)), serves_wanted: ready, taken_back: false }
}

/// A machine whose target is in force, and all is well.
fn well() -> Standing {
    let target = Target { number: 7, commit: TARGET.parse().unwrap(), tag: None, rotations: Vec::new(), spread: 4 };
    Standing {
        target: Some(target),
        taking: Taking::Taken([unit("db"), unit("web")].map(|unit| (unit, version(2))).into()),
        source: Some(SourceReport {
            told: Some(TARGET.to_owned()),
            in_force: Some(TARGET.to_owned()),
            state: SourceState::Following,
            message: String::new(),
            held: None,
        }),
        units: [unit("db"), unit("web")].map(|unit| (unit, report("settled", true))).into(),
    }
}

fn source(change: impl FnOnce(&mut SourceReport)) -> Standing {
    let mut standing = well();
    change(standing.source.as_mut().unwrap());
    standing
}

fn web(change: impl FnOnce(&mut UnitReport)) -> Standing {
    let mut standing = well();
    change(standing.units.get_mut(&unit("web")).unwrap());
    standing
}

#[test]
fn the_table() {
    let held = || Some(Held { plan: "p".to_owned(), why: "many go".to_owned(), removals: Vec::new() });
    let table: Vec<(&str, Standing)> = vec![
        ("all is well", well()),
        (
            "nothing is wished, and nothing is there",
            Standing { taking: Taking::Taken(BTreeMap::new()), units: BTreeMap::new(), ..well() },
        ),
        ("the hub was away", source(|source| source.state = SourceState::Unreachable)),
        ("no target", Standing { target: None, ..well() }),
        ("objects come", Standing { taking: Taking::UnderWay, ..well() }),
        ("objects don't come", Standing { taking: Taking::Interrupted("the hub lacks it".to_owned()), ..well() }),
        ("a fork", Standing { taking: Taking::Refused("it doesn't descend".to_owned()), ..well() }),
        ("the agent was not told", source(|source| source.told = Some(OLD.to_owned()))),
        (
            "a person went back",
            source(|source| {
                source.told = Some(OLD.to_owned());
                source.in_force = Some(OLD.to_owned());
                source.message = "rolled back".to_owned();
            }),
        ),
        (
            "broken for this machine",
            source(|source| {
                source.state = SourceState::Refused;
                source.message = "web.yaml:1:1: what is that".to_owned();
            }),
        ),
        (
            "the guard asks",
            source(|source| {
                source.state = SourceState::Held;
                source.message = "abide allow p".to_owned();
                source.held = held();
            }),
        ),
        (
            "the disk is full",
            source(|source| {
                source.state = SourceState::Held;
                source.message = "the journal can't be written".to_owned();
            }),
        ),
        (
            "suspended",
            source(|source| {
                source.state = SourceState::Suspended;
                source.message = "new commits wait".to_owned();
            }),
        ),
        (
            "suspended at a fork",
            Standing {
                taking: Taking::Refused("it doesn't descend".to_owned()),
                ..source(|source| source.state = SourceState::Suspended)
            },
        ),
        ("given up", source(|source| source.state = SourceState::Withdrawn)),
        ("accepted, and not in force", source(|source| source.in_force = Some(OLD.to_owned()))),
        ("a unit's last report is of the old version", web(|web| web.wanted = Some(version(1)))),
        (
            "a unit's failure is the old version's",
            web(|web| {
                *web = report("failed", false);
                web.wanted = Some(version(1));
            }),
        ),
        ("a unit was never reported", Standing { units: [(unit("db"), report("settled", true))].into(), ..well() }),
        ("a unit has yet to go", {
            let mut standing = well();
            standing.units.insert(unit("old"), UnitReport { wanted: None, ..report("changing", false) });
            standing
        }),
        ("a unit starts", web(|web| *web = report("changing", false))),
        (
            "a unit waits",
            web(|web| {
                *web = report("waiting", false);
                web.status.waiting = Some("waits for db".to_owned());
            }),
        ),
        ("a unit serves, and has yet to prove itself", web(|web| *web = report("changing", true))),
        ("a unit was given up", web(|web| *web = report("failed", false))),
        (
            "a unit was taken back",
            web(|web| {
                *web = report("settled", true);
                web.taken_back = true;
            }),
        ),
    ];
    let said: Vec<String> = table
        .iter()
        .map(|(what, standing)| {
            let said = said(standing);
            format!("{what}: {:?} {}", said.state, said.message)
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn it_counts_units_and_names_the_worst() {
    let mut standing = well();
    for n in 0..30 {
        standing.units.insert(unit(&format!("a{n}")), report("waiting", false));
    }
    standing.units.insert(unit("zoo"), report("failed", false));
    let said = said(&standing);
    assert_eq!(said.units, [("failed", 1), ("settled", 2), ("waiting", 30)].map(|(k, n)| (k.to_owned(), n)).into());
    assert_eq!((said.troubles.len(), said.troubles[0].unit.as_str()), (20, "Container/zoo"));
    assert_eq!(said.in_force, Some(TARGET.parse().unwrap()));
}

#[test]
fn texts_are_lines_and_bounded() {
    let standing = web(|web| {
        *web = report("failed", false);
        web.status.message = "a\nb\u{1b}[31m".to_owned() + &"é".repeat(1000);
    });
    let said = said(&standing);
    assert!(said.message.starts_with("Container/web: a b [31m"), "{}", said.message);
    assert_eq!(said.message.chars().count(), 300);
}

#[test]
fn what_was_taken_is_what_the_agent_is_told() {
    let revision = |wish| Revision { commit: TARGET.to_owned(), summary: String::new(), wish, files: BTreeMap::new() };
    assert_eq!(Taking::taken(&revision(Wish::Refused("why".into()))), Taking::Refused("why".to_owned()));
    let volume = spec::Unit {
        id: UnitId { kind: spec::Kind::Volume, ..unit("data") },
        spec: spec::UnitSpec::Volume(Default::default()),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        config_maps: BTreeMap::new(),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        insecure_registries: Vec::new(),
    };
    let want = Arc::new(Want::new(Arc::new(volume)));
    let complete = Complete::new([Arc::clone(&want)]).unwrap();
    let taken = Taking::taken(&revision(Wish::Complete(Arc::new(complete))));
    assert_eq!(taken, Taking::Taken([(want.unit.id.clone(), want.digest)].into()));
}
