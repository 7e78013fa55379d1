//! The program that this crate's tests run where the product runs itself: the child that reads repositories.

use std::{env, ffi::OsStr, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    match arguments.get(1).and_then(|name| name.to_str()) {
        Some("fetch") => abide_git::fetch_child(arguments.get(2).map_or(OsStr::new(""), |job| job)),
        _ => ExitCode::from(64),
    }
}
