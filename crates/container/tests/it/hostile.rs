//! Images whose author wants out.

use crate::{image, rig::Rig};
use abide_lab::oci::{Config, Files};
use abide_reconcile::Fault;
use std::fs;

fn never(fault: &Fault) -> &str {
    match fault {
        Fault::Never(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn users_files_are_the_images() {
    let rig = Rig::new();
    let users = Files::new().link("etc/passwd", "../../../../../../../../etc/passwd");
    let image = rig.image_with(users, &Config { user: "daemon".to_owned(), ..Config::default() });
    let fault = rig.refused(rig.script("id", &format!("image: {image}")));
    assert!(never(&fault).contains("passwd"), "{fault}");

    let inside = Files::new().link("etc/passwd", "/users").file("users", 0o644, b"me:x:77:78::/:\n");
    let image = rig.image_with(inside, &Config { user: "me".to_owned(), ..Config::default() });
    rig.check("id -u", &format!("image: {image}"), &["77"]);

    for user in ["nobody-there", "4294967296", "-1", "web:"] {
        let image = rig.image_with(Files::new(), &Config { user: user.to_owned(), ..Config::default() });
        never(&rig.refused(rig.script("id", &format!("image: {image}"))));
    }
}

#[test]
fn links_in_place_of_the_kernels_folders_are_refused() {
    let rig = Rig::new();
    for name in ["proc", "sys", "dev"] {
        let image = rig.image_with(Files::new().link(name, "/etc"), &Config::default());
        let fault = rig.refused(rig.script("id", &format!("image: {image}")));
        assert!(never(&fault).contains(&format!("/{name}")), "{fault}");
    }
}

#[test]
fn descriptors_are_no_working_directories() {
    let rig = Rig::new();
    for number in 3..20 {
        let working_dir = format!("/proc/self/fd/{number}");
        let image = rig.image_with(Files::new(), &Config { working_dir, ..Config::default() });
        rig.refused(rig.script("pwd", &format!("image: {image}")));
    }
    rig.check("ls /proc/self/fd", "", &["0", "1", "2", "3"]);
}

#[test]
fn nothing_is_made_or_mounted_outside() {
    let rig = Rig::new();
    let canary = rig.path("canary");
    fs::create_dir(&canary).unwrap();
    let path = canary.to_str().unwrap();
    let up = format!("../../../../../../../..{path}");
    let files = Files::new()
        .link("absolute", path)
        .link("relative", &up)
        .folder(path.trim_start_matches('/'), 0o755)
        .link("etc/hosts", &format!("{path}/hosts"))
        .link("etc/hostname", &format!("{up}/hostname"))
        .link("etc/resolv.conf", "../run/resolve/stub-resolv.conf");
    let config = Config { working_dir: "/absolute/work".to_owned(), ..Config::default() };
    let image = rig.image_with(files, &config);
    let fields = format!(
        "image: {image}
volumes:
- {{tmpfs: 1Mi, mountPath: /relative/inside}}
- {{hostPath: /etc/passwd, mountPath: /absolute/file}}"
    );
    let script =
        "pwd; cat /etc/hostname; wc -l < /etc/hosts; test -e /etc/resolv.conf && echo resolvers; touch inside out";
    let work = format!("{path}/work");
    rig.check(script, &fields, &[&work, "web", "3", "resolvers"]);
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let rig = Rig::new();
    let cases = [
        (Config { stop_signal: "SIGNOPE".to_owned(), ..Config::default() }, "", "SIGNOPE"),
        (Config { environment: vec!["A=\0".to_owned()], ..Config::default() }, "", "NUL"),
        (Config { working_dir: "/a\0".to_owned(), ..Config::default() }, "", "NUL"),
        (Config::default(), "volumes: [{tmpfs: 1Mi, mountPath: /etc/passwd}]", "/etc/passwd"),
    ];
    for (config, fields, text) in cases {
        let image = rig.image_with(Files::new(), &config);
        let fault = rig.refused(rig.script("id", &format!("image: {image}\n{fields}")));
        assert!(never(&fault).contains(text), "{fault}");
    }
    let fault = rig.refused(rig.unit("command: [nosuch]", ""));
    assert!(never(&fault).contains("no program \"nosuch\""), "{fault}");
    let image = rig.image_with(Files::new(), &Config::default());
    let fault = rig.refused(rig.unit(&format!("image: {image}"), ""));
    assert!(never(&fault).contains("command"), "{fault}");
}

#[test]
fn images_have_many_layers() {
    let rig = Rig::new();
    let mut layers = vec![image::base()];
    layers.extend((1..120).map(|n| Files::new().file(&format!("etc/layers/{n}"), 0o644, b"").layer()));
    let image = rig.image_of(&layers, &Config::default());
    rig.check("ls /etc/layers | wc -l", &format!("image: {image}"), &["119"]);
}
