//! What is elsewhere and is told where: it is given up at the old place before it is told the new one.

use crate::notation::NOW;
use abide_reconcile::{
    Claim, Command, Complete, Event, Kind, Limits, Look, Name, Observed, Owner, Phase, Reconciler, Record, Role, Seen,
    SourceId, Step, Ticket, Time, Unit, UnitId, UnitSpec, Want, Wish,
    spec::{Change, change, unit::Assignment},
};
use std::{collections::BTreeMap, sync::Arc};

const HERE: Phase = Phase::Running { started: Time::ZERO, ready: Some(Time::ZERO), failing: false };

fn unit(to: &str) -> Arc<Unit> {
    let (scope, name) = (Name::new("shop").unwrap(), Name::new("web").unwrap());
    Arc::new(Unit {
        id: UnitId { scope, kind: Kind::Container, name, index: 0 },
        spec: UnitSpec::Assignment(Arc::new(Assignment { to: to.to_owned() })),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        config_maps: BTreeMap::new(),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        insecure_registries: Vec::new(),
    })
}

/// The steps that bring it to `to`, in a world that obeys.
fn steps(to: &str, at: Option<(&str, Phase)>) -> Vec<String> {
    let source = SourceId(Name::new("placement").unwrap());
    let want = |to: &str| Arc::new(Want::new(unit(to)));
    let seen = |to: &str, phase, instance| {
        let seen = Seen { instance, role: Role::Active, phase, want: want(to), attempt: 0 };
        let owner = Some(Owner { source: source.clone(), reclaim: Default::default() });
        Arc::new(Record { instances: vec![Arc::new(seen)], owner, ..Record::default() })
    };
    let mut there = at.map(|(to, phase)| seen(to, phase, Ticket { epoch: 1, n: 1 }));
    let mut core = Reconciler::new(Limits::default(), 2);
    let wish = Wish::Complete(Arc::new(Complete::new([want(to)]).unwrap()));
    core.handle(NOW, Event::Wish { source: source.clone(), generation: 1, wish });
    let mut steps = Vec::new();
    while let Some(command) = core.poll(NOW) {
        match command {
            Command::Observe { ticket, what } => {
                let looked_at = matches!(&what, Look::All) || matches!(&what, Look::Units(units) if !units.is_empty());
                let units = there.clone().filter(|_| looked_at).map(|record| (unit(to).id.clone(), record));
                core.handle(
                    NOW,
                    Event::Seen {
                        ticket,
                        world: Observed { units: units.into_iter().collect(), ..Observed::default() },
                    },
                );
            }
            Command::Accept { ticket, .. } => core.handle(NOW, Event::Accepted { ticket, result: Ok(()) }),
            Command::Run { ticket, unit, step, .. } => {
                match &step {
                    Step::Start { want, .. } => {
                        let UnitSpec::Assignment(assignment) = &want.unit.spec else { panic!("{want:?}") };
                        steps.push(format!("tell {}", assignment.to));
                        there = Some(seen(&assignment.to, HERE, ticket));
                    }
                    Step::Stop { .. } => {
                        steps.push("give up".to_owned());
                        there = None;
                    }
                    Step::Prepare { .. } => {}
                    other => panic!("{other:?}"),
                }
                core.handle(NOW, Event::Done { ticket, unit, result: Ok(()) });
            }
            Command::Cancel(_) => {}
        }
    }
    steps
}

#[test]
fn it_is_told_once_and_stays() {
    assert_eq!(steps("n1", None), ["tell n1"]);
    assert!(steps("n1", Some(("n1", HERE))).is_empty());
    assert!(steps("n1", Some(("n1", Phase::Away { since: Time::ZERO }))).is_empty(), "out of reach is no reason");
}

#[test]
fn it_is_given_up_before_it_goes_on() {
    assert_eq!(steps("n2", Some(("n1", HERE))), ["give up", "tell n2"]);
    assert_eq!(steps("n2", Some(("n1", Phase::Away { since: Time::ZERO }))), ["give up", "tell n2"]);
}

#[test]
fn it_claims_itself_and_is_replaced() {
    let (old, new) = (unit("n1"), unit("n2"));
    assert_eq!(old.kind(), Kind::Container);
    assert!(matches!(change(&old, &new), Change::Replace(fields) if fields.len() == 1 && fields[0].path == "spec.to"));
    assert!(Want::new(old).claims.contains(&Claim::Unit(new.id.clone())));
}
