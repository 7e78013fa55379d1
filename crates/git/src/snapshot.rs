//! A complete snapshot of a source's folder: what [`abide_spec::parse`](fn@abide_spec::parse) reads.
//!
//! A commit and a folder on disk are read alike. Both tell what is at a path without following any link ([`Layout`]);
//! links are followed here, by names alone, so that none of them leads out of the tree, whatever the disk has there.
//! A link may lead anywhere in the repository, also out of the source's folder: that is how several machines share files.

use crate::packet::printable;
use abide_spec::{Tree, TreeFile, is_document};
use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    rc::Rc,
    sync::Arc,
};

/// Files and folders looked at, links expanded. A folder that holds itself by links, or one tree named a million times,
/// ends here.
const ENTRIES_MAX: usize = 200_000;

/// Bytes of a file; `spec` has its own, lower bounds for documents.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Folders in folders.
const DEPTH_MAX: usize = 100;

/// Bytes of a path (PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;

/// Links followed on the way to one file, as the kernel does.
const LINKS_MAX: usize = 40;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File {
        bytes: u64,
        is_executable: bool,
    },
    Folder,
    Link,
    Submodule,
    /// A socket, a device.
    Other,
}

/// Files as they lie there, no link followed. Paths have no empty part, no `.` and no `..`; the empty path is the root.
///
/// What can't be looked at is an error, and never taken for what isn't there: what a link leads to would be gone with it.
pub(crate) trait Layout {
    /// What is in a folder: names and kinds.
    fn list(&self, folder: &str) -> Result<Vec<(Vec<u8>, Kind)>, String>;
    /// What is at a path, if anything.
    fn kind(&self, path: &str) -> Result<Option<Kind>, String>;
    /// Where a link points, if that is short enough for a path.
    fn link(&self, path: &str) -> Result<Option<Vec<u8>>, String>;
    /// The content of a file of at most so many bytes.
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, String>;
}

/// Why a snapshot can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Git's objects can't be read.
    #[error("reading commit {commit}: {source}")]
    Commit {
        /// Which.
        commit: String,
        /// Why.
        source: git2::Error,
    },
    /// The folder on disk can't be read.
    #[error("reading the folder {folder}: {why}")]
    Folder {
        /// Which.
        folder: String,
        /// Why.
        why: String,
    },
    /// What a link leads through can't be looked at, so nobody can tell what is there.
    #[error("looking at {path}: {why}")]
    Unreadable {
        /// What.
        path: String,
        /// Why.
        why: String,
    },
    /// The source's path is not in the repository.
    #[error("the path `{path}` is not a folder of it: {why}")]
    Path {
        /// As the source has it.
        path: String,
        /// What is there instead.
        why: String,
    },
    /// More files than any machine's configuration has.
    #[error("more than {ENTRIES_MAX} files and folders: point `path` to the folder of this machine")]
    TooMany,
    /// Deeper than any machine's configuration is.
    #[error("folders more than {DEPTH_MAX} deep, in {folder}: point `path` to the folder of this machine")]
    TooDeep {
        /// Which.
        folder: String,
    },
}

impl SnapshotError {
    /// Whether nobody can tell what it says: that is no mistake in it, and it may be read another time.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Commit { .. } | Self::Unreadable { .. })
    }
}

/// A complete, unchanging folder.
pub struct Snapshot {
    layout: Box<dyn Layout + Send>,
    files: BTreeMap<String, Result<Found, String>>,
}

/// Where a file really is.
struct Found {
    path: String,
    bytes: u64,
    is_executable: bool,
}

impl Snapshot {
    /// Lists the folder `base` of `layout`; the empty one is all of it.
    pub(crate) fn take(layout: Box<dyn Layout + Send>, base: &str) -> Result<Self, SnapshotError> {
        let folder = real_folder(layout.as_ref(), base)?;
        let mut listing = Listing::new(layout.as_ref(), &folder);
        listing.walk(&folder, "", &Rc::new(Above { folder: folder.clone(), next: None }))?;
        listing.links()?;
        let files = listing.files;
        Ok(Self { layout, files })
    }

