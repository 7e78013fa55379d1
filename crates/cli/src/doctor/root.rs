//! The root: its agent, its folders, and their disk.

use super::Finding;
use crate::{client::Client, here::Here};
use abide_host::overlay;
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// Less than this is soon full: an image has as much.
const BYTES_LOW: u64 = 1 << 30;

/// Less than this and not even decisions are sure to be written.
const BYTES_MIN: u64 = 16 << 20;

pub(super) fn look(here: &Here) -> Vec<Finding> {
    vec![agent(here), folders(here), room(here)]
}

fn agent(here: &Here) -> Finding {
    const WHAT: &str = "agent";
    match Client::connect(&here.paths.agent_socket()) {
        Ok(Some(_)) => Finding::good(WHAT, "runs"),
        Ok(None) => {
            let lost = format!("nothing restarts what exits, and no source is followed: `{}`", here.command("agent"));
            Finding::lacking(WHAT, "does not run", lost)
        }
        Err(failure) => Finding::lacking(WHAT, failure.text, "it can't be asked"),
    }
}

fn folders(here: &Here) -> Finding {
    const WHAT: &str = "folders";
    let state = &here.paths.state;
    let checked = overlay::check_path(state).and_then(|()| overlay::check_upper(there(state)));
    match checked {
        Ok(()) => Finding::good(WHAT, format!("{}, {}", state.display(), here.paths.run.display())),
        Err(error) => Finding::missing(WHAT, error.to_string(), "no container can be started with this root"),
    }
}

fn room(here: &Here) -> Finding {
    const WHAT: &str = "disk";
    let path = there(&here.paths.state);
    let bytes = match statvfs(path) {
        Ok(found) => found.blocks_available() * found.fragment_size(),
        Err(errno) => return Finding::missing(WHAT, format!("{}: {errno}", path.display()), "nothing can be kept"),
    };
    let found = format!("{} MiB free at {}", bytes >> 20, path.display());
    match bytes {
        0..BYTES_MIN => Finding::missing(WHAT, found, "decisions can't be written: make room"),
        BYTES_MIN..BYTES_LOW => Finding::lacking(WHAT, found, "images may not fit: make room"),
        _ => Finding::good(WHAT, found),
    }
}

/// The path, or what is there above it.
fn there(path: &Path) -> &Path {
    path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"))
}
