//! What is written, and what comes of it: each file of `mistakes` beside its diagnostics, each example as it is.

use crate::support::{expect, folder, scope, tree};
use abide_spec::{
    Context, MemoryTree, Unit,
    kind::{Grants, SourceSpec},
    parse, parse_source,
};
use proptest::prelude::*;
use std::{fs, path::Path, sync::Arc};

fn units(tree: &MemoryTree, grants: &Grants) -> Result<Vec<Arc<Unit>>, String> {
    let scope = scope();
    let parsed = parse(tree, Context::plain(&scope, grants));
    let text = |mistakes: Vec<abide_spec::Diagnostic>| mistakes.iter().map(|mistake| format!("{mistake}\n")).collect();
    parsed.map(|parsed| parsed.units).map_err(text)
}

#[test]
fn mistakes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mistakes");
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert!(names.len() > 8);
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let tree = MemoryTree([(name, fs::read(&path).unwrap().into())].into());
        let mistakes = units(&tree, &Grants::default()).expect_err("it has mistakes");
        assert!(!mistakes.contains("very"), "a secret is shown:\n{mistakes}");
        expect(&path.with_extension("txt"), &mistakes);
    }
}

/// What the quickstart and the tests put beside the examples' documents.
fn generated(tree: &mut MemoryTree) {
    for path in ["images/hello/index.json", "images/hello/oci-layout", "images/guest"] {
        tree.0.insert(path.to_owned(), path.as_bytes().into());
    }
}

#[test]
fn examples() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        // A fleet's is read machine by machine.
        if path.join(abide_spec::fleet::FILE).exists() {
            continue;
        }
        let mut tree = folder(&path);
        generated(&mut tree);
        let units = units(&tree, &Grants::default());
        let units = units.unwrap_or_else(|mistakes| panic!("{}:\n{mistakes}", path.display()));
        assert!(!units.is_empty(), "{}", path.display());
        for unit in units {
            let json = serde_json::to_string(&*unit).unwrap();
            let again: Unit = serde_json::from_str(&json).unwrap();
            assert_eq!(again, *unit, "a recorded unit reads the same");
            assert_eq!(again.digest(), unit.digest());
        }
    }
}

#[test]
fn a_file_of_any_size_is_refused_quickly() {
    let huge = vec![b'#'; 100 << 20];
    let tree = MemoryTree([("huge.yaml".to_owned(), huge.into())].into());
    let mistakes = units(&tree, &Grants::default()).unwrap_err();
    assert!(mistakes.contains("split it"), "{mistakes}");
}

#[test]
fn files_that_are_no_documents_are_not_read() {
    let tree = tree([
        ("README.md", "{"),
        (".hidden.yaml", "{"),
        (".git/x.yaml", "{"),
        ("a/.b/c.yml", "{"),
        ("empty.yaml", "---\n# nothing\n"),
    ]);
    assert_eq!(units(&tree, &Grants::default()), Ok(Vec::new()));
}

#[test]
fn where_a_unit_is_written_does_not_matter() {
    let volume =
        |name: &str| format!("---\napiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: {name}}}\n");
    let (one, two) = (volume("one"), volume("two"));
    let both = format!("{two}{one}");
    let apart = units(&tree([("a.yaml", one.as_str()), ("b/c.yml", two.as_str())]), &Grants::default());
    let together = units(&tree([("x.yaml", both.as_str())]), &Grants::default());
    assert_eq!(apart.unwrap(), together.unwrap());
}

#[test]
fn a_source_is_read_from_its_own_file() {
    let text = "apiVersion: abide.dev/v1alpha1\nkind: Source\nmetadata: {name: infra}\nspec:\n  git: {url: \"https://git.example.org/infra.git\", interval: 1m}\n  grants: {hostPaths: [/srv/data]}\n";
    let (name, spec) = parse_source("source.yaml", text.as_bytes()).unwrap();
    assert_eq!((name.as_str(), spec.git().unwrap().branch.as_str()), ("infra", "main"));
    assert_eq!(spec.grants.host_paths, ["/srv/data"]);
    let text = text.replace("https:", "ext:");
    assert!(parse_source("source.yaml", text.as_bytes()).is_err());
}

