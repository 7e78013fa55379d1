//! What of a commit a machine needs: its folders with all below, and what links in there lead to. Read level by level, so
//! that what is missing can be asked for together.
//!
//! Links are followed as `abide_git` follows them when it reads the same commit, and what it looks at on the way is brought:
//! what leads nowhere, or out of the repository, needs nothing more, and is that one's to say.

use super::{
    object::{BadObject, EntryKind, Tree, word},
    objects::Objects,
};
use crate::protocol::{ObjectId, ObjectKind};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Files and folders, as many as are read of a commit.
const ENTRIES_MAX: usize = 200_000;
/// Names looked up on the ways of links.
const STEPS_MAX: usize = 2_000_000;
/// Folders in folders.
const DEPTH_MAX: usize = 100;
/// Bytes of a path (PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;
/// Links followed on the way to one file, as the kernel does.
const LINKS_MAX: usize = 40;

/// Why no machine can use the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkError {
    /// More than any machine's configuration has.
    TooMuch(String),
    /// Something is not what it is said to be.
    Object(ObjectId, BadObject),
    /// Nobody waits any more.
    Cancelled,
}

/// A walk over a commit's tree.
pub struct Walk {
    root: ObjectId,
    todo: Vec<Todo>,
    /// What lacks an object.
    waiting: Vec<Todo>,
    missing: BTreeMap<ObjectId, ObjectKind>,
    /// Beside the files.
    needs: BTreeSet<ObjectId>,
    files: BTreeSet<ObjectId>,
    /// Folders that were read, by where they really are.
    seen: BTreeSet<String>,
    trees: HashMap<ObjectId, Arc<Tree>>,
    /// Files and folders come by, each as often as it has another path.
    entries: usize,
    /// Those of the folders that were read, each once.
    listed: usize,
    steps: usize,
}

#[derive(Clone, Debug)]
enum Todo {
    /// What is at `path`, seen from `folder`.
    Path {
        folder: String,
        path: String,
    },
    Folder {
        path: String,
        id: ObjectId,
    },
    File {
        id: ObjectId,
    },
}

enum Way {
    Leads(String, EntryKind, ObjectId),
    /// Nowhere.
    Ends,
    Lacks(ObjectId, ObjectKind),
}

