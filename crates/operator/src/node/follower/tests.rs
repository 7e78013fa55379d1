//! What a node's follower makes of what it hears. Nobody answers it: the tests do.

use super::*;
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
}

const WEB: Web = Web { version: "100", image: "v1", node: "n1", is_deleted: false, has_finalizer: true };

impl Web {
    fn seen(self, name: &str) -> Box<Seen> {
        let finalizers: &[&str] = if self.has_finalizer { &["abide.dev/cleanup"] } else { &[] };
        let object = json!({
            "apiVersion": "abide.dev/v1alpha1", "kind": "Container",
            "metadata": {
                "name": name, "namespace": "shop", "uid": name, "resourceVersion": self.version,
                "deletionTimestamp": self.is_deleted.then_some("2026-11-25T08:30:00Z"), "finalizers": finalizers,
            },
            "spec": { "image": self.image, "node": self.node },
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        Box::new(Seen::read(Kind::Container, object).unwrap())
    }
}

fn id(name: &str) -> UnitId {
    UnitId { scope: Name::new("shop").unwrap(), kind: Kind::Container, name: Name::new(name).unwrap(), index: 0 }
}

impl Told {
    fn new(last: Option<Snapshot>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new("http://127.0.0.1:1".parse().unwrap());
        let (sender, heard) = mpsc::channel(64);
        let means = Means {
            client: Client::try_from(config).unwrap(),
            node: "n1".to_owned(),
            heard: sender,
            wake: Arc::new(Notify::new()),
        };
        let begin = Begin {
            means,
            heard,
            mailbox: Arc::default(),
            board: Arc::new(Board::new("n1", watch::Sender::default())),
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
        assert!(self.follower.missed.contains(&id(name)), "nobody asked for {name}");
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
    let mut told = Told::new(None);
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
    let mut told = Told::new(None);
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
