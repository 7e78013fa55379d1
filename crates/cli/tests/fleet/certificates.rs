//! Certificates that last seconds: who is there renews in time, who was away within the grace, and later a person does.

use crate::{hub::Hub, machine::Machine};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// As short as they may be.
const LIFETIME: &str = "10s";

#[test]
fn certificates_are_renewed_and_who_was_away_is_let_in_within_the_grace() {
    let mut hub = Hub::made("127.0.0.1", &["--certificate-lifetime", LIFETIME]);
    hub.repository.write("fleet.yaml", &(crate::hub::fleet(&hub.id, "") + &crate::hub::rollout("soak: 1s")));
    let first = hub.repository.land("the fleet");
    hub.start();
    let shown = fs::read(server(&hub)).unwrap();
    let mut machines = Machine::several(&hub, 2);
    machines.iter().for_each(|machine| drop(machine.is_on(&first)));
    let pids: Vec<i32> = machines.iter().map(Machine::pid).collect();
    let enrolled = identity(&machines[0]);

    // Nobody looks, and it goes on: another key each time.
    machines[0].until("it renews by itself", || (identity(&machines[0])["key"] != enrolled["key"]).then_some(()));

    // One is away while its certificate expires.
    machines[1].stop();
    let old = identity(&machines[1]);
    hub.rig.until("it has expired", || is_over(&old).then_some(()));
    machines[1].start();
    machines[1].until("it renews after it", || (identity(&machines[1])["key"] != old["key"]).then_some(()));
    hub.repository.write("base/web.yaml", &crate::hub::web("two"));
    let second = hub.repository.land("two");
    machines.iter().for_each(|machine| drop(machine.is_on(&second)));

    // The hub's own lasts as long as three of theirs, and all this time one process has served.
    hub.rig.until("the hub renews its own", || (fs::read(server(&hub)).unwrap() != shown).then_some(()));
    machines.iter().for_each(|machine| drop(machine.source_is("following")));

    // Without grace a person is asked, and what runs, runs on.
    let pid = machines[1].pid();
    assert_ne!(pid, pids[1]);
    machines[1].stop();
    hub.stop();
    hub.says(&["--certificate-lifetime", "1h", "--certificate-grace", "0s"]);
    hub.start();
    let old = identity(&machines[1]);
    hub.rig.until("it has expired", || is_over(&old).then_some(()));
    machines[1].start();
    let why = machines[1].source_is("unreachable");
    assert!(why.contains("expired") && why.contains("abide enroll --again"), "{why}");
    assert_eq!(machines[1].pid(), pid);
    hub.rig.must(&["hub", "machine", "revoke", "till-2"]);
    machines[1].must(&["enroll", &hub.url(), "--token", &hub.token(1), "--name", "till-2", "--again"]);
    hub.repository.write("base/web.yaml", &crate::hub::web("three"));
    let third = hub.repository.land("three");
    machines.iter().for_each(|machine| drop(machine.is_on(&third)));
    machines.into_iter().for_each(Machine::end);
}

/// Where the hub's own certificate is.
fn server(hub: &Hub) -> PathBuf {
    hub.rig.root().join("state/hub/server.pem")
}

/// What a machine keeps of who it is.
fn identity(machine: &Machine) -> Value {
    let path: &Path = &machine.root().join("state/sources/fleet/identity/identity.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn is_over(identity: &Value) -> bool {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    now > identity["expiresAt"].as_u64().unwrap()
}
