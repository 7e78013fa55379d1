//! What a document may not say though it can be read, and what documents may not say together.

mod one;
mod source;
mod together;

pub(crate) use source::source;

use crate::{
    diagnostic::Diagnostic,
    document::{Body, Document},
    kind::Grants,
    unit::UnitSpec,
};
use one::One;
use together::Together;

/// Checks all documents of a source, each alone and then together.
///
/// `is_whole` says that every document's name is known: only then can one be missing.
pub(crate) fn documents(documents: &[Document<'_>], grants: &Grants, is_whole: bool, mistakes: &mut Vec<Diagnostic>) {
    let mut together = Together::new(is_whole, documents, mistakes);
    for document in documents {
        let Body::Unit(spec) = &document.body else { continue };
        let mut one = One { document, grants, mistakes: together.mistakes };
        match spec {
            UnitSpec::Container(spec) => one.container(spec),
            UnitSpec::VirtualMachine(spec) => one.virtual_machine(spec),
            UnitSpec::Volume(spec) => one.volume(spec),
            UnitSpec::Assignment(_) | UnitSpec::Machine(_) => {}
        }
    }
    together.ports(documents);
    together.writers(documents);
    together.needs(documents);
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0') && !path.split('/').any(|part| matches!(part, "." | ".."))
}
