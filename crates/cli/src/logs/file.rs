//! The files of one instance's log, read as one, also while they grow and are rotated.

use super::line::{Line, Lines};
use crate::exit::Failure;
use abide_reconcile::InstanceId;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// More files than a keeper leaves of one instance.
const ROTATED_MAX: usize = 16;

/// The instances that have logs, the oldest first.
pub(super) fn instances(folder: &Path) -> Result<BTreeSet<InstanceId>, Failure> {
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(Failure::file("reading", folder))?,
    };
    let mut ids = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(Failure::file("reading", folder))?.file_name();
        let id: Option<InstanceId> =
            name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|id| id.parse().ok());
        ids.extend(id);
    }
    Ok(ids)
}

/// How far the log of an instance is read.
pub(super) struct Reader {
    path: PathBuf,
    instance: InstanceId,
    /// The file that is being read; none before the first.
    file: Option<BufReader<File>>,
    /// What was read of a line that has no end yet.
    half: Vec<u8>,
    lines: Lines,
}

impl Reader {
    pub(super) fn open(folder: &Path, instance: InstanceId) -> Self {
        let path = folder.join(format!("{instance}.log"));
        Self { path, instance, file: None, half: Vec::new(), lines: Lines::default() }
    }

    pub(super) fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Reads all that is new.
    pub(super) fn read(&mut self, take: &mut dyn FnMut(Line)) -> Result<(), Failure> {
        loop {
            self.read_file(take).map_err(Failure::file("reading", &self.path))?;
            match self.next().map_err(Failure::file("reading", &self.path))? {
                Some(file) => self.file = Some(BufReader::new(file)),
                None => return Ok(()),
            }
        }
    }

    fn read_file(&mut self, take: &mut dyn FnMut(Line)) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        while file.read_until(b'\n', &mut self.half)? > 0 {
            if let Some(line) = self.half.strip_suffix(b"\n") {
                self.lines.take(line).map(&mut *take);
                self.half.clear();
            }
        }
        Ok(())
    }

    /// The file after the one that was read: the next younger; none if that was the youngest.
    fn next(&self) -> io::Result<Option<File>> {
        let present = self.file.as_ref().map(|file| file.get_ref().metadata()).transpose()?.map(|meta| meta.ino());
        let mut files = self.rotated()?;
        match present.and_then(|inode| files.iter().position(|(known, _)| *known == inode)) {
            Some(place) if place + 1 < files.len() => Ok(Some(files.swap_remove(place + 1).1)),
            Some(_) => Ok(None),
            // Nothing was read so far; or so much was printed meanwhile that the file is gone, and the oldest goes on.
            None if files.is_empty() => Ok(None),
            None => Ok(Some(files.swap_remove(0).1)),
        }
    }

    /// All files, the oldest first, with what tells one from another.
    fn rotated(&self) -> io::Result<Vec<(u64, File)>> {
        let mut files = Vec::new();
        for number in (0..ROTATED_MAX).rev() {
            let mut path = self.path.clone().into_os_string();
            if number > 0 {
                path.push(format!(".{number}"));
            }
            match File::open(path) {
                Ok(file) => files.push((file.metadata()?.ino(), file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    fn write(path: &Path, texts: &[&str]) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        for text in texts {
            writeln!(file, "2026-11-25T21:12:00.0Z stdout F {text}").unwrap();
        }
    }

    fn read(reader: &mut Reader) -> Vec<String> {
        let mut texts = Vec::new();
        reader.read(&mut |line| texts.push(String::from_utf8(line.text).unwrap())).unwrap();
        texts
    }

    #[test]
    fn files_are_read_as_one_while_they_are_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("3-7.log.1"), &["a"]);
        write(&at("3-7.log"), &["b"]);
        let mut reader = Reader::open(folder.path(), "3-7".parse().unwrap());
        assert_eq!(read(&mut reader), ["a", "b"]);
        assert_eq!(read(&mut reader), Vec::<String>::new());
        write(&at("3-7.log"), &["c"]);
        fs::rename(at("3-7.log.1"), at("3-7.log.2")).unwrap();
        fs::rename(at("3-7.log"), at("3-7.log.1")).unwrap();
        write(&at("3-7.log"), &["d"]);
        assert_eq!(read(&mut reader), ["c", "d"]);
    }

    #[test]
    fn instances_are_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10-1.log", "9-20.log", "9-3.log", "9-3.log.1", "x.log", "other"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let ids: Vec<String> = instances(folder.path()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["9-3", "9-20", "10-1"]);
        assert!(instances(&folder.path().join("none")).unwrap().is_empty());
    }
}