impl Walk {
    /// Over these folders of the tree `root`.
    pub fn new<'a>(root: ObjectId, paths: impl IntoIterator<Item = &'a String>) -> Self {
        let path = |path: &String| Todo::Path { folder: String::new(), path: path.clone() };
        Self {
            root,
            todo: paths.into_iter().map(path).collect(),
            waiting: Vec::new(),
            missing: BTreeMap::new(),
            needs: BTreeSet::from([root]),
            files: BTreeSet::new(),
            seen: BTreeSet::new(),
            trees: HashMap::new(),
            entries: 0,
            listed: 0,
            steps: 0,
        }
    }

    /// Goes on as far as the objects that are here let it, and says which others it needs. None: it is all here.
    ///
    /// Before each thing that it looks at it asks whether anybody waits for that.
    pub fn go(
        &mut self,
        objects: &Objects,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<&BTreeMap<ObjectId, ObjectKind>, WalkError> {
        self.missing.clear();
        self.todo.append(&mut self.waiting);
        while let Some(todo) = self.todo.pop() {
            if is_cancelled() {
                return Err(WalkError::Cancelled);
            }
            let lacks = match todo.clone() {
                Todo::Path { folder, path } => self.path(&folder, &path, objects)?,
                Todo::Folder { path, id } => self.folder(path, id, objects)?,
                Todo::File { id } => self.file(id, objects)?,
            };
            if let Some((id, kind)) = lacks {
                if self.missing.insert(id, kind).is_some_and(|other| other != kind) {
                    let why = BadObject::Kind { wanted: word(kind), found: "file or folder as well" };
                    return Err(WalkError::Object(id, why));
                }
                self.waiting.push(todo);
            }
        }
        Ok(&self.missing)
    }

    /// The objects of all that was walked over.
    pub fn into_needs(mut self) -> BTreeSet<ObjectId> {
        self.needs.append(&mut self.files);
        self.needs
    }

    fn path(
        &mut self,
        folder: &str,
        path: &str,
        objects: &Objects,
    ) -> Result<Option<(ObjectId, ObjectKind)>, WalkError> {
        match self.resolve(folder, path, objects)? {
            Way::Leads(path, EntryKind::Folder, id) => self.todo.push(Todo::Folder { path, id }),
            Way::Leads(_, EntryKind::File, id) => self.todo.push(Todo::File { id }),
            Way::Leads(..) | Way::Ends => {}
            Way::Lacks(id, kind) => return Ok(Some((id, kind))),
        }
        Ok(None)
    }

    fn file(&mut self, id: ObjectId, objects: &Objects) -> Result<Option<(ObjectId, ObjectKind)>, WalkError> {
        // One file may have a name in every folder, and is read once: also where it lacks.
        if self.files.contains(&id) {
            return Ok(None);
        }
        if self.missing.get(&id) == Some(&ObjectKind::Blob) {
            return Ok(Some((id, ObjectKind::Blob)));
        }
        // Read and not only looked up, so that a damaged one is had again.
        match objects.read(id).map(|frame| frame.kind) {
            Some(ObjectKind::Blob) => {
                self.files.insert(id);
                Ok(None)
            }
            None => Ok(Some((id, ObjectKind::Blob))),
            Some(other) => Err(WalkError::Object(id, BadObject::Kind { wanted: "blob", found: word(other) })),
        }
    }

    fn folder(
        &mut self,
        path: String,
        id: ObjectId,
        objects: &Objects,
    ) -> Result<Option<(ObjectId, ObjectKind)>, WalkError> {
        if self.seen.contains(&path) {
            return Ok(None);
        }
        let Some(tree) = self.tree(id, objects)? else { return Ok(Some((id, ObjectKind::Tree))) };
        self.entries += tree.0.len() + 1;
        if self.entries > ENTRIES_MAX {
            return Err(too_many());
        }
        let depth = path.split('/').count();
        if path.len() > PATH_BYTES_MAX || depth > DEPTH_MAX {
            return Err(too_far());
        }
        for entry in &tree.0 {
            // What is hidden, or no text, is not read, but what it is is looked at: it is part of the folder all the same.
            let name = std::str::from_utf8(&entry.name).map(str::to_owned);
            let name = name.unwrap_or_else(|_| format!("\0{}", entry.name.escape_ascii()));
            match entry.kind {
                // What is too deep, or too long, is so before it is noted: many of them are much.
                EntryKind::Folder if depth == DEPTH_MAX || path.len() + name.len() >= PATH_BYTES_MAX => {
                    return Err(too_far());
                }
                EntryKind::Folder => self.todo.push(Todo::Folder { path: join(&path, &name), id: entry.id }),
                EntryKind::File => self.todo.push(Todo::File { id: entry.id }),
                EntryKind::Link if name.starts_with(['.', '\0']) => {}
                EntryKind::Link => self.todo.push(Todo::Path { folder: path.clone(), path: name }),
                EntryKind::Submodule => {}
            }
        }
        self.seen.insert(path);
        Ok(None)
    }

    fn tree(&mut self, id: ObjectId, objects: &Objects) -> Result<Option<Arc<Tree>>, WalkError> {
        if let Some(tree) = self.trees.get(&id) {
            return Ok(Some(tree.clone()));
        }
        let Some(frame) = objects.read(id) else { return Ok(None) };
        if frame.kind != ObjectKind::Tree {
            return Err(WalkError::Object(id, BadObject::Kind { wanted: "tree", found: word(frame.kind) }));
        }
        let tree = Arc::new(Tree::parse(&frame.content).map_err(|why| WalkError::Object(id, why))?);
        // Also of folders that only links lead through.
        self.listed += tree.0.len() + 1;
        if self.listed > ENTRIES_MAX {
            return Err(too_many());
        }
        self.needs.insert(id);
        self.trees.insert(id, tree.clone());
        Ok(Some(tree))
    }

    /// Where `path`, seen from `folder`, really is: every link on the way followed inside the tree.
    fn resolve(&mut self, folder: &str, path: &str, objects: &Objects) -> Result<Way, WalkError> {
        let mut done: Vec<String> = folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut links = 0;
        let mut here = match self.look(&done, objects)? {
            Ok(found) => found,
            Err(way) => return Ok(way),
        };
        while let Some(part) = todo.pop() {
            match part.as_str() {
                _ if here.0 == EntryKind::File => return Ok(Way::Ends),
                "" | "." => continue,
                ".." if done.pop().is_none() => return Ok(Way::Ends),
                ".." => {}
                _ if here.0 != EntryKind::Folder => return Ok(Way::Ends),
                _ => done.push(part),
            }
            here = match self.look(&done, objects)? {
                Ok(found) => found,
                Err(way) => return Ok(way),
            };
            if let Some((id, kind)) = self.lacks(here, objects)? {
                return Ok(Way::Lacks(id, kind));
            }
            if here.0 == EntryKind::Link {
                links += 1;
                let Some(target) = objects.read(here.1) else { return Ok(Way::Lacks(here.1, ObjectKind::Blob)) };
                if target.kind != ObjectKind::Blob {
                    let why = BadObject::Kind { wanted: "blob", found: word(target.kind) };
                    return Err(WalkError::Object(here.1, why));
                }
                self.needs.insert(here.1);
                let target = String::from_utf8(target.content).unwrap_or_default();
                if links > LINKS_MAX || target.is_empty() || target.starts_with('/') || target.len() > PATH_BYTES_MAX {
                    return Ok(Way::Ends);
                }
                done.pop();
                here = (EntryKind::Folder, here.1);
                todo.extend(target.rsplit('/').map(str::to_owned));
            }
        }
        match self.look(&done, objects)? {
            Ok((kind, id)) => Ok(Way::Leads(done.join("/"), kind, id)),
            Err(way) => Ok(way),
        }
    }

    /// What somebody lacks who looks at this, wherever the way goes on from there.
    fn lacks(
        &mut self,
        (kind, id): (EntryKind, ObjectId),
        objects: &Objects,
    ) -> Result<Option<(ObjectId, ObjectKind)>, WalkError> {
        match kind {
            EntryKind::Folder => Ok(self.tree(id, objects)?.is_none().then_some((id, ObjectKind::Tree))),
            EntryKind::File => self.file(id, objects),
            // A link is read where it is followed; and what a submodule is, its entry says.
            EntryKind::Link | EntryKind::Submodule => Ok(None),
        }
    }

    /// What is at a path without links.
    fn look(&mut self, path: &[String], objects: &Objects) -> Result<Result<(EntryKind, ObjectId), Way>, WalkError> {
        let mut found = (EntryKind::Folder, self.root);
        for part in path {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(WalkError::TooMuch("links that lead too far".to_owned()));
            }
            if found.0 != EntryKind::Folder {
                return Ok(Err(Way::Ends));
            }
            let Some(tree) = self.tree(found.1, objects)? else {
                return Ok(Err(Way::Lacks(found.1, ObjectKind::Tree)));
            };
            let Some(entry) = tree.get(part) else { return Ok(Err(Way::Ends)) };
            found = (entry.kind, entry.id);
        }
        Ok(Ok(found))
    }
}

fn too_far() -> WalkError {
    WalkError::TooMuch(format!("folders {DEPTH_MAX} deep, or paths of more than {PATH_BYTES_MAX} bytes"))
}

fn too_many() -> WalkError {
    WalkError::TooMuch(format!("more than {ENTRIES_MAX} files and folders"))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
