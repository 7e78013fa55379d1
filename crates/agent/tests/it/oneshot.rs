//! What is done and decided while no agent runs.

use crate::rig::{Rig, containers, outcome, preview, refusal, snapshot, spec};
use abide_agent::{
    Hold, HoldError, Mode,
    api::{Reply, Request, Verdict},
};

const FOLDER: &str = "/srv/app";

fn apply(rig: &Rig, yaml: &str) -> Request {
    rig.repositories.push(FOLDER, yaml);
    Request::Apply { source: "app".to_owned(), path: FOLDER.to_owned(), spec: Box::new(spec(FOLDER)) }
}

#[test]
fn a_folder_is_applied_once_and_taken_up_by_the_next_agent() {
    let mut rig = Rig::new();
    let request = apply(&rig, &containers(&[("web", "web:1")]));
    let replies = rig.ask_alone(Mode::Act, request);
    assert_eq!(outcome(&replies).result, Verdict::Settled, "{replies:?}");
    assert_eq!(rig.world.live().len(), 1);
    rig.start();
    rig.until("settled", |snapshot| snapshot.settled);
    assert_eq!(rig.world.starts("Container/web"), 1);
    // Applied again, by the agent: nothing differs.
    let request = apply(&rig, &containers(&[("web", "web:1")]));
    assert_eq!(rig.outcome(request).result, Verdict::Settled);
    assert_eq!(rig.world.starts("Container/web"), 1);
    let request = apply(&rig, "kind: Nothing\n");
    assert_eq!(rig.outcome(request).result, Verdict::Refused);
    assert_eq!(rig.world.live().len(), 1);
    let unknown = Request::Follow { source: None, commit: "abcdef".to_owned() };
    assert!(rig.refused(unknown).contains("`abide apply` commits folders"));
}

#[test]
fn decisions_are_written_and_nothing_is_ordered() {
    let mut rig = Rig::new();
    rig.repositories.push("/srv/infra.git", &containers(&[("web", "web:1")]));
    let add = Request::SourceAdd { name: "infra".to_owned(), spec: Box::new(spec("/srv/infra.git")) };
    assert!(matches!(&rig.ask_alone(Mode::Act, add)[..], [Reply::Done { .. }]));
    assert!(rig.world.live().is_empty());
    rig.start();
    rig.until("settled", |snapshot| snapshot.settled && snapshot.units.len() == 1);
    rig.stop();
    rig.world.exit("Container/web", 1);
    let suspend = Request::SourceSuspend { name: "infra".to_owned() };
    assert!(matches!(&rig.ask_alone(Mode::Act, suspend)[..], [Reply::Done { .. }]));
    assert_eq!(rig.world.starts("Container/web"), 1, "what exited stays so");
    let replies = rig.ask_alone(Mode::Act, Request::Down);
    assert_eq!(outcome(&replies).result, Verdict::Settled, "{replies:?}");
    assert!(rig.world.live().is_empty());
}

#[test]
fn a_look_changes_nothing() {
    let mut rig = Rig::started();
    rig.follow("infra", "/srv/infra.git");
    rig.settle("infra", "/srv/infra.git", &containers(&[("web", "web:1")]));
    rig.stop();
    rig.world.exit("Container/web", 3);
    let journal = rig.path("state/sources/infra/journal");
    // A torn tail is left to who may write.
    let mut torn = std::fs::read(&journal).unwrap();
    torn.extend([7, 0, 0, 0, 1, 2]);
    std::fs::write(&journal, &torn).unwrap();
    let epoch = std::fs::read(rig.path("state/epoch")).unwrap();
    let shown = snapshot(&rig.ask_alone(Mode::LookOnly, Request::Get));
    assert_eq!((shown.sources[0].state.as_str(), shown.units[0].instances[0].exit_code), ("following", Some(3)));
    let replies = rig.ask_alone(Mode::LookOnly, preview("infra", &containers(&[("web", "web:2")])));
    let [Reply::Preview(found)] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(found.changes[0].fields[0].path, "spec.image");
    assert!(refusal(&rig.ask_alone(Mode::LookOnly, Request::Down)).contains("only a look"));
    assert_eq!(rig.world.starts("Container/web"), 1);
    assert_eq!(std::fs::read(&journal).unwrap(), torn);
    assert_eq!(std::fs::read(rig.path("state/epoch")).unwrap(), epoch);
}

#[test]
fn there_is_one_agent_a_root() {
    let rig = Rig::started();
    assert!(matches!(Hold::take(&rig.path("state")), Err(HoldError::Held(_))));
}
