//! A repository made by `init`, pushed to by Git, with its hooks.

use crate::support::{Place, helper, text, volume};
use abide_git::init::{Init, InitError, Made, init};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

fn make(place: &Place, group: Option<u32>) -> Result<Made, InitError> {
    let program = helper();
    let root = Some(Path::new("/it's a root"));
    init(&place.path("deploy.git"), &Init { branch: "main", group, program: &program, root })
}

fn push(place: &Place, arguments: &[&str]) -> (String, bool) {
    let (output, is_success) = place.try_git("work", &[&["push", "../deploy.git"], arguments].concat());
    let remote = output.lines().filter_map(|line| line.strip_prefix("remote: ")).map(str::trim_end);
    (remote.collect::<Vec<_>>().join("\n"), is_success)
}

#[test]
fn a_push_is_judged_before_it_lands() {
    let place = Place::new();
    assert_eq!(make(&place, None).unwrap(), Made::New);
    place.write("a.yaml", volume("a"));
    let good = place.commit("good");
    assert_eq!(push(&place, &["main"]), ("1 units\nallowed: []".to_owned(), true));

    place.write("a.yaml", "apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {name: a}\nspec: {sise: 1Gi}\n");
    place.commit("bad");
    let (said, is_success) = push(&place, &["main"]);
    assert!(!is_success);
    insta::assert_snapshot!(said, @r"
    a.yaml:4:8: unknown field `sise`; did you mean `size`?
     4 | spec: {sise: 1Gi}
       |        ^^^^
    ");
    assert_eq!(place.git("deploy.git", &["rev-parse", "main"]), good);

    place.git("work", &["reset", "-q", "--hard", &good]);
    place.commit("again");
    assert_eq!(push(&place, &["-o", "allow=1a2b", "main"]).0, "1 units\nallowed: [\"1a2b\"]");
    place.commit("and again");
    let (said, is_success) = push(&place, &["-o", "alow=1a2b", "main"]);
    assert_eq!(
        (said.as_str(), is_success),
        ("the push option \"alow=1a2b\" is not known; there is `-o allow=PLAN`", false)
    );
}

#[test]
fn what_is_not_deployed_is_told() {
    let place = Place::new();
    make(&place, None).unwrap();
    place.write("a.yaml", volume("a"));
    place.commit("good");
    assert!(push(&place, &["main"]).1);
    let told = [
        push(&place, &["main:dev"]),
        push(&place, &["main:refs/tags/v1"]),
        push(&place, &[":dev"]),
        push(&place, &[":main"]),
    ];
    assert!(told.iter().all(|(_, is_success)| *is_success));
    insta::assert_snapshot!(told.map(|(text, _)| text).join("\n"), @r"
    branch dev is stored; only main is deployed
    tag v1 is stored; only main is deployed
    branch dev is deleted; it was never deployed, so nothing changes
    deleting main: nothing is removed here; what runs, runs on until it is pushed again
    ");
    assert!(push(&place, &["-f", "main"]).1);
}

#[test]
fn the_repository_is_fit_to_deploy() {
    let place = Place::new();
    make(&place, None).unwrap();
    let get = |name: &str| place.git("deploy.git", &["config", name]);
    assert_eq!(place.git("deploy.git", &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(place.git("deploy.git", &["rev-parse", "--show-ref-format"]), "files");
    assert_eq!(
        ["receive.advertisePushOptions", "receive.denyDeletes", "receive.fsckObjects"].map(get),
        ["true", "false", "true"]
    );
    assert!(!place.path("deploy.git/hooks/pre-receive.sample").exists());

    assert_eq!(make(&place, None).unwrap(), Made::Again);
    fs::write(place.path("deploy.git/hooks/post-receive"), "#!/bin/sh\necho mine\n").unwrap();
    assert!(matches!(make(&place, None), Err(InitError::ForeignHook(_))));
    let foreign = init(&place.path("work"), &Init { branch: "main", group: None, program: &helper(), root: None });
    assert!(matches!(foreign, Err(InitError::NotEmpty(path)) if text(&path) == text(&place.path("work"))));
}

#[test]
fn a_group_may_push_and_not_change_hooks() {
    let place = Place::new();
    make(&place, Some(65533)).unwrap();
    let of = |name: &str| {
        let meta = fs::metadata(place.path("deploy.git").join(name)).unwrap();
        (meta.gid(), meta.permissions().mode() & 0o7777)
    };
    assert_eq!([of("."), of("objects"), of("refs/heads")], [(65533, 0o3775), (65533, 0o2775), (65533, 0o2775)]);
    assert_eq!(of("hooks").1 & 0o022, 0, "{:o}", of("hooks").1);
    assert_eq!(of("hooks/pre-receive").1, 0o755);
    assert_eq!(of("config").1 & 0o022, 0, "{:o}", of("config").1);
}

#[test]
fn another_user_of_the_group_pushes() {
    let place = Place::new();
    let everyone = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    everyone(&place.path("."));
    // The tests' own program may lie where others can't get.
    let program = place.path("helper");
    fs::copy(helper(), &program).unwrap();
    let make = |group| {
        init(&place.path("deploy.git"), &Init { branch: "main", group, program: &program, root: None }).unwrap()
    };
    // Its owner alone pushed so far, and somebody else has put something there.
    make(None);
    place.write("a.yaml", volume("a"));
    place.commit("good");
    // Its log is what the others' push appends to.
    place.git("work", &["push", "-q", "../deploy.git", "main"]);
    let secret = place.path("secret");
    fs::write(&secret, "").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&secret, place.path("deploy.git/logs/refs/heads/link")).unwrap();
    fs::hard_link(&secret, place.path("deploy.git/logs/refs/heads/hard")).unwrap();
    make(Some(65533));
    let secret = fs::metadata(&secret).unwrap();
    assert_eq!((secret.gid(), secret.permissions().mode() & 0o777), (0, 0o600));
    place.write("a.yaml", volume("b"));
    place.commit("better");
    // Git itself wants to be told that a repository of another owner is to be trusted.
    fs::create_dir(place.path("home")).unwrap();
    fs::write(place.path("home/.gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    let push = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["push", "../deploy.git"])
            .args(arguments)
            .current_dir(place.path("work"))
            .env("HOME", place.path("home"))
            .uid(65534)
            .gid(65533)
            .output()
            .unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.success())
    };
    let (said, is_success) = push(&["main"]);
    assert!(is_success && said.contains("remote: 1 units"), "{said}");
    assert!(push(&["main:dev"]).1);
    let (said, is_success) = push(&[":dev"]);
    assert!(is_success, "{said}");
    let hook = fs::metadata(place.path("deploy.git/hooks/pre-receive")).unwrap();
    assert_eq!((hook.uid(), hook.permissions().mode() & 0o022), (0, 0));
}
