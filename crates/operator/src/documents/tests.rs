//! Stories: what happens in a cluster, and what is wished then. And what holds for all of them.

use super::*;
use abide_spec::{Name, unit::Data};
use proptest::prelude::*;
use serde_json::Value;
use std::{fs, path::Path};

struct Cluster {
    world: World,
    documents: Documents,
    changed: BTreeSet<Scope>,
    clock: u32,
}

impl Cluster {
    fn new() -> Self {
        let grants = Grants { host_paths: vec!["/srv".to_owned()], ..Grants::default() };
        let documents = Documents::new(grants, []);
        Self { world: World::default(), documents, changed: BTreeSet::new(), clock: 0 }
    }

    fn put(&mut self, id: &UnitId, spec: Value, finalizer: Option<bool>) {
        self.clock += 1;
        let before = self.world.objects.get(id);
        let meta = Meta {
            uid: format!("{id} {}", self.clock),
            generation: before.map_or(1, |before| before.meta.generation + 1),
            created: before.map_or_else(|| format!("{:08}", self.clock), |before| before.meta.created.clone()),
            life: before.map_or(Life::Living, |before| before.meta.life),
            has_finalizer: finalizer.unwrap_or_else(|| before.is_some_and(|before| before.meta.has_finalizer)),
        };
        let object = Object::new(id.clone(), meta, &BTreeMap::new(), spec);
        self.world.objects.insert(id.clone(), object);
        self.changed.insert(id.scope.clone());
    }

    fn judge(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.documents.judge(&self.world, &changed);
    }

    fn tell(&self) -> String {
        let mut text = String::new();
        for want in self.documents.wants() {
            let unit = &want.unit;
            let resolved = if unit.config_maps.is_empty() { String::new() } else { format!(" {:?}", values(unit)) };
            let ports: Vec<String> = unit.ports().iter().filter_map(|port| Some(port.host_port?.to_string())).collect();
            let ports = if ports.is_empty() { String::new() } else { format!(" on {}", ports.join(", ")) };
            text += &format!("  wish {}{ports}{resolved}\n", unit.id);
        }
        for (id, standing) in self.documents.standings() {
            match standing {
                Standing::Wished => {}
                Standing::Needed(by) => text += &format!("  {id} is needed by {by:?}\n"),
                standing => text += &format!("  {id} {standing:?}\n"),
            }
        }
        let confirmed = self.documents.confirmed(&self.world);
        if !confirmed.is_empty() {
            text += &format!("  confirmed {confirmed:?}\n");
        }
        let unfinalized: Vec<&UnitId> = self.documents.unfinalized().collect();
        if !unfinalized.is_empty() {
            text += &format!("  wants the finalizer {unfinalized:?}\n");
        }
        text
    }
}

fn values(unit: &abide_spec::Unit) -> Vec<String> {
    let all = unit.config_maps.values().chain(unit.secrets.values()).flatten();
    all.map(|(key, data)| format!("{key}={}", String::from_utf8_lossy(&data.0))).collect()
}

fn id(scope: &str, unit: &str) -> UnitId {
    let unit: abide_spec::UnitRef = serde_json::from_value(unit.into()).unwrap();
    UnitId { scope: Name::new(scope).unwrap(), kind: unit.kind, name: unit.name, index: 0 }
}

fn play(story: &str) -> String {
    let mut cluster = Cluster::new();
    let mut told = String::new();
    for line in story.lines() {
        told += &format!("{line}\n");
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let (scope, name) = (words.get(1).copied().unwrap_or_default(), words.get(2).copied().unwrap_or_default());
        let yaml = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
        let data = |sort, name| DataName { scope: Name::new(scope).unwrap(), sort, name: Name::new(name).unwrap() };
        let values = || {
            let value =
                |(key, value): (&String, &Value)| (key.clone(), Data(value.as_str().unwrap().as_bytes().into()));
            DataState::There(yaml(words[3]).as_object().unwrap().iter().map(value).collect())
        };
        match words[0] {
            "create" => cluster.put(&id(scope, name), yaml(words[3]), Some(false)),
            "apply" => cluster.put(&id(scope, name), yaml(words[3]), Some(true)),
            "finalize" => cluster.world.objects.get_mut(&id(scope, name)).unwrap().meta.has_finalizer = true,
            "delete" => cluster.world.objects.get_mut(&id(scope, name)).unwrap().meta.life = Life::Terminating,
            "vanish" => drop(cluster.world.objects.remove(&id(scope, name)).unwrap()),
            "left" => drop(cluster.world.left.insert(id(scope, name))),
            "config" => drop(cluster.world.data.insert(data(Sort::ConfigMap, name), values())),
            "secret" => drop(cluster.world.data.insert(data(Sort::Secret, name), values())),
            "absent" | "forbidden" => {
                let state = if words[0] == "absent" { DataState::Absent } else { DataState::Forbidden };
                let (sort, name) = name.split_once('/').unwrap();
                let sort = if sort == "Secret" { Sort::Secret } else { Sort::ConfigMap };
                cluster.world.data.insert(data(sort, name), state);
            }
            "judge" => {
                cluster.judge();
                told += &cluster.tell();
            }
            _ => assert!(line.starts_with('#'), "{line}"),
        }
        cluster.changed.extend(Name::new(scope).ok().filter(|_| !line.starts_with('#')));
    }
    told
}

