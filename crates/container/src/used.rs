//! Which image an instance was launched from: a file in its directory. Its layers must stay as long as it is there, even if
//! the name that the unit knows the image by means another one by now.

use abide_host::fs::{self, Dir, Resolve, Sync};
use abide_reconcile::Digest;
use std::{collections::BTreeSet, path::Path};

pub(crate) const NAME: &str = "image";
/// A digest has 64.
const BYTES_MAX: u64 = 64;

/// Notes it for an instance.
pub(crate) fn note(dir: &Dir, image: Digest) -> fs::Result<()> {
    dir.write(NAME, image.to_string().as_bytes(), 0o600, Sync::ThisBoot)
}

/// The images of all instances below a folder, which has a folder a unit, which has one an instance.
pub(crate) fn all(units: &Path) -> fs::Result<BTreeSet<Digest>> {
    let units = match Dir::open(units) {
        Err(error) if error.is_missing() => return Ok(BTreeSet::new()),
        units => units?,
    };
    let mut found = BTreeSet::new();
    for unit in units.names()? {
        let Some(unit) = present(units.open_dir(unit, Resolve::Beneath))? else { continue };
        for instance in present(unit.names())?.unwrap_or_default() {
            let noted = unit.read(Path::new(&instance).join(NAME), Resolve::Beneath, BYTES_MAX);
            let Some(noted) = present(noted)? else { continue };
            found.extend(str::from_utf8(&noted).ok().and_then(|text| text.parse::<Digest>().ok()));
        }
    }
    Ok(found)
}

/// Units have other files beside instances, other kinds have no image, and all may go while we look.
fn present<T>(found: fs::Result<T>) -> fs::Result<Option<T>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.source.kind(), NotFound | NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_instances_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let units = folder.path().join("units");
        assert!(all(&units).unwrap().is_empty());
        let dir = Dir::open(folder.path()).unwrap();
        let digest = Digest([7; 32]);
        note(&dir.make_dirs("units/web/1-1", 0o700).unwrap(), digest).unwrap();
        let unit = dir.make_dirs("units/db", 0o700).unwrap();
        unit.make_dirs("1-2", 0o700).unwrap();
        unit.write("backoff", b"", 0o600, Sync::ThisBoot).unwrap();
        dir.open_dir("units", Resolve::Beneath).unwrap().write("file", b"", 0o600, Sync::ThisBoot).unwrap();
        assert_eq!(all(&units).unwrap(), BTreeSet::from([digest]));
    }
}
