//! How many ConfigMaps and Secrets are read for whom: each is a connection to the API server that stays. Objects are many
//! people's, and one that names a thousand must not take the node's files and ports from all others.

use super::{DataName, Object, World};
use abide_spec::Scope;
use std::collections::{BTreeMap, BTreeSet};

/// So many are read for a namespace,
const NAMESPACE_MAX: usize = 256;
/// and so many for a node.
const NODE_MAX: usize = 1024;

/// What is named, and whether it is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that are.
    pub read: BTreeSet<DataName>,
    /// Those that are too many, and why.
    pub left_out: BTreeMap<DataName, String>,
}

impl World {
    /// Shares out what can be read: who has something keeps it, then those come first whose objects are the eldest.
    pub fn share(&self, is_read: impl Fn(&DataName) -> bool) -> Share {
        let names = self.names();
        let mut counts: BTreeMap<&Scope, usize> = BTreeMap::new();
        names.iter().for_each(|name| *counts.entry(&name.scope).or_default() += 1);
        if names.len() <= NODE_MAX && counts.values().all(|count| *count <= NAMESPACE_MAX) {
            return Share { read: names, left_out: BTreeMap::new() };
        }
        let mut objects: Vec<&Object> = self.objects.values().collect();
        objects.sort_by(|one, other| (&one.meta.created, &one.id).cmp(&(&other.meta.created, &other.id)));
        let known = names.iter().filter(|name| is_read(name));
        let mut share = Share::default();
        let mut counts: BTreeMap<&Scope, usize> = BTreeMap::new();
        for name in known.chain(objects.iter().flat_map(|object| &object.names)) {
            if share.read.contains(name) {
                continue;
            }
            let count = counts.entry(&name.scope).or_default();
            let whose = match () {
                () if *count >= NAMESPACE_MAX => {
                    format!("namespace {} on this node name more than {NAMESPACE_MAX}", name.scope)
                }
                () if share.read.len() >= NODE_MAX => format!("this node name more than {NODE_MAX}"),
                () => {
                    *count += 1;
                    share.read.insert(name.clone());
                    continue;
                }
            };
            let text = format!(
                "{name} is not read: the objects of {whose} ConfigMaps and Secrets; put values together in fewer, or move \
                 some of the objects to another node"
            );
            share.left_out.insert(name.clone(), text);
        }
        share
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Life, Meta};
    use super::*;
    use abide_spec::{Kind, Name, UnitId};
    use serde_json::{Value, json};

    /// A container of a namespace that names so many ConfigMaps of its own.
    fn container(scope: &str, name: &str, created: &str, count: usize) -> (UnitId, Object) {
        let id = UnitId {
            scope: Name::new(scope).unwrap(),
            kind: Kind::Container,
            name: Name::new(name).unwrap(),
            index: 0,
        };
        let meta = Meta {
            uid: String::new(),
            generation: 1,
            created: created.to_owned(),
            life: Life::Living,
            has_finalizer: true,
        };
        let variable = |n: usize| (format!("A{n}"), json!({ "configMap": format!("{name}-{n}"), "key": "k" }));
        let env: serde_json::Map<String, Value> = (0..count).map(variable).collect();
        (id.clone(), Object::new(id, meta, &BTreeMap::new(), json!({ "image": "x", "env": env })))
    }

    #[test]
    fn nobody_takes_all_of_it() {
        let of = |share: &Share, scope: &str| share.read.iter().filter(|name| name.scope.as_str() == scope).count();
        let mut world = World::default();
        world.objects.extend([container("greedy", "late", "2", 1000), container("shop", "web", "3", 2)]);
        let share = world.share(|_| false);
        assert_eq!((of(&share, "greedy"), of(&share, "shop"), share.left_out.len()), (NAMESPACE_MAX, 2, 744));
        insta::assert_snapshot!(share.left_out.values().next().unwrap(), @"ConfigMap/late-329 is not read: the objects of namespace greedy on this node name more than 256 ConfigMaps and Secrets; put values together in fewer, or move some of the objects to another node");

        // Who has something keeps it, also if an elder one comes.
        world.objects.extend([container("greedy", "early", "1", 10)]);
        let had = share.read;
        assert_eq!(world.share(|name| had.contains(name)).read, had);
        let anew = world.share(|_| false);
        assert!(anew.read.iter().filter(|name| name.name.as_str().starts_with("early")).count() == 10);

        let many = (0..6).map(|n| container(&format!("n{n}"), "web", &format!("4{n}"), NAMESPACE_MAX));
        world.objects = many.collect();
        let share = world.share(|_| false);
        assert_eq!((share.read.len(), share.left_out.len()), (NODE_MAX, 2 * NAMESPACE_MAX));
        assert_eq!(of(&share, "n5"), 0, "the youngest");
    }
}