    /// Lists several folders of `layout` as one: every file by its whole path. What one holds of another counts once.
    pub(crate) fn take_folders(
        layout: Box<dyn Layout + Send>,
        folders: &BTreeSet<String>,
    ) -> Result<Self, SnapshotError> {
        let mut listing = Listing::new(layout.as_ref(), "");
        let mut done: Vec<&str> = Vec::new();
        // In order, so that what holds another comes before it.
        for path in folders.iter().map(|path| path.trim_matches('/')) {
            if done.iter().any(|outer| is_within(path, outer)) {
                continue;
            }
            match real_folder(layout.as_ref(), path) {
                Ok(folder) => listing.walk(&folder, path, &Rc::new(Above { folder: folder.clone(), next: None }))?,
                // One that isn't there has no files; whoever names it says so.
                Err(SnapshotError::Path { .. }) => {}
                Err(error) => return Err(error),
            }
            done.push(path);
        }
        listing.links()?;
        let files = listing.files;
        Ok(Self { layout, files })
    }
}

impl Tree for Snapshot {
    fn files(&self) -> Vec<TreeFile> {
        let file = |(path, found): (&String, &Result<Found, String>)| {
            let (size, is_executable) = found.as_ref().map_or((0, false), |found| (found.bytes, found.is_executable));
            TreeFile { path: path.clone(), size, is_executable, odd: found.as_ref().err().cloned() }
        };
        self.files.iter().map(file).collect()
    }

    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        let found = match self.files.get(path) {
            Some(Ok(found)) => found,
            Some(Err(why)) => return Err(why.clone()),
            None => return Err("it is not there".to_owned()),
        };
        if found.bytes > FILE_BYTES_MAX {
            return Err(format!(
                "it has {} bytes, more than the {} MiB a file may have",
                found.bytes,
                FILE_BYTES_MAX >> 20
            ));
        }
        let bytes = self.layout.read(&found.path, FILE_BYTES_MAX)?;
        // https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer is a small text that begins so.
        if bytes.len() < 1024 && bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
            return Err("it is a Git LFS pointer, and abide doesn't fetch from LFS: commit the file itself".to_owned());
        }
        Ok(bytes.into())
    }
}

/// The real folders that hold something, the innermost first. Each is there once, however much it holds.
struct Above {
    folder: String,
    next: Option<Rc<Above>>,
}

impl Above {
    fn contains(&self, folder: &str) -> bool {
        iter::successors(Some(self), |above| above.next.as_deref()).any(|above| above.folder == folder)
    }
}

/// A long way of links is as long a row of these, which is not to be taken apart by one call in another.
impl Drop for Above {
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(Ok(mut above)) = next.map(Rc::try_unwrap) {
            next = above.next.take();
        }
    }
}

/// A snapshot in the making.
struct Listing<'a> {
    layout: &'a dyn Layout,
    /// The real folder that is listed.
    base: &'a str,
    files: BTreeMap<String, Result<Found, String>>,
    /// Links, as they are called and where they really are, for when all else is listed.
    links: Vec<(String, String, Rc<Above>)>,
    entries: usize,
}

impl<'a> Listing<'a> {
    fn new(layout: &'a dyn Layout, base: &'a str) -> Self {
        Self { layout, base, files: BTreeMap::new(), links: Vec::new(), entries: 0 }
    }

    /// Whether a document is called otherwise than it really is: it was come to by a link.
    fn is_alias(&self, path: &str, file: &Found) -> bool {
        is_document(path) && file.path != join(self.base, path)
    }

