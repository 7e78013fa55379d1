//! Files by path: of a folder, of a repository's folder, of an archive.

use super::LocalError;
use crate::{
    decompress::Plain,
    origin::{Attend, Watched},
    tar::{Archive, Kind, TarError},
};
use abide_host::fs::{Dir, Error, Resolve, Result as FileResult};
use abide_spec::{FileRef, Listing};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::Path,
};

/// Files in an archive of an image.
const ARCHIVE_ENTRIES_MAX: usize = 100_000;
/// Bytes of an archive that is compressed as a whole, once it is not.
const ARCHIVE_BYTES_MAX: u64 = 64 << 30;
/// Bytes of the listing of a repository's folder.
const LISTING_BYTES_MAX: u64 = 64 << 20;
/// Links after each other in an archive.
const LINKS_MAX: usize = 8;

/// Files by path.
pub(crate) enum Files {
    /// A folder of this machine.
    Folder(Dir),
    /// A folder of a repository, whose files are in the store of files by digest.
    Listing { store: Dir, listing: Listing },
    /// In a tar archive.
    Archive { file: File, places: BTreeMap<String, Place> },
}

/// Where something is in an archive.
pub(crate) enum Place {
    File {
        offset: u64,
        size: u64,
    },
    /// Older versions of `docker save` write a layer once and link to it.
    Link(String),
}

/// A file to be read, and how many bytes it has.
type Opened<'a> = (Box<dyn Read + 'a>, u64);

impl Files {
    /// What is at an absolute path of this machine: a folder or an archive. No symbolic link is followed: who may write
    /// below what was granted could lead out of it.
    pub(crate) fn on_host(path: &str, attend: &Attend<'_>, scratch: &Dir) -> Result<Self, LocalError> {
        let root = Dir::open(Path::new("/"))?;
        let below = path.trim_matches('/');
        match root.open_dir(below, Resolve::Beneath) {
            Ok(dir) => Ok(Self::Folder(dir)),
            Err(error) if error.source.kind() == io::ErrorKind::NotADirectory => {
                Self::archive(root.open_file(below, Resolve::Beneath)?, attend, scratch)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What a repository has: a folder or an archive, in the store of files.
    pub(crate) fn in_store(
        store: &Dir,
        found: &FileRef,
        attend: &Attend<'_>,
        scratch: &Dir,
    ) -> Result<Self, LocalError> {
        let file = store.open_file(found.digest.to_string(), Resolve::Beneath)?;
        let mut start = [0; 1];
        // A tar archive begins with a name, a compressed one with something that isn't ASCII; a listing with a brace. A name
        // may do so as well, and then the whole is no listing.
        if file.read_at(&mut start, 0)? == 1
            && start == *b"{"
            && let Ok(listing) = listing(&file)
        {
            let store = store.open_dir(".", Resolve::Beneath)?;
            return Ok(Self::Listing { store, listing });
        }
        Self::archive(file, attend, scratch)
    }

    /// An archive, which may be compressed as a whole: then a plain copy is made in `scratch`.
    fn archive(file: File, attend: &Attend<'_>, scratch: &Dir) -> Result<Self, LocalError> {
        let mut plain = Plain::new(Watched::new(&file, attend))?;
        let file = if plain.is_as_it_is() {
            drop(plain);
            file
        } else {
            let mut copy = scratch.create("archive", 0o600)?;
            if io::copy(&mut (&mut plain).take(ARCHIVE_BYTES_MAX + 1), &mut copy)? > ARCHIVE_BYTES_MAX {
                return Err(TarError::Malformed("it is too big").into());
            }
            drop(plain);
            copy
        };
        (&file).seek(SeekFrom::Start(0))?;
        let mut archive = Archive::new(BufReader::with_capacity(128 << 10, Watched::new(&file, attend)));
        let mut places = BTreeMap::new();
        while let Some(entry) = archive.next()? {
            let target = match entry.kind {
                Kind::File => Place::File { offset: archive.position(), size: entry.size },
                Kind::Symlink | Kind::Hardlink => {
                    let is_hard = entry.kind == Kind::Hardlink;
                    let folder = if is_hard { "" } else { &normal("", &text(&entry.path)) };
                    let folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
                    Place::Link(normal(folder, &text(&entry.target)))
                }
                _ => continue,
            };
            places.insert(normal("", &text(&entry.path)), target);
            if places.len() > ARCHIVE_ENTRIES_MAX {
                return Err(TarError::Malformed("it has too many files").into());
            }
        }
        Ok(Self::Archive { file, places })
    }

    /// A file and its size; none if it isn't there.
    pub(crate) fn open(&self, path: &str) -> Result<Option<Opened<'_>>, LocalError> {
        let file = match self {
            Self::Folder(dir) => dir.open_file(path, Resolve::Beneath),
            Self::Listing { store, listing } => match listing.get(path) {
                Some(found) => store.open_file(found.digest.to_string(), Resolve::Beneath),
                None => return Ok(None),
            },
            Self::Archive { file, places } => return Ok(part(file, places, path)),
        };
        let Some(file) = present(file)? else { return Ok(None) };
        let size = file.metadata()?.len();
        Ok(Some((Box::new(file), size)))
    }

    /// The content of a small file; none if it isn't there.
    pub(crate) fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, LocalError> {
        let Some((file, size)) = self.open(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
        if size > bytes_max || bytes.len() as u64 > bytes_max {
            let text = format!("{path:?} has more than {bytes_max} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text).into());
        }
        Ok(Some(bytes))
    }
}

/// A file of an archive.
fn part<'a>(file: &'a File, places: &BTreeMap<String, Place>, path: &str) -> Option<(Box<dyn Read + 'a>, u64)> {
    let mut path = normal("", path);
    for _ in 0..LINKS_MAX {
        match places.get(&path)? {
            Place::File { offset, size } => {
                let part = Part { file, offset: *offset, left: *size };
                return Some((Box::new(BufReader::with_capacity(128 << 10, part)), *size));
            }
            Place::Link(target) => path.clone_from(target),
        }
    }
    None
}

/// A stretch of a file, read without its position, which others share.
struct Part<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(&mut buffer[..length], self.offset)?;
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

fn listing(file: &File) -> io::Result<Listing> {
    let mut bytes = Vec::new();
    file.take(LISTING_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn present(file: FileResult<File>) -> Result<Option<File>, Error> {
    match file {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A path without `.` and `..`, which never leaves the archive: it is only a key.
fn normal(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_archives_are_keys() {
        for (folder, path, wanted) in [
            ("", "./a/b", "a/b"),
            ("", "/a//b/", "a/b"),
            ("x", "../y/layer.tar", "y/layer.tar"),
            ("x", "../../../etc/passwd", "etc/passwd"),
            ("x/y", "z", "x/y/z"),
        ] {
            assert_eq!(normal(folder, path), wanted, "{folder} {path}");
        }
    }
}
