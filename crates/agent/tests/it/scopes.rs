//! A source whose units are of many scopes, and of which people say what they want to go: a cluster's.

use crate::rig::{Rig, containers};
use abide_agent::api::{Request, SourceStatus, UnitStatus, Verdict};

const URL: &str = "/srv/cluster.git";

/// `web` of each scope.
fn webs(all: &[(&str, &str)]) -> String {
    all.iter().map(|(scope, image)| format!("#scope {scope}\n{}", containers(&[("web", image)]))).collect()
}

fn unit<'a>(units: &'a [UnitStatus], scope: &str) -> &'a UnitStatus {
    units.iter().find(|unit| unit.scope == scope).unwrap()
}

#[test]
fn verdicts_of_all_scopes_are_remembered() {
    let mut rig = Rig::started();
    rig.follow("node", URL);
    rig.settle("node", URL, &webs(&[("blog", "web:1"), ("shop", "web:1")]));
    let quiet = webs(&[("blog", "web:1"), ("shop", "web:2")])
        .replace("image: \"web:2\"", "readiness: {tcp: {port: 1}, startPeriod: 1s}, image: \"web:2\"");
    let outcome = rig.push("node", URL, &quiet);
    assert_eq!(outcome.result, Verdict::Failed);
    assert!(outcome.message.starts_with("partly in force: shop:Container/web taken back"), "{}", outcome.message);
    rig.stop();
    rig.start();
    let snapshot = rig.until("taken back", |snapshot| snapshot.sources[0].taken_back == ["shop:Container/web"]);
    assert!(unit(&snapshot.units, "shop").message.contains("did not become ready in time"));
    assert!(snapshot.units.iter().all(|unit| unit.source == "node"));
    rig.done(Request::Retry { unit: "shop:Container/web".to_owned() });
    rig.until("tried again", |snapshot| snapshot.sources[0].taken_back.is_empty());
    rig.until("taken back", |snapshot| snapshot.sources[0].taken_back == ["shop:Container/web"]);
    // What is gone is forgotten, also by the journal.
    rig.settle("node", URL, &webs(&[("blog", "web:1")]));
    rig.stop();
    rig.start();
    assert_eq!(rig.get().units.len(), 1);
}

#[test]
fn two_sources_never_wish_one_unit() {
    let rig = Rig::started();
    rig.follow("shop", "/srv/shop.git");
    rig.settle("shop", "/srv/shop.git", &containers(&[("web", "web:1")]));
    rig.follow("node", URL);
    let outcome = rig.push("node", URL, &webs(&[("blog", "web:1"), ("shop", "web:2")]));
    assert_eq!(outcome.result, Verdict::Refused);
    assert!(outcome.message.contains("shop:Container/web is wished by source shop too"), "{}", outcome.message);
    rig.settle("node", URL, &webs(&[("blog", "web:1")]));
    // The other gives it up, and what runs is taken over as it is.
    rig.done(Request::SourceRemove { name: "shop".to_owned() });
    rig.settle("node", URL, &webs(&[("blog", "web:1"), ("shop", "web:1")]));
    assert_eq!((rig.world.starts("Container/web"), rig.get().units.len()), (2, 2));
}

#[test]
fn what_somebody_said_is_to_go_goes_also_over_a_restart() {
    let mut rig = Rig::started();
    rig.follow("node", URL);
    rig.settle("node", URL, &webs(&[("blog", "web:1"), ("shop", "web:1")]));
    let asks = |source: &SourceStatus| source.state == "held";
    // Nobody said so: it is asked.
    assert_eq!(rig.push("node", URL, "---\n").result, Verdict::Refused);
    assert!(asks(&rig.get().sources[0]));
    rig.repositories.push(URL, "#scope blog\n#confirms Container/web\n#scope shop\n#confirms Container/web\n");
    rig.until("going", |snapshot| !asks(&snapshot.sources[0]));
    rig.stop();
    rig.start();
    let snapshot = rig.until("gone", |snapshot| snapshot.units.is_empty());
    assert!(!asks(&snapshot.sources[0]), "{:?}", snapshot.sources[0]);
}
