//! What is measured, in the order of the table.

mod parse;
mod planning;
mod vmm;

use crate::{Problem, figure::Figure};

/// One subject.
pub(crate) struct Row {
    /// As it is asked for.
    pub(crate) name: &'static str,
    /// What is measured, for people.
    pub(crate) what: &'static str,
    /// Measures it.
    pub(crate) measure: fn() -> Result<Vec<Figure>, Problem>,
}

/// All rows.
pub(crate) const ROWS: &[Row] = &[planning::ROW, parse::ROW, vmm::ROW];
