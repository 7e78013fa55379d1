//! Builds the keeper for static musl with a target folder of its own (cargo's lock on ours is held now), to be embedded.
//! Where that target is missing, nothing is embedded, and the agent executes its own binary as the keeper.
//! `ABIDE_KEEPER` names one that was built before.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-env-changed=ABIDE_KEEPER");
    for path in ["src", "Cargo.toml"] {
        println!("cargo::rerun-if-changed=../keeper/{path}");
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let embedded = folder.join("abide-keeper");
    let built = match env::var_os("ABIDE_KEEPER") {
        Some(path) => Some(PathBuf::from(path)),
        None => build(&folder.join("keeper")),
    };
    let bytes = built.map(|path| fs::read(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display())));
    fs::write(&embedded, bytes.unwrap_or_default()).expect("OUT_DIR can be written");
}

fn build(folder: &Path) -> Option<PathBuf> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let target = format!("{arch}-unknown-linux-musl");
    // Not position-independent: nothing is relocated at its start, so next to none of its memory is private.
    let flags = "-Ctarget-feature=+crt-static\u{1f}-Crelocation-model=static";
    let status = Command::new(env::var_os("CARGO").expect("cargo sets it"))
        .args(["build", "--release", "--locked", "--package", "abide-keeper", "--bin", "abide-keeper"])
        .args(["--target", &target, "--target-dir"])
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status();
    match status {
        Ok(status) if status.success() => Some(folder.join(target).join("release/abide-keeper")),
        _ => {
            println!(
                "cargo::warning=the keeper is not embedded, and each instance will cost more memory: `rustup target add {target}`"
            );
            None
        }
    }
}
