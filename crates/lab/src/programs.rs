//! What runs inside: programs for other targets, built when a test first asks. Cargo's lock on their target folders lets
//! tests side by side ask at once, and what is built already costs one look.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The bare-metal guest of `crates/guest`, an ELF file that boots by PVH.
pub fn guest() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build(&repository().join("crates/guest"), "x86_64-unknown-none", "abide-guest")).clone()
}

/// The server of `crates/lab/hello`, one static file.
pub fn hello() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| build(&repository().join("crates/lab/hello"), "x86_64-unknown-linux-musl", "abide-hello"))
        .clone()
}

/// The root of the workspace.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn build(package: &Path, target: &str, name: &str) -> PathBuf {
    let all = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let folder = all.join(name);
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--quiet", "--bin", name, "--target", target, "--target-dir"])
        .arg(&folder)
        // The package's own settings count there.
        .current_dir(package)
        .output()
        .unwrap_or_else(|error| panic!("building {name} needs cargo: {error}"));
    assert!(output.status.success(), "building {name}: {}", String::from_utf8_lossy(&output.stderr));
    folder.join(target).join("release").join(name)
}
