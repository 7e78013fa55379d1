//! What the layers below show, without mounting them: enough to look a name up and to copy it.

use abide_host::fs::{Dir, Resolve, Result, Seen, Sort};
use std::{
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
};

/// On a directory of a layer: what the layers below have in it isn't shown (overlayfs.rst, "whiteouts and opaque
/// directories").
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";

/// The layers below one that is being unpacked, the top one first.
#[derive(Debug, Default)]
pub(crate) struct Lower(pub(crate) Vec<Dir>);

/// Something in a layer.
pub(super) struct Found {
    dir: Dir,
    name: OsString,
    pub(super) seen: Seen,
}

/// How a layer answers.
enum Answer {
    Found(Found),
    /// It has nothing to say about the name: ask the next one.
    Unknown,
    /// Nothing below it may be shown.
    Hidden,
}

impl Lower {
    /// What is called so in a directory. Symbolic links on the way are not followed.
    pub(super) fn find(&self, parent: &[OsString], name: &OsStr) -> Result<Option<Found>> {
        for layer in &self.0 {
            match ask(layer, parent, name)? {
                Answer::Found(found) => return Ok(Some(found)),
                Answer::Unknown => {}
                Answer::Hidden => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn ask(layer: &Dir, parent: &[OsString], name: &OsStr) -> Result<Answer> {
    let mut dir = layer.open_dir(".", Resolve::Beneath)?;
    let mut is_opaque = false;
    let nothing = |is_opaque| Ok(if is_opaque { Answer::Hidden } else { Answer::Unknown });
    for part in parent {
        match dir.look(part)?.map(|seen| seen.sort) {
            None => return nothing(is_opaque),
            Some(Sort::Dir) => {}
            Some(_) => return Ok(Answer::Hidden),
        }
        is_opaque |= dir.attribute(part, OsStr::new(OPAQUE))?.is_some_and(|value| value == b"y");
        dir = dir.open_dir(part, Resolve::Beneath)?;
    }
    match dir.look(name)? {
        None => nothing(is_opaque),
        Some(seen) if seen.sort == Sort::Whiteout => Ok(Answer::Hidden),
        Some(seen) => Ok(Answer::Found(Found { dir, name: name.to_owned(), seen })),
    }
}

impl Found {
    /// Makes a copy of a file or symbolic link, with all that belongs to it.
    pub(super) fn copy_to(&self, to: &Dir, name: &OsStr) -> Result<()> {
        let Seen { sort, mode, uid, gid, modified, .. } = self.seen;
        let seconds = i64::try_from(modified.as_secs()).unwrap_or(0);
        if sort == Sort::Link {
            to.make_link(name, &self.dir.read_link(&self.name)?)?;
            to.set_owner(name, uid, gid)?;
            return to.set_modified(name, seconds, modified.subsec_nanos());
        }
        let mut from = self.dir.open_file(&self.name, Resolve::Beneath)?;
        let mut copy = to.create(name, 0o600)?;
        io::copy(&mut from, &mut copy).map_err(|source| abide_host::fs::Error {
            act: "copy",
            path: PathBuf::from(&self.name),
            source,
        })?;
        to.set_owner(name, uid, gid)?;
        for key in self.dir.attributes(&self.name)? {
            if let Some(value) = self.dir.attribute(&self.name, &key)? {
                to.set_attribute(name, &key, &value)?;
            }
        }
        to.set_mode(name, mode)?;
        to.set_modified(name, seconds, modified.subsec_nanos())
    }
}