#[test]
fn stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/documents/stories");
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "story"));
    paths.sort();
    assert!(paths.len() >= 6);
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        insta::assert_snapshot!(name, play(&fs::read_to_string(&path).unwrap()));
    }
}

/// What happens in the cluster of the properties: small numbers, so that much collides.
#[derive(Clone, Debug)]
enum Happening {
    Put { who: u8, port: u8, needs: Vec<u8>, is_broken: bool },
    Delete(u8),
    Vanish(u8),
    Judge,
}

fn happening() -> impl Strategy<Value = Happening> {
    let put = (0..6u8, 0..4u8, prop::collection::vec(0..6u8, 0..2), prop::bool::weighted(0.2));
    prop_oneof![
        4 => put.prop_map(|(who, port, needs, is_broken)| Happening::Put { who, port, needs, is_broken }),
        1 => (0..6u8).prop_map(Happening::Delete),
        1 => (0..6u8).prop_map(Happening::Vanish),
        3 => Just(Happening::Judge),
    ]
}

fn who(number: u8) -> UnitId {
    id(if number.is_multiple_of(2) { "even" } else { "odd" }, &format!("Container/c{number}"))
}

proptest! {
    #[test]
    fn what_is_wished_can_be(happenings in prop::collection::vec(happening(), 1..40)) {
        let mut cluster = Cluster::new();
        for happening in happenings {
            match happening {
                Happening::Put { who: number, port, needs, is_broken } => {
                    let needs = needs.iter().filter(|need| *need % 2 == number % 2);
                    let needs: Vec<Value> =
                        needs.map(|need| serde_json::json!({ "unit": format!("Container/c{need}") })).collect();
                    let mut spec = serde_json::json!({ "image": "nginx", "dependsOn": needs });
                    if port > 0 {
                        spec["ports"] = serde_json::json!([{ "port": 80, "hostPort": port }]);
                    }
                    if is_broken {
                        spec["image"] = "".into();
                    }
                    cluster.put(&who(number), spec, Some(true));
                }
                Happening::Delete(number) => {
                    if let Some(object) = cluster.world.objects.get_mut(&who(number)) {
                        object.meta.life = Life::Terminating;
                        cluster.changed.insert(who(number).scope);
                    }
                }
                Happening::Vanish(number) => {
                    cluster.world.objects.remove(&who(number));
                    cluster.changed.insert(who(number).scope);
                }
                Happening::Judge => {
                    let before: BTreeMap<UnitId, Arc<Want>> =
                        cluster.documents.wants().map(|want| (want.unit.id.clone(), Arc::clone(want))).collect();
                    cluster.judge();
                    check(&cluster, &before)?;
                }
            }
        }
    }
}

fn check(cluster: &Cluster, before: &BTreeMap<UnitId, Arc<Want>>) -> Result<(), TestCaseError> {
    let wants: Vec<Arc<Want>> = cluster.documents.wants().cloned().collect();
    prop_assert!(abide_reconcile::Complete::new(wants.clone()).is_ok(), "needs are there and form no cycle");
    let mut ports = BTreeSet::new();
    for want in &wants {
        prop_assert!(want.claims.iter().all(|claim| ports.insert(claim.clone())), "two have one port");
    }
    for (id, standing) in cluster.documents.standings() {
        let is_kept = cluster.documents.want(id) == before.get(id);
        match standing {
            Standing::Mistaken(why) => {
                prop_assert!(!why.is_empty());
                prop_assert!(is_kept, "{id} is neither as it was nor as it is");
            }
            Standing::Wished => prop_assert!(cluster.documents.want(id).is_some()),
            Standing::Leaving => prop_assert!(cluster.documents.want(id).is_none()),
            Standing::Unfinalized | Standing::Pending(_) | Standing::Needed(_) => {}
        }
    }
    let mut again = Documents { grants: cluster.documents.grants.clone(), scopes: BTreeMap::new() };
    again.scopes.extend(wants.iter().fold(BTreeMap::<Scope, Judged>::new(), |mut scopes, want| {
        let judged = scopes.entry(want.unit.id.scope.clone()).or_default();
        judged.wants.insert(want.unit.id.clone(), Arc::clone(want));
        scopes
    }));
    let all: BTreeSet<Scope> = cluster.world.objects.keys().map(|id| id.scope.clone()).collect();
    again.judge(&cluster.world, &all);
    let anew: Vec<Arc<Want>> = again.wants().cloned().collect();
    prop_assert_eq!(&wants, &anew, "judging again changes nothing");
    Ok(())
}
