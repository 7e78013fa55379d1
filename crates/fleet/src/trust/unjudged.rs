//! What came for a target before it could be told whether it may be taken: in a file of its own, and not among the
//! machine's objects, so that what is refused leaves nothing behind. There is one such target at a time, and a bound of
//! what is brought before it is judged, so the file is bounded as well.

use super::hub::JUDGED_BYTES_MAX;
use crate::protocol::{Frame, ObjectId, read_frames, write_frame};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

const FILE: &str = "unjudged";

/// What is there of this target. Nothing is believed of it: whoever takes it in names each object anew.
pub(super) fn read(directory: &Path, commit: ObjectId) -> Vec<Frame> {
    let bytes = fs::read(directory.join(FILE)).unwrap_or_default();
    // It is of another target, or was cut: it can all be had again.
    let of = bytes.strip_prefix(&commit.0).unwrap_or_default();
    read_frames(of, JUDGED_BYTES_MAX).unwrap_or_default()
}

/// Keeps what came of this target, in the place of any other's.
pub(super) fn write<'a>(directory: &Path, commit: ObjectId, frames: impl Iterator<Item = &'a Frame>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(directory.join(FILE))?);
    file.write_all(&commit.0)?;
    for Frame { kind, content } in frames {
        write_frame(&mut file, *kind, content)?;
    }
    file.flush()
}

/// The target is judged.
pub(super) fn remove(directory: &Path) {
    match fs::remove_file(directory.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "what came for a target that was refused can't be removed");
        }
        _ => {}
    }
}
