//! What it keeps.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

/// Counts this start in a file, durably, and says how many there were.
pub(crate) fn count_start(folder: &Path) -> io::Result<u64> {
    let path = folder.join("starts");
    let before = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(io::Error::other)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let new = folder.join("starts.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{}", before + 1)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(before + 1)
}