#[test]
fn a_source_follows_one_thing() {
    let read = |spec: &str| {
        let text = format!("apiVersion: abide.dev/v1alpha1\nkind: Source\nmetadata: {{name: node}}\nspec: {spec}\n");
        let read = parse_source("source.yaml", text.as_bytes());
        read.map(|(_, spec)| spec)
            .map_err(|mistakes| mistakes.iter().map(|mistake| mistake.message.clone()).collect::<Vec<_>>().join("\n"))
    };
    let spec = read("{kubernetes: {node: n1.example.org}, grants: {hostNetwork: true}}").unwrap();
    assert_eq!(spec.follow.to_string(), "kubernetes:n1.example.org");
    let both = "exactly one of `git`, `kubernetes`, `hub` must be here";
    assert_eq!(read("{kubernetes: {node: n1}, git: {url: /srv/infra.git}}").unwrap_err(), both);
    let none = "exactly one of `git`, `kubernetes`, `hub` must be here";
    assert!(read("{placement: {}}").is_err(), "only the controller says it, of itself");
    assert!(read("{fleet: {}}").is_err(), "only a hub says it, of itself");
    assert_eq!(read("{grants: {hostNetwork: true}}").unwrap_err(), none);
    insta::assert_snapshot!(read("{kubernetes: {node: N1}}").unwrap_err(), @r#""N1" is no name of a node: use names of a-z, 0-9 and - with dots between them, as `kubectl get nodes` shows it"#);
    insta::assert_snapshot!(read("{kubernetes: {node: n1}, credentials: {tokenFile: /etc/token}}").unwrap_err(), @"these are for repositories: an agent finds what it needs for its cluster in its pod or `KUBECONFIG`");
    let spec = read("{hub: {url: 'https://hub.example.org:7443'}, grants: {hostNetwork: true}}").unwrap();
    assert_eq!(spec.follow.to_string(), "https://hub.example.org:7443");
    insta::assert_snapshot!(read("{hub: {url: 'http://hub'}}").unwrap_err(), @r#""http://hub" is no hub: write https://HOST or https://HOST:PORT"#);
    insta::assert_snapshot!(read("{hub: {url: 'https://hub/a'}}").unwrap_err(), @r#""https://hub/a" is no hub: write https://HOST or https://HOST:PORT"#);
    insta::assert_snapshot!(read("{hub: {url: 'https://hub'}, credentials: {caFile: /ca.pem}}").unwrap_err(), @"these are for repositories: a machine shows its hub the certificate of `abide enroll`");
}

/// What is recorded in journals and said to an agent of another release.
#[test]
fn sources_keep_their_recorded_form() {
    let read = |text: &str| serde_json::from_str::<SourceSpec>(text);
    for (written, recorded) in [
        (
            r#"{"git":{"url":"/srv/infra.git"}}"#,
            r#"{"git":{"url":"/srv/infra.git","branch":"main","path":null,"interval":"30s"},"credentials":{"tokenFile":null,"caFile":null},"grants":{"hostPaths":[],"hostNetwork":false,"privileged":false,"registries":[],"insecureRegistries":[]}}"#,
        ),
        (
            r#"{"kubernetes":{"node":"n1"}}"#,
            r#"{"kubernetes":{"node":"n1"},"credentials":{"tokenFile":null,"caFile":null},"grants":{"hostPaths":[],"hostNetwork":false,"privileged":false,"registries":[],"insecureRegistries":[]}}"#,
        ),
        (
            r#"{"hub":{"url":"https://hub"}}"#,
            r#"{"hub":{"url":"https://hub"},"credentials":{"tokenFile":null,"caFile":null},"grants":{"hostPaths":[],"hostNetwork":false,"privileged":false,"registries":[],"insecureRegistries":[]}}"#,
        ),
        (
            r#"{"fleet":{}}"#,
            r#"{"fleet":{},"credentials":{"tokenFile":null,"caFile":null},"grants":{"hostPaths":[],"hostNetwork":false,"privileged":false,"registries":[],"insecureRegistries":[]}}"#,
        ),
    ] {
        let spec = read(written).unwrap();
        assert_eq!(serde_json::to_string(&spec).unwrap(), recorded);
        assert_eq!(read(recorded).unwrap(), spec);
    }
    assert!(read("{}").is_err());
    assert!(read(r#"{"git":{"url":"/x"},"kubernetes":{"node":"n1"}}"#).is_err());
    assert_eq!(read(r#"{"placement":{}}"#).unwrap().follow.to_string(), "kubernetes");
    assert!(read(r#"{"placement":{},"kubernetes":{"node":"n1"}}"#).is_err());
    assert!(read(r#"{"hub":{},"git":{"url":"/x"}}"#).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = units(&MemoryTree([("a.yaml".to_owned(), bytes.into())].into()), &Grants::default());
    }

    /// Bytes changed, removed and doubled in a good file reach deeper than arbitrary ones.
    #[test]
    fn no_damaged_document_panics(at in 0_usize..2000, byte: u8, cut in 0_usize..50) {
        let mut bytes = include_bytes!("mistakes/references.yaml").to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let end = (at + cut).min(bytes.len());
        bytes.drain(at + 1..end.max(at + 1));
        let _ = units(&MemoryTree([("a.yaml".to_owned(), bytes.into())].into()), &Grants::default());
    }
}

/// A tree of documents alone.
struct Objects(MemoryTree);

impl abide_spec::Tree for Objects {
    fn files(&self) -> Vec<abide_spec::TreeFile> {
        self.0.files()
    }

    fn is_repository(&self) -> bool {
        false
    }

    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        self.0.read(path)
    }
}

#[test]
fn documents_that_stand_alone_are_read_beside_broken_ones() {
    let container = |name: &str, rest: &str| {
        format!("apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {{name: {name}}}\nspec: {{{rest}}}\n")
    };
    let objects = Objects(tree([
        ("a.yaml", container("a", "image: nginx").as_str()),
        ("b.yaml", container("b", "imagee: nginx").as_str()),
        ("c.yaml", container("c", "image: 'oci:a.yaml'").as_str()),
        ("d.yaml", container("d", "image: nginx, dependsOn: [{unit: Container/b}]").as_str()),
    ]));
    let (scope, grants) = (scope(), Grants::default());
    let (parsed, mistakes) = abide_spec::parse_apart(&objects, Context::plain(&scope, &grants));
    let names: Vec<&str> = parsed.units.iter().map(|unit| unit.id.name.as_str()).collect();
    assert_eq!(names, ["a", "c", "d"], "what can be read; who is mistaken is told by the mistakes");
    let mistaken: Vec<&str> = mistakes.iter().map(|mistake| &*mistake.file).collect();
    assert_eq!(mistaken, ["b.yaml", "b.yaml", "c.yaml"]);
    assert!(mistakes[2].message.contains("no repository here"), "{}", mistakes[2].message);
}
