//! What a node's follower makes of what it hears. Nobody answers it: the tests do.

use super::*;
use crate::{
    documents::{Sort, Standing},
    node::watch::Objects,
};
use abide_spec::{Name, kind::Grants};
use kube::{Client, Config, core::DynamicObject};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};

/// Node n1, whose agent has just begun.
struct Told {
    follower: Follower,
    _folder: TempDir,
}

/// A container as the cluster has it.
#[derive(Clone, Copy)]
struct Web {
    version: &'static str,
    image: &'static str,
    node: &'static str,
    is_deleted: bool,
    has_finalizer: bool,
    /// A Secret that it names.
    secret: Option<&'static str>,
}

const WEB: Web = Web { version: "100", image: "v1", node: "n1", is_deleted: false, has_finalizer: true, secret: None };

impl Web {
    fn seen(self, name: &str) -> Box<Seen> {
        let finalizers: &[&str] = if self.has_finalizer { &["abide.dev/cleanup"] } else { &[] };
        let env = self.secret.map(|secret| json!({ "A": { "secret": secret, "key": "k" } }));
        let object = json!({
            "apiVersion": "abide.dev/v1alpha1", "kind": "Container",
            "metadata": {
                "name": name, "namespace": "shop", "uid": name, "resourceVersion": self.version,
                "deletionTimestamp": self.is_deleted.then_some("2026-11-25T08:30:00Z"), "finalizers": finalizers,
            },
            "spec": { "image": self.image, "node": self.node, "env": env },
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        Box::new(Seen::read(Kind::Container, object).unwrap())
    }
}

fn id(name: &str) -> UnitId {
    UnitId { scope: Name::new("shop").unwrap(), kind: Kind::Container, name: Name::new(name).unwrap(), index: 0 }
}

impl Told {
    fn new() -> Self {
        Self::of("n1", None)
    }

    fn of(node: &str, last: Option<Snapshot>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new("http://127.0.0.1:1".parse().unwrap());
        let (sender, heard) = mpsc::channel(64);
        let means = Means {
            client: Client::try_from(config).unwrap(),
            node: node.to_owned(),
            heard: sender,
            wake: Arc::new(Notify::new()),
        };
        let begin = Begin {
            means,
            heard,
            mailbox: Arc::default(),
            board: Arc::new(Board::new(node, watch::Sender::default())),
            snapshots: Snapshots::of(folder.path()),
            grants: Grants::default(),
            last,
            needed: BTreeSet::new(),
        };
        Self { follower: Follower::new(begin), _folder: folder }
    }

    /// Hears all there is, once more.
    fn listed(&mut self, containers: &[(&str, Web)]) {
        for kind in Kind::WRITTEN {
            self.follower.hear(Heard::Objects(kind, Objects::Begin));
            if kind == Kind::Container {
                for (name, web) in containers {
                    self.container(Objects::Listed(web.seen(name)));
                }
            }
            self.follower.hear(Heard::Objects(kind, Objects::Whole));
        }
    }

    fn container(&mut self, objects: Objects) {
        self.follower.hear(Heard::Objects(Kind::Container, objects));
    }

    /// Hears what became of an object that was asked for, which it must have been.
    fn found(&mut self, name: &str, found: Option<Web>) {
        assert!(self.follower.missed.contains_key(&id(name)), "nobody asked for {name}");
        self.follower.hear(Heard::Found(id(name), found.map(|web| web.seen(name))));
    }

    /// What is wished then, what is confirmed to go, and what is missing.
    async fn says(&mut self) -> String {
        self.follower.turn().await;
        let Some(said) = &self.follower.said else { return "nothing".to_owned() };
        let image = |want: &Arc<Want>| match &want.unit.spec {
            abide_spec::UnitSpec::Container(spec) => format!("{}={}", want.unit.id.name, json!(spec.image)),
            _ => want.unit.id.to_string(),
        };
        let names = |units: &BTreeSet<UnitId>| units.iter().map(|unit| unit.name.to_string()).collect::<Vec<_>>();
        let wishes: Vec<String> = said.wants.iter().map(image).collect();
        let (confirmed, missing) = (names(&said.confirmed).join(" "), names(&said.missing.units).join(" "));
        format!("wish [{}] confirmed [{confirmed}] missing [{missing}]", wishes.join(" "))
    }
}

#[tokio::test]
async fn what_a_restored_cluster_lists_is_so() {
    let mut told = Told::new();
    told.listed(&[("web", WEB)]);
    assert_eq!(told.says().await, r#"wish [web="v1"] confirmed [] missing []"#);
    let newer = Web { version: "5000", image: "v2", ..WEB };
    told.container(Objects::Changed(newer.seen("web")));
    told.container(Objects::Changed(WEB.seen("web")));
    assert_eq!(told.says().await, r#"wish [web="v2"] confirmed [] missing []"#, "what comes late is no news");

    told.listed(&[("web", WEB)]);
    assert_eq!(told.says().await, r#"wish [web="v1"] confirmed [] missing []"#);
    told.container(Objects::Changed(Web { version: "101", image: "v3", ..WEB }.seen("web")));
    assert_eq!(told.says().await, r#"wish [web="v3"] confirmed [] missing []"#, "the next change is heard");
    told.container(Objects::Changed(Web { version: "102", is_deleted: true, ..WEB }.seen("web")));
    assert_eq!(told.says().await, "wish [] confirmed [web] missing []", "and the end of it");
}

#[tokio::test]
async fn what_a_restored_cluster_takes_away_is_missing() {
    let mut told = Told::new();
    let here = Web { version: "5000", ..WEB };
    told.listed(&[("back", here), ("moved", here), ("gone", here)]);
    told.says().await;
    told.listed(&[]);
    assert_eq!(told.says().await, r#"wish [back="v1" gone="v1" moved="v1"] confirmed [] missing []"#, "it asks first");
    told.found("back", Some(Web { node: "n2", ..WEB }));
    told.found("moved", Some(Web { node: "n2", version: "5001", ..WEB }));
    told.found("gone", None);
    assert_eq!(told.says().await, "wish [] confirmed [moved] missing [back gone]");
}

#[tokio::test]
async fn who_deletes_confirms_and_nobody_else() {
    let mut told = Told::new();
    let names = ["deleted", "stripped", "lost", "moved", "released"];
    told.listed(&names.map(|name| (name, WEB)));
    told.says().await;
    let deleted = Web { is_deleted: true, ..WEB };
    let stripped = Web { has_finalizer: false, ..WEB };
    told.container(Objects::Changed(Web { version: "101", ..deleted }.seen("deleted")));
    told.container(Objects::Gone(Web { version: "102", ..deleted }.seen("deleted")));
    // Somebody took our finalizer away, and deleted it before it was there again.
    told.container(Objects::Gone(Web { version: "102", ..stripped }.seen("stripped")));
    // As from an etcd whose keys were deleted.
    told.container(Objects::Gone(Web { version: "103", ..WEB }.seen("lost")));
    told.container(Objects::Gone(Web { version: "104", ..WEB }.seen("moved")));
    // What the agent itself has let go of need not be asked for.
    let released = Web { version: "105", has_finalizer: false, ..deleted };
    told.follower.hear(Heard::Read(released.seen("released")));
    told.container(Objects::Gone(Web { version: "106", ..deleted }.seen("released")));
    for name in ["deleted", "stripped", "lost"] {
        told.found(name, None);
    }
    told.found("moved", Some(Web { version: "104", node: "n2", ..WEB }));
    assert_eq!(told.says().await, "wish [] confirmed [deleted moved released stripped] missing [lost]");
}

#[tokio::test]
async fn what_is_moved_while_it_is_being_deleted_is_released() {
    let mut told = Told::new();
    told.listed(&[("web", WEB)]);
    told.says().await;
    let deleted = Web { is_deleted: true, version: "101", ..WEB };
    told.container(Objects::Changed(deleted.seen("web")));
    told.container(Objects::Gone(deleted.seen("web")));
    told.found("web", Some(Web { version: "102", node: "", ..deleted }));
    assert_eq!(told.says().await, "wish [] confirmed [web] missing []");
    assert!(told.follower.board.is_moved(&id("web")), "or our finalizer stays for ever");
}

#[tokio::test]
async fn what_another_name_of_this_node_had_is_missing() {
    let mut told = Told::new();
    let other = Web { version: "100", ..WEB };
    told.listed(&[("web", WEB), ("here", other)]);
    told.says().await;
    let said = told.follower.said.as_ref().unwrap();
    let units = said.wants.iter().map(|want| Arc::clone(&want.unit)).collect();
    let last = Snapshot::new("n1", units, [id("ended")].into());

    let mut told = Told::of("n2", Some(last));
    told.listed(&[("here", Web { node: "n2", ..other })]);
    told.found("web", Some(WEB));
    assert_eq!(told.says().await, r#"wish [here="v1"] confirmed [ended] missing [web]"#);
    assert!(!told.follower.board.is_moved(&id("web")), "its finalizer is that of n1");
}

#[tokio::test]
async fn what_cant_be_read_holds_up_nobody_else() {
    let mut told = Told::new();
    let broken = DataName { scope: id("web").scope, sort: Sort::Secret, name: Name::new("broken").unwrap() };
    told.listed(&[("web", WEB), ("needy", Web { secret: Some("broken"), ..WEB })]);
    assert_eq!(told.says().await, "nothing", "it has yet to be asked for");
    let trouble = |words: &str| Heard::Trouble(Watch::Data(broken.clone()), Trouble::Words(words.to_owned()));
    told.follower.hear(trouble("the API server says 500: no key for it"));
    assert_eq!(told.says().await, r#"wish [web="v1"] confirmed [] missing []"#);
    let standing = told.follower.documents.standings().find(|(unit, _)| **unit == id("needy")).unwrap().1.clone();
    assert_eq!(standing, Standing::Pending("the API server says 500: no key for it".to_owned()));
    let data = [("k".to_owned(), abide_spec::unit::Data(b"v".to_vec().into()))];
    told.follower.hear(Heard::Data(broken.clone(), DataState::There(data.into())));
    assert_eq!(told.says().await, r#"wish [needy="v1" web="v1"] confirmed [] missing []"#);
    // What was read once isn't forgotten because it can't be read now.
    told.follower.hear(trouble("the API server is away"));
    assert_eq!(told.says().await, r#"wish [needy="v1" web="v1"] confirmed [] missing []"#);
}
