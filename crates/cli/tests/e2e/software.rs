//! Real software out of Debian's packages, pulled from a real registry.

use crate::{started, support::local};
use abide_lab::{Registry, Repository, Rig, debian, host_port, http::get, run};

/// A repository that may pull from this registry.
fn granted(rig: &Rig, registry: &Registry) -> Repository {
    let repository = rig.repository("infra");
    rig.grant(&repository, "infra", &format!("insecureRegistries: [\"{}\"]", registry.address));
    repository
}

/// nginx with a read-only root, whose settings and page are of the repository.
fn nginx(image: &str, port: u16, page: &str) -> String {
    format!(
        "apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {{name: nginx}}
spec:
  image: {image}
  readOnlyRoot: true
  ports: [{{port: 80, hostPort: {port}}}]
  volumes:
  - {{configMap: server, mountPath: /etc/nginx/server, readOnly: true}}
  - {{configMap: pages, mountPath: /srv, readOnly: true}}
  - {{tmpfs: 8Mi, mountPath: /var/lib/nginx}}
  - {{tmpfs: 1Mi, mountPath: /run}}
  readiness: {{http: {{port: 80, path: /}}, interval: 1s}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: server}}
data: {{one.conf: \"server {{ listen 80; root /srv; }}\"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: pages}}
data: {{index.html: {page}}}
"
    )
}

#[test]
fn nginx_serves() {
    let (rig, registry, port) = (started(), Registry::start("", |_| {}), host_port());
    let (image, repository) = (debian::nginx(&registry), granted(&rig, &registry));
    for page in ["first", "second"] {
        repository.write("nginx.yaml", &nginx(&image, port.number, page));
        repository.deploy(page);
        let answer = get(local(port.number), "/").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, page));
    }
    let printed = rig.must(&["logs", "nginx"]);
    assert!(printed.contains("GET / "), "{printed}");
    rig.end();
}

/// PostgreSQL with its data in a volume, and this setting.
fn postgresql(image: &str, memory: &str) -> String {
    format!(
        "apiVersion: abide.dev/v1alpha1
kind: Volume
metadata: {{name: data}}
---
apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {{name: database}}
spec:
  image: {image}
  args: [-c, work_mem={memory}]
  volumes: [{{volume: data, mountPath: /var/lib/postgresql}}]
  readiness: {{exec: {{command: [psql, -h, /tmp, -c, SELECT]}}, interval: 1s, startPeriod: 60s}}
"
    )
}

/// Waits until a new instance is ready.
fn again(rig: &Rig, old: &str) {
    let is_new = |instance: &abide_lab::rig::Instance| instance.id != old;
    rig.wait("another instance is ready", |now| {
        now.settled && now.unit("Container/database").active().is_some_and(is_new)
    });
}

#[test]
fn postgresql_keeps_its_data_over_a_kill_an_update_and_a_reboot() {
    let (mut rig, registry) = (started(), Registry::start("", |_| {}));
    let (image, repository) = (debian::postgresql(&registry), granted(&rig, &registry));
    let ask = |rig: &Rig, query: &str| {
        rig.must(&["exec", "database", "--", "psql", "-h", "/tmp", "-d", "postgres", "-qtAc", query])
    };
    repository.write("database.yaml", &postgresql(&image, "4MB"));
    repository.deploy("a database");
    ask(&rig, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");

    let first = rig.settled().unit("Container/database").instance().clone();
    run("kill", &["-KILL", &first.pid.unwrap().to_string()]);
    again(&rig, &first.id);
    assert_eq!(ask(&rig, "INSERT INTO t VALUES (2); SELECT sum(n) FROM t"), "3\n");

    repository.write("database.yaml", &postgresql(&image, "5MB"));
    repository.deploy("more memory");
    assert_eq!(ask(&rig, "SHOW work_mem"), "5MB\n");
    ask(&rig, "INSERT INTO t VALUES (3)");
    let updated = rig.settled().unit("Container/database").instance().clone();

    // Images are there already, and what is durable is on the disk.
    drop(registry);
    rig.reboot();
    rig.start();
    again(&rig, &updated.id);
    assert_eq!(ask(&rig, "SHOW work_mem; SELECT sum(n) FROM t"), "5MB\n6\n");
    rig.end();
}
