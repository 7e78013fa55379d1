//! The project's own programs as they are released.

use crate::Problem;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds one, unless it is built already.
pub(crate) fn release(package: &str, name: &str) -> Result<PathBuf, Problem> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--release", "--locked", "--quiet", "-p", package, "--bin", name, "--target-dir"];
    let output = Command::new(cargo).args(build).arg(&folder).current_dir(&repository).output()?;
    if !output.status.success() {
        return Err(format!("building {name}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(folder.join("release").join(name))
}