    /// Lists what is in `folder` as what is in `shown`. `above` are the real folders that hold it.
    fn walk(&mut self, folder: &str, shown: &str, above: &Rc<Above>) -> Result<(), SnapshotError> {
        if folder.split('/').count() > DEPTH_MAX {
            return Err(SnapshotError::TooDeep { folder: printable(folder.as_bytes()) });
        }
        let list = self.layout.list(folder);
        let shown_folder = || if folder.is_empty() { "/".to_owned() } else { printable(folder.as_bytes()) };
        let list = list.map_err(|why| SnapshotError::Folder { folder: shown_folder(), why })?;
        for (name, kind) in list {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(SnapshotError::TooMany);
            }
            if name.starts_with(b".") {
                continue;
            }
            let text = match usable_name(&name, shown) {
                Ok(text) => text,
                Err(why) => {
                    self.files.insert(join(shown, &visible(&name)), Err(why.to_owned()));
                    continue;
                }
            };
            let path = join(shown, text);
            let real = join(folder, text);
            match kind {
                Kind::Folder => {
                    let above = Rc::new(Above { folder: real.clone(), next: Some(Rc::clone(above)) });
                    self.walk(&real, &path, &above)?;
                }
                Kind::Link => self.links.push((path, real, Rc::clone(above))),
                kind => self.insert(path, real, kind),
            }
        }
        Ok(())
    }

    /// Follows the links that were met, and those met on the way.
    fn links(&mut self) -> Result<(), SnapshotError> {
        let mut documents: BTreeSet<String> = self
            .files
            .iter()
            .filter_map(|(path, file)| Some((path, file.as_ref().ok()?)))
            .filter(|(path, file)| is_document(path) && !self.is_alias(path, file))
            .map(|(_, file)| file.path.clone())
            .collect();
        while let Some((path, real, above)) = self.links.pop() {
            let folder = real.rsplit_once('/').map_or("", |(folder, _)| folder);
            let name = &real[folder.len()..];
            match resolve(self.layout, folder, name) {
                Err(Lost::Nowhere(why)) => drop(self.files.insert(path, Err(why))),
                Err(Lost::Unreadable(error)) => return Err(error),
                Ok((target, Kind::Folder)) if above.contains(&target) => {
                    self.files.insert(path, Err("it is a link to a folder that holds it".to_owned()));
                }
                Ok((target, Kind::Folder)) => {
                    let above = Rc::new(Above { folder: target.clone(), next: Some(above) });
                    self.walk(&target, &path, &above)?;
                }
                Ok((target, kind)) => self.insert(path, target, kind),
            }
        }
        // A document counts once, however many links lead to it: as the one with the shortest way.
        let aliases = self.files.iter().filter_map(|(path, file)| Some((path, file.as_ref().ok()?)));
        let mut aliases: Vec<(usize, String, String)> = aliases
            .filter(|(path, file)| self.is_alias(path, file))
            .map(|(path, file)| (path.matches('/').count(), path.clone(), file.path.clone()))
            .collect();
        aliases.sort();
        for (_, alias, real) in aliases {
            if !documents.insert(real) {
                self.files.remove(&alias);
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: String, real: String, kind: Kind) {
        let found = match kind {
            Kind::File { bytes, is_executable } => Ok(Found { path: real, bytes, is_executable }),
            Kind::Submodule => {
                Err("it is a submodule, which abide doesn't fetch: commit the files themselves".to_owned())
            }
            _ => Err("it is neither a file nor a folder".to_owned()),
        };
        self.files.insert(path, found);
    }
}

/// Where the folder `path` really is.
fn real_folder(layout: &dyn Layout, path: &str) -> Result<String, SnapshotError> {
    let bad = |why: String| SnapshotError::Path { path: printable(path.as_bytes()), why };
    match resolve(layout, "", path) {
        Ok((folder, Kind::Folder)) => Ok(folder),
        Ok(_) => Err(bad("a file is there".to_owned())),
        Err(Lost::Nowhere(why)) => Err(bad(why)),
        Err(Lost::Unreadable(error)) => Err(error),
    }
}

fn is_within(path: &str, outer: &str) -> bool {
    outer.is_empty() || path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The name as text, or why nothing of this name is read.
fn usable_name<'a>(name: &'a [u8], folder: &str) -> Result<&'a str, &'static str> {
    match std::str::from_utf8(name) {
        _ if folder.len() + 1 + name.len() > PATH_BYTES_MAX => Err("its path is longer than 4096 bytes"),
        Err(_) => Err("its name is not UTF-8"),
        Ok(name) if name.is_empty() || name.contains('/') => Err("its name is none that a file can have"),
        Ok(name) if name.chars().any(char::is_control) => Err("its name has control characters"),
        Ok(name) if name.trim() != name => Err("its name begins or ends with a blank"),
        Ok(name) => Ok(name),
    }
}

/// A name that is not usable, for a person. Its ending stays: a document that can't be read is a mistake.
fn visible(name: &[u8]) -> String {
    const BYTES_MAX: usize = 60;
    let text = name[..name.len().min(BYTES_MAX)].escape_ascii().to_string().replace('/', "\\x2f").replace(' ', "\\x20");
    match name.len() > BYTES_MAX {
        true if is_document(&String::from_utf8_lossy(name)) => format!("{text}….yaml"),
        true => format!("{text}…"),
        false => text,
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Why it isn't known what a path leads to.
enum Lost {
    /// To nothing.
    Nowhere(String),
    /// Who could say can't be read.
    Unreadable(SnapshotError),
}

/// Where `path`, seen from `folder`, really is, and what is there: every link on the way followed inside the tree.
fn resolve(layout: &dyn Layout, folder: &str, path: &str) -> Result<(String, Kind), Lost> {
    let nowhere = |why: String| Err(Lost::Nowhere(why));
    let mut done: Vec<String> = folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
    let mut kind = Kind::Folder;
    let mut links = 0;
    while let Some(part) = todo.pop() {
        match (part.as_str(), kind) {
            // As for the kernel, what is no folder leads nowhere: not to itself, and not to what holds it.
            (_, Kind::File { .. } | Kind::Other) => return nowhere(format!("{} is no folder", done.join("/"))),
            ("" | ".", _) => continue,
            ("..", _) if done.pop().is_none() => {
                return nowhere("it is a link that leads out of the repository".to_owned());
            }
            ("..", _) => {
                kind = Kind::Folder;
                continue;
            }
            (_, Kind::Submodule) => {
                return nowhere(format!("{} is a submodule, which abide doesn't fetch", done.join("/")));
            }
            _ => done.push(part),
        }
        let here = done.join("/");
        let unreadable =
            |why: String| Lost::Unreadable(SnapshotError::Unreadable { path: printable(here.as_bytes()), why });
        match layout.kind(&here).map_err(unreadable)? {
            None => return nowhere(format!("{here} is not there")),
            Some(Kind::Link) => {
                links += 1;
                if links > LINKS_MAX {
                    return nowhere(format!("the links at {here} never end"));
                }
                let target = target(&here, layout.link(&here).map_err(unreadable)?).map_err(Lost::Nowhere)?;
                done.pop();
                kind = Kind::Folder;
                todo.extend(target.rsplit('/').map(str::to_owned));
            }
            Some(found) => kind = found,
        }
    }
    Ok((done.join("/"), kind))
}

/// The way that a link names, if it is one inside the tree.
fn target(link: &str, target: Option<Vec<u8>>) -> Result<String, String> {
    let target = target.filter(|target| target.len() <= PATH_BYTES_MAX);
    let target = target.ok_or_else(|| format!("the link {link} is longer than {PATH_BYTES_MAX} bytes"))?;
    match String::from_utf8(target) {
        Err(_) => Err(format!("the link {link} is not UTF-8")),
        Ok(target) if target.is_empty() => Err(format!("the link {link} is empty")),
        // What no path has is asked of nobody.
        Ok(target) if target.contains('\0') => Err(format!("the link {link} has a NUL")),
        Ok(target) if target.starts_with('/') => {
            Err(format!("{link} is an absolute link: only links inside the repository are followed"))
        }
        Ok(target) => Ok(target),
    }
}
