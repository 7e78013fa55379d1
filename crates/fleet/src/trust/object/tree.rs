use super::BadObject;
use crate::protocol::ObjectId;
use std::{cmp::Ordering, collections::HashSet};

/// Bytes of a name (NAME_MAX).
const NAME_BYTES_MAX: usize = 255;

/// A folder: its entries, each of its own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree(pub Vec<Entry>);

/// What is in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called. Not necessarily text, but never a path, nor one that leads elsewhere.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Its object.
    pub id: ObjectId,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file, executable or not.
    File,
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Submodule,
}

impl Tree {
    /// Reads one.
    pub fn parse(content: &[u8]) -> Result<Self, BadObject> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut rest = content;
        while !rest.is_empty() {
            let entry = entry(&mut rest)?;
            if entries.last().is_some_and(|last| last.key().cmp(entry.key()) != Ordering::Less) {
                return Err(BadObject::Tree("its entries are not in order"));
            }
            entries.push(entry);
        }
        // In order, a file and a folder of one name need not be neighbours.
        let mut names = HashSet::with_capacity(entries.len());
        if entries.iter().all(|entry| names.insert(entry.name.as_slice())) {
            Ok(Self(entries))
        } else {
            Err(BadObject::Tree("it has a name twice"))
        }
    }

    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        let find = |name: &[u8]| self.0.binary_search_by(|entry| entry.key().cmp(name.iter().copied())).ok();
        // A folder stands where its name with `/` does.
        let at = find(name.as_bytes()).or_else(|| find(format!("{name}/").as_bytes()));
        at.and_then(|at| self.0.get(at)).filter(|entry| entry.name == name.as_bytes())
    }
}

impl Entry {
    /// What Git sorts by: a folder's name as if it ended with `/`.
    fn key(&self) -> impl Iterator<Item = u8> {
        self.name.iter().copied().chain((self.kind == EntryKind::Folder).then_some(b'/'))
    }
}

fn entry(rest: &mut &[u8]) -> Result<Entry, BadObject> {
    let bad = BadObject::Tree;
    let cut = bad("it ends within an entry");
    let blank = rest.iter().take(7).position(|byte| *byte == b' ').ok_or(bad("an entry without a mode"))?;
    let kind = match &rest[..blank] {
        b"40000" => EntryKind::Folder,
        // The second was written by the first releases of Git.
        b"100644" | b"100664" | b"100755" => EntryKind::File,
        b"120000" => EntryKind::Link,
        b"160000" => EntryKind::Submodule,
        _ => return Err(bad("a mode that Git doesn't write")),
    };
    let after = &rest[blank + 1..];
    let end = after.iter().take(NAME_BYTES_MAX + 1).position(|byte| *byte == 0);
    let end = end.ok_or(bad("a name that doesn't end, or is longer than 255 bytes"))?;
    let name = after[..end].to_vec();
    check(&name)?;
    let id = after.get(end + 1..end + 21).ok_or(cut)?;
    *rest = &after[end + 21..];
    Ok(Entry { name, kind, id: ObjectId(id.try_into().expect("20 bytes")) })
}

fn check(name: &[u8]) -> Result<(), BadObject> {
    match name {
        b"" => Err(BadObject::Tree("an entry without a name")),
        b"." | b".." => Err(BadObject::Tree("an entry that is called `.` or `..`")),
        _ if name.contains(&b'/') => Err(BadObject::Tree("an entry whose name is a path")),
        // As it is called on file systems that don't tell cases apart, or shorten names.
        _ if name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1") => {
            Err(BadObject::Tree("an entry that is called `.git`"))
        }
        _ => Ok(()),
    }
}
