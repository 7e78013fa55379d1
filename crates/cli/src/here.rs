//! The root that a command is about.

use crate::exit::Failure;
use abide_host::root::Paths;
use std::path::{Path, PathBuf};

/// A root, which needn't exist.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    /// As an absolute path; none is the machine's own.
    pub(crate) root: Option<PathBuf>,
    pub(crate) paths: Paths,
}

impl Here {
    pub(crate) fn new(root: Option<&Path>) -> Result<Self, Failure> {
        let absolute = |root| std::path::absolute(root).map_err(Failure::file("finding the root", root));
        let root = root.map(absolute).transpose()?;
        Ok(Self { paths: Paths::of(root.as_deref()), root })
    }

    /// A command line for this root, to be shown.
    pub(crate) fn command(&self, rest: &str) -> String {
        match &self.root {
            None => format!("abide {rest}"),
            Some(root) => format!("abide --root {} {rest}", root.display()),
        }
    }
}
