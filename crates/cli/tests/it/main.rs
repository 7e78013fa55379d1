//! The binary as a user starts it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod hub;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn abide(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_abide")).args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const VOLUME: &str = "apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {name: data}\n";

#[test]
fn validate_says_how_many_units_there_are() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), VOLUME).unwrap();
    let output = abide(folder.path(), &["validate", "."]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "valid: 1 unit\n".to_owned()));
}

#[test]
fn validate_shows_each_mistake_and_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), VOLUME.replace("name:", "nam:")).unwrap();
    let output = abide(folder.path(), &["validate", "a.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    insta::assert_snapshot!(text(&output.stdout), @r"
    a.yaml:3:11: `name` is missing
     3 | metadata: {nam: data}
       |           ^
    a.yaml:3:12: unknown field `nam`; did you mean `name`?
     3 | metadata: {nam: data}
       |            ^^^

    2 mistakes
    ");
}

#[test]
fn who_names_what_holds_no_documents_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir(here.join("empty")).unwrap();
    fs::write(here.join("empty/.hidden.yaml"), VOLUME).unwrap();
    fs::write(here.join("compose.yaml"), "services:\n  web: {image: nginx}\n").unwrap();
    let said = |path: &str| {
        let output = abide(here, &["validate", path]);
        format!("{:?}\n{}{}", output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    insta::assert_snapshot!(said("empty"), @r"
    0
    valid: 0 units
    abide: empty holds no document: no *.yaml and no *.yml, but for hidden ones
    ");
    insta::assert_snapshot!(said("compose.yaml"), @r"
    3
    compose.yaml:1:1: this is a file of Docker Compose: what abide reads has an `apiVersion` and a `kind`; docs/coming-from.md has one rewritten
     1 | services:
       | ^

    1 mistake
    ");
}

#[test]
fn validate_answers_programs() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "kind: Volume\n").unwrap();
    let output = abide(folder.path(), &["validate", ".", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &report["valid"], &report["mistakes"][0]["line"]),
        (Some(3), &false.into(), &1.into())
    );
    let output = abide(folder.path(), &["validate", ".", "-o", "yaml"]);
    assert!(text(&output.stdout).starts_with("valid: false\n"));
}

#[test]
fn a_document_alone_may_name_the_files_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let machine = "apiVersion: abide.dev/v1alpha1\nkind: VirtualMachine\nmetadata: {name: vm}\nspec: {boot: {kernel: {file: vmlinux}}}\n";
    fs::write(folder.path().join("vm.yaml"), machine).unwrap();
    fs::write(folder.path().join("vmlinux"), "ELF").unwrap();
    fs::write(folder.path().join("broken.yaml"), "{").unwrap();
    assert_eq!(abide(folder.path(), &["validate", "vm.yaml"]).status.code(), Some(0));
}

#[test]
fn grants_come_from_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let container = "apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {name: web}\nspec: {image: nginx, hostNetwork: true}\n";
    let source = "apiVersion: abide.dev/v1alpha1\nkind: Source\nmetadata: {name: infra}\nspec: {git: {url: /srv/infra.git}, grants: {hostNetwork: true}}\n";
    fs::create_dir(folder.path().join("infra")).unwrap();
    fs::write(folder.path().join("infra/web.yaml"), container).unwrap();
    fs::write(folder.path().join("source.yaml"), source).unwrap();
    assert_eq!(abide(folder.path(), &["validate", "infra"]).status.code(), Some(3));
    assert_eq!(abide(folder.path(), &["validate", "infra", "--source", "source.yaml"]).status.code(), Some(0));
}

