//! Which objects belong together: what uses a volume, and what depends on something, is on its node.

use super::cluster::Object;
use abide_reconcile::UnitId;
use std::collections::BTreeMap;

/// The objects, by what connects them: each component sorted by id, the components by the age of their oldest object.
pub fn components(objects: &BTreeMap<UnitId, Object>) -> Vec<Vec<&Object>> {
    let all: Vec<&Object> = objects.values().collect();
    let number: BTreeMap<&UnitId, usize> = all.iter().enumerate().map(|(n, object)| (&object.id, n)).collect();
    let mut roots = Roots((0..all.len()).collect());
    for (n, object) in all.iter().enumerate() {
        // What isn't there connects nothing: its node will say that it is missing.
        for need in object.needs.iter().filter_map(|need| number.get(need)) {
            roots.join(n, *need);
        }
    }
    let mut components: BTreeMap<usize, Vec<&Object>> = BTreeMap::new();
    for (n, object) in all.into_iter().enumerate() {
        components.entry(roots.of(n)).or_default().push(object);
    }
    let mut components: Vec<_> = components.into_values().collect();
    components.sort_by_cached_key(|members| members.iter().map(|object| (&object.created, &object.id)).min());
    components
}

/// A forest, in which everything that is connected has one root.
struct Roots(Vec<usize>);

impl Roots {
    fn of(&mut self, mut n: usize) -> usize {
        while self.0[n] != n {
            // Halves the way for who comes next.
            self.0[n] = self.0[self.0[n]];
            n = self.0[n];
        }
        n
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.of(a), self.of(b));
        self.0[a.max(b)] = a.min(b);
    }
}
