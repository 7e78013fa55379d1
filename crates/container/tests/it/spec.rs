//! Every field of a container's spec, by what it does inside.

use crate::rig::Rig;
use abide_instance::{Link, Runtime as _};
use abide_lab::oci::{Config, Files};
use std::fs;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_the_image_says_goes_unless_the_spec_says_more() {
    let rig = Rig::new();
    let config = Config {
        entrypoint: words("/bin/sh -c"),
        command: vec!["pwd; id -u; echo $A $B $HOME $PATH".to_owned()],
        environment: words("A=1 B=2 NOTHING"),
        user: "web".to_owned(),
        working_dir: "/srv/made".to_owned(),
        ..Config::default()
    };
    let image = rig.image_with(Files::new(), &config);
    let run = |fields: &str| rig.run(rig.unit(&format!("image: {image}\n{fields}"), ""));
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(run(""), (0, vec!["/srv/made".to_owned(), "33".to_owned(), format!("1 2 /srv/web {path}")]));
    let fields = "args: ['pwd; id -u; echo $B']\nenv: {B: {value: 3}}\nuser: '7:8'\nworkingDir: /tmp";
    assert_eq!(run(fields), (0, words("/tmp 7 3")));
    assert_eq!(run("command: [/bin/sh, -c, exit 3]"), (3, vec![]));
}

#[test]
fn users_and_their_groups() {
    let rig = Rig::new();
    rig.check("id -u; id -g; id -G; echo $HOME", "user: web", &["33", "34", "34 44", "/srv/web"]);
    rig.check("id -u; id -g; id -G; echo $HOME", "user: '1000:1001'", &["1000", "1001", "1001", "/"]);
    // Standard streams can be opened anew, and ports below 1024 are for all.
    rig.check("echo x > /dev/stdout; cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "user: web", &["x", "0"]);
}

#[test]
fn variables_and_files_of_config_maps_and_secrets() {
    let rig = Rig::new();
    let fields = "user: web
env: {MODE: {configMap: settings, key: mode}, PASSWORD: {secret: db, key: password}}
volumes: [{configMap: settings, mountPath: /etc/web}, {secret: db, mountPath: /run/db}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: fast, other: \"1\"}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: hush}";
    let script = "echo $MODE $PASSWORD; cat /etc/web/mode; echo; cat /run/db/password; echo; ls /etc/web
        grep -c ' /run/db tmpfs ro,nosuid,nodev,noexec' /proc/mounts; touch /etc/web/x 2>/dev/null || echo ro";
    rig.check(script, fields, &["fast hush", "fast", "hush", "mode", "other", "1", "ro"]);
}

#[test]
fn a_read_only_root_and_memory_to_write_to() {
    let rig = Rig::new();
    let fields = "user: web\nreadOnlyRoot: true\nvolumes: [{tmpfs: 1Mi, mountPath: /new/cache}]";
    let script = "touch /tmp/x 2>/dev/null || echo ro; touch /new/cache/x && chmod 700 /new/cache && echo rw
        dd if=/dev/zero of=/new/cache/y bs=1M count=2 2>/dev/null || echo full; touch /dev/shm/x && echo shm";
    rig.check(script, fields, &["ro", "rw", "full", "shm"]);
    rig.check("touch /x && echo rw", "", &["rw"]);
}

#[test]
fn volumes_keep_their_data_and_are_new_users_own() {
    let rig = Rig::new();
    let fields = |more: &str| {
        format!(
            "user: web\nvolumes: [{{volume: data, mountPath: /link/data{more}}}]
---
apiVersion: abide.dev/v1alpha1
kind: Volume
metadata: {{name: data}}"
        )
    };
    let image = rig.image_with(Files::new().link("link", "/srv").folder("srv", 0o755), &Config::default());
    let fields = |more| format!("image: {image}\n{}", fields(more));
    rig.check("echo kept > /srv/data/file; stat -c %u:%g /srv/data", &fields(""), &["33:34"]);
    rig.check("cat /srv/data/file; echo x > /srv/data/file", &fields(""), &["kept"]);
    let script = "cat /srv/data/file; touch /srv/data/more 2>/dev/null || echo ro";
    rig.check(script, &fields(", readOnly: true"), &["x", "ro"]);
    // Somebody else's data stays somebody else's.
    rig.check("stat -c %u /srv/data", &fields("").replace("web", "'5'"), &["33"]);
    assert_eq!(fs::read_to_string(rig.paths.state.join("volumes/test_data/data/file")).unwrap(), "x\n");
}

#[test]
fn folders_and_files_of_the_host() {
    let rig = Rig::new();
    let data = rig.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "of the host\n").unwrap();
    let data = data.to_str().unwrap();
    let fields = format!(
        "volumes:
- {{hostPath: {data}, mountPath: /data}}
- {{hostPath: {data}, mountPath: /data/again, readOnly: true}}
- {{hostPath: {data}/file, mountPath: /etc/one/file}}"
    );
    let script = "cat /data/file /etc/one/file; echo more > /data/new; touch /data/again/x 2>/dev/null || echo ro
        grep -c ' /data .*nosuid,nodev' /proc/mounts";
    rig.check(script, &fields, &["of the host", "of the host", "ro", "1"]);
    assert_eq!(fs::read_to_string(rig.path("data/new")).unwrap(), "more\n");
}

#[test]
fn names_and_addresses() {
    let rig = Rig::new();
    let script =
        "hostname; cat /etc/hostname; tail -n 1 /etc/hosts; ls /sys/class/net; touch /etc/hosts 2>/dev/null || echo ro";
    rig.check(script, "", &["web", "web", "10.9.8.7\tweb", "lo", "ro"]);
}

#[test]
fn the_hosts_network_is_the_hosts() {
    let rig = Rig::new();
    let unit = rig.script("readlink /proc/self/ns/net; tail -n 1 /etc/hosts", "hostNetwork: true");
    let (_, printed) = rig.run(unit.clone());
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(printed, [own.to_str().unwrap(), "127.0.0.1\tweb"]);
    let running = rig.start(rig.script("sleep 100", "")).unwrap();
    let link = |unit| rig.containers.launch(&rig.place(unit), unit).unwrap().link;
    assert!(matches!(link(&running.unit), Link::Veth));
    assert!(matches!(link(&unit), Link::None));
}

#[test]
fn resources() {
    let rig = Rig::new();
    // Both of the shell's children would be needed.
    let (code, printed) = rig.run(rig.script("(sleep 1 & sleep 1) && echo both", "resources: {pids: 2}"));
    assert_eq!((code != 0, printed.iter().any(|line| line == "both")), (true, false), "{printed:?}");
}