#[test]
fn what_cannot_be_read_is_no_mistake_of_the_author() {
    let folder = tempfile::tempdir().unwrap();
    let output = abide(folder.path(), &["validate", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("abide: can't read nowhere: "));
    assert_eq!(abide(folder.path(), &["validate"]).status.code(), Some(64));
}

/// `ABIDE_UPDATE=1` writes the files of what the agent's and the hub's types are anew; the others are `spec`'s and `operator`'s.
#[test]
fn schema_prints_what_the_repository_has() {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let printed = |args: &[&str]| text(&abide(&schemas, args).stdout);
    if std::env::var_os("ABIDE_UPDATE").is_some() {
        for what in ["status", "machines", "rollouts"] {
            fs::write(schemas.join(format!("{what}.json")), printed(&["schema", &format!("--{what}")])).unwrap();
        }
    }
    let files = [
        (&["schema"][..], "abide.json"),
        (&["schema", "--source"], "source.json"),
        (&["schema", "--fleet"], "fleet.json"),
        (&["schema", "--status"], "status.json"),
        (&["schema", "--machines"], "machines.json"),
        (&["schema", "--rollouts"], "rollouts.json"),
        (&["schema", "--crd"], "crds.yaml"),
    ];
    for (args, name) in files {
        let path = schemas.join(name);
        assert_eq!(printed(args), fs::read_to_string(&path).unwrap(), "{}", path.display());
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[test]
fn a_fleet_is_checked_as_its_machines_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/fleet"), &here.join("shops"));
    let said = |args: &[&str]| {
        let output = abide(here, &[&["validate", "shops"], args].concat());
        format!("{:?}\n{}{}", output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(said(&[]), "0\nvalid: 5 units\n");
    assert_eq!(abide(&here.join("shops"), &["validate", "fleet.yaml"]).stdout, b"valid: 5 units\n");
    assert_eq!(said(&["--machine", "till-1"]), "0\nvalid: 4 units\n");
    assert_eq!(said(&["--machine", "display-3"]), "0\nvalid: 2 units\n");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: plain}\nstringData: {a: b}\n";
    fs::write(here.join("shops/roles/till/plain.yaml"), secret).unwrap();
    assert_eq!(said(&["--machine", "display-3"]), "0\nvalid: 2 units\n", "what others run is no mistake of this one");
    insta::assert_snapshot!(said(&[]), @r"
    3
    roles/till/plain.yaml:3:18: everyone in a fleet can read this: write a Secret of `abide.dev/v1alpha1`, with each value under `spec.data` as `abide encrypt --recipient age1…` prints it for the machines that may open it
     3 | metadata: {name: plain}
       |                  ^^^^^

    1 mistake
    ");
    let file = fs::read_to_string(here.join("shops/fleet.yaml")).unwrap();
    fs::write(here.join("shops/fleet.yaml"), file.replace("paths: [roles/till]", "path: [roles/till]")).unwrap();
    insta::assert_snapshot!(said(&["--machine", "till-1"]), @r"
    3
    fleet.yaml:19:7: `paths` is missing
     19 |     - {labels: {role: till}, path: [roles/till]}
        |       ^
    fleet.yaml:19:30: unknown field `path`; did you mean `paths`?
     19 |     - {labels: {role: till}, path: [roles/till]}
        |                              ^^^^

    2 mistakes
    ");
    fs::write(here.join("shops/fleet.yaml"), file.replace("names: [\"*\"]", "names: [\"till-*\"]")).unwrap();
    insta::assert_snapshot!(said(&["--machine", "hub"]), @r#"
    3
    fleet.yaml:14:5: no rule of `machines` gives a folder to hub
     14 |     - {names: ["till-*"], paths: [base]}
        |     ^

    1 mistake
    "#);
    fs::remove_file(here.join("shops/fleet.yaml")).unwrap();
    insta::assert_snapshot!(said(&["--machine", "till-1"]), @r"
    64
    abide: shops is no fleet's: there is no fleet.yaml in it
    ");
    assert!(said(&["--machine", "Till"]).starts_with("64\n"));
}

/// What is encrypted here, `age` opens; and what is no recipient is refused.
#[test]
fn encrypt_writes_what_age_opens() {
    let folder = tempfile::tempdir().unwrap();
    let age = |program: &str, args: &[&str]| {
        let done = Command::new(program).args(args).current_dir(folder.path()).output();
        done.expect("the package age is installed")
    };
    assert!(age("age-keygen", &["-o", "key"]).status.success());
    let recipient = text(&age("age-keygen", &["-y", "key"]).stdout);
    fs::write(folder.path().join("password"), "hunter2").unwrap();
    let sealed = abide(folder.path(), &["encrypt", "--recipient", recipient.trim(), "password"]);
    assert_eq!(sealed.status.code(), Some(0));
    assert!(text(&sealed.stdout).starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    fs::write(folder.path().join("sealed"), &sealed.stdout).unwrap();
    assert_eq!(text(&age("age", &["-d", "-i", "key", "sealed"]).stdout), "hunter2");
    let refused = abide(folder.path(), &["encrypt", "--recipient", "age1nobody"]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(text(&refused.stderr).contains("it is no recipient of age"), "{}", text(&refused.stderr));
    let missing = abide(folder.path(), &["encrypt", "--recipient", recipient.trim(), "nothing"]);
    assert_eq!((missing.status.code(), text(&missing.stderr).contains("reading nothing")), (Some(1), true));
}
