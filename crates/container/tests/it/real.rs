//! Real software out of Debian's packages, pulled from a real registry.

use crate::rig::{PATIENCE, Rig, Running};
use abide_host::keeper::Client;
use abide_instance::Runtime as _;
use abide_lab::{Registry, debian, host_port, http};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Waits for what happens soon in another process.
fn until<T>(running: &Running<'_>, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Some(answer) => return answer,
            None => assert!(start.elapsed() < PATIENCE, "it did not come true: {:#?}", running.printed()),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nginx_serves() {
    let (rig, registry, port) = (Rig::new(), Registry::start("", |_| {}), host_port());
    let image = debian::nginx(&registry);
    let fields = format!(
        "image: {image}
hostNetwork: true
readOnlyRoot: true
volumes:
- {{configMap: server, mountPath: /etc/nginx/server}}
- {{tmpfs: 8Mi, mountPath: /var/lib/nginx}}
- {{tmpfs: 1Mi, mountPath: /run}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: server}}
data: {{\"one.conf\": \"server {{ listen {}; root /srv; }}\"}}",
        port.number
    );
    let (fields, documents) = fields.split_once("\n---\n").unwrap();
    let running = rig.start(rig.unit(fields, documents)).unwrap_or_else(|fault| panic!("{fault}"));
    let at = ([127, 0, 0, 1], port.number).into();
    let answer = until(&running, || http::get(at, "/").ok());
    assert_eq!((answer.status, answer.body.as_str()), (200, "as Debian packages it\n"));
    rig.containers.ask_to_stop(&running.place, &running.unit).unwrap();
    assert_eq!(running.wait(), 0, "{:#?}", running.printed());
    assert!(running.printed().iter().any(|line| line.contains("GET / ")), "{:#?}", running.printed());
}

#[test]
fn postgresql_keeps_its_data_over_a_kill_an_update_and_a_reboot() {
    let (mut rig, registry) = (Rig::new(), Registry::start("", |_| {}));
    let image = debian::postgresql(&registry);
    let documents = "apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {name: data}";
    let unit = |rig: &Rig, fields: &str| {
        let volumes = "volumes: [{volume: data, mountPath: /var/lib/postgresql}]";
        rig.unit(&format!("image: {image}\n{volumes}\n{fields}"), documents)
    };
    let ask = |running: &Running<'_>, query: &str| {
        until(running, || {
            let said = running.exec(&["psql", "-h", "/tmp", "-U", "postgres", "-d", "postgres", "-tAc", query]);
            (!said.contains("connection to server")).then_some(said)
        })
    };
    {
        let running = rig.start(unit(&rig, "")).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(ask(&running, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)"), "CREATE TABLE\nINSERT 0 1\n");
        Client::connect(&running.place.dir).unwrap().signal(libc::SIGKILL).unwrap();
        assert_eq!(running.wait(), 128 + libc::SIGKILL);
    }
    {
        let running = rig.start(unit(&rig, "args: [-c, work_mem=5MB]")).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(ask(&running, "SHOW work_mem; INSERT INTO t VALUES (2)"), "5MB\nINSERT 0 1\n");
        rig.containers.ask_to_stop(&running.place, &running.unit).unwrap();
        assert_eq!(running.wait(), 0, "{:#?}", running.printed());
    }
    fs::remove_dir_all(rig.paths.units()).unwrap();
    drop(registry);
    rig = rig.again();
    let running = rig.start(unit(&rig, "")).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(ask(&running, "SELECT sum(n) FROM t"), "3\n");
}
