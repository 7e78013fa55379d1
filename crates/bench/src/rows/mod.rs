//! What is measured, in the order of the table.

mod apply;
mod heal;
mod hub;
mod idle;
mod many;
mod memory;
mod objects;
mod operator;
mod parse;
mod planning;
mod push;
mod start;
mod store;
mod traffic;
mod vmm;

use crate::{Problem, figure::Figure, world::Container};

/// One subject.
pub(crate) struct Row {
    /// As it is asked for.
    pub(crate) name: &'static str,
    /// What is measured, for people.
    pub(crate) what: &'static str,
    /// Measures it.
    pub(crate) measure: fn() -> Result<Vec<Figure>, Problem>,
}

/// Those that are taken unless others are named.
pub(crate) const ROWS: &[Row] = &[
    planning::ROW,
    parse::ROW,
    idle::ROW,
    memory::ROW,
    start::ROW,
    push::ROW,
    heal::ROW,
    many::ROW,
    vmm::ROW,
    apply::ROW,
    operator::ROW,
    objects::ROW,
    store::ROW,
    hub::ROW,
];

/// Those that take so long that they are taken only if they are named.
pub(crate) const LONG: &[Row] = &[traffic::ROW];

/// So many containers are many.
const MANY: usize = 100;

/// Containers that do nothing but wait, without ports and probes.
fn plain(count: usize) -> impl Iterator<Item = Container> {
    (0..count).map(|n| Container { name: format!("plain-{n}"), greeting: "plain".to_owned(), ..Container::default() })
}
