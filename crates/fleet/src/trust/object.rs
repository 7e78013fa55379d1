//! Git's objects, read strictly: their names computed, their forms checked, by no code that does more than that.
//!
//! What passes here is what Git itself writes, so that what any other reader makes of it is the same.

mod commit;
mod tag;
mod tree;

pub use commit::Commit;
pub use tag::Tag;
pub use tree::{Entry, EntryKind, Tree};

use crate::protocol::{Frame, ObjectId, ObjectKind};
use sha1_checked::{Digest, Sha1};
use std::ops::Range;

/// Bytes of a commit or a tag. The longest message that was seen has a tenth of it.
pub const COMMIT_BYTES_MAX: usize = 1 << 20;

/// Bytes of a folder's list: some 400,000 entries.
pub const TREE_BYTES_MAX: usize = 16 << 20;

/// Bytes of a file: what Git mode reads.
pub const BLOB_BYTES_MAX: usize = 64 << 20;

/// Why bytes are no object that this machine reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadObject {
    /// Somebody made two objects of one name.
    #[error("it is made to have the same SHA-1 as another object")]
    Collision,
    /// Too big.
    #[error("a {kind} of {bytes} bytes: at most {bytes_max} are read")]
    TooBig {
        /// What it is.
        kind: &'static str,
        /// So many it has.
        bytes: usize,
        /// So many it may have.
        bytes_max: usize,
    },
    /// Another kind of object is meant by that name.
    #[error("a {found} where a {wanted} is meant")]
    Kind {
        /// What is meant.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Not a commit as Git writes it.
    #[error("no commit as Git writes it: {0}")]
    Commit(&'static str),
    /// Not a tag as Git writes it.
    #[error("no tag as Git writes it: {0}")]
    Tag(&'static str),
    /// Not a folder as Git writes it.
    #[error("no folder as Git writes it: {0}")]
    Tree(&'static str),
}

/// The word for a kind.
pub fn word(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Commit => "commit",
        ObjectKind::Tree => "tree",
        ObjectKind::Blob => "blob",
        ObjectKind::Tag => "tag",
    }
}

/// The name of an object, by its content; and that it is no bigger than what is read.
pub fn name(frame: &Frame) -> Result<ObjectId, BadObject> {
    let Frame { kind, content } = frame;
    let bytes_max = match kind {
        ObjectKind::Commit | ObjectKind::Tag => COMMIT_BYTES_MAX,
        ObjectKind::Tree => TREE_BYTES_MAX,
        ObjectKind::Blob => BLOB_BYTES_MAX,
    };
    if content.len() > bytes_max {
        return Err(BadObject::TooBig { kind: word(*kind), bytes: content.len(), bytes_max });
    }
    sha1(&[format!("{} {}\0", word(*kind), content.len()).as_bytes(), content])
}

/// SHA-1, but of nothing that was made to collide.
pub(super) fn sha1(parts: &[&[u8]]) -> Result<ObjectId, BadObject> {
    let mut hash = Sha1::new();
    parts.iter().for_each(|part| hash.update(part));
    let result = hash.try_finalize();
    if result.has_collision() {
        return Err(BadObject::Collision);
    }
    Ok(ObjectId((*result.hash()).into()))
}

/// What a machine shows of what others wrote: at most a line, nothing that steers a terminal.
fn printable(bytes: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 200;
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().take(CHARACTERS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The fields of a commit's or tag's header.
struct Headers<'a> {
    content: &'a [u8],
    at: usize,
}

/// One of them: its word, its value with further lines, and where all of it is.
struct Field<'a> {
    word: &'a [u8],
    value: &'a [u8],
    place: Range<usize>,
}

impl<'a> Headers<'a> {
    /// The fields, and the message after them.
    fn read(content: &'a [u8]) -> Option<(Vec<Field<'a>>, &'a [u8])> {
        let mut headers = Headers { content, at: 0 };
        let mut fields = Vec::new();
        loop {
            match content.get(headers.at) {
                Some(b'\n') => return Some((fields, &content[headers.at + 1..])),
                // A commit without a message may end with its header.
                None => return Some((fields, &[])),
                Some(_) => fields.push(headers.next()?),
            }
        }
    }

    fn next(&mut self) -> Option<Field<'a>> {
        let begin = self.at;
        loop {
            self.at += self.content[self.at..].iter().position(|byte| *byte == b'\n')? + 1;
            // A line that begins with a blank goes on with the value.
            if self.content.get(self.at) != Some(&b' ') {
                break;
            }
        }
        let line = &self.content[begin..self.at - 1];
        let blank = line.iter().position(|byte| *byte == b' ')?;
        Some(Field { word: &line[..blank], value: &line[blank + 1..], place: begin..self.at })
    }
}

fn id(value: &[u8]) -> Option<ObjectId> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
