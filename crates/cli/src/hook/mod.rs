//! What a repository of `abide init` runs when it is pushed to, as the pusher and with the pusher's rights.
//!
//! ```text
//!  git push ─► pre-receive ─────────── the quarantined tree is read here, judged by validate's rules, planned by the agent
//!                 │ refuses, or          (which is told units, never a path)
//!                 ▼
//!              reference-transaction ── committed: the agent is told to look
//!                 ▼
//!              post-receive ─────────── a view of what becomes of it; the push is over whatever happens to it
//! ```
//!
//! A yes here is advice for people: the agent judges every commit anew, however it came. Where no agent runs a valid push
//! is taken, and judged by the guard later.

mod after;
mod judge;
mod known;

use crate::{
    exit::{Done, Failure},
    here::Here,
};
use std::{env, ffi::OsString, path::PathBuf};

pub(crate) fn run(here: &Here, name: &str, rest: &[OsString]) -> Done {
    match name {
        "pre-receive" => judge::run(here),
        "reference-transaction" => after::moved(here, rest.first().is_some_and(|state| state == "committed")),
        "post-receive" => after::received(here),
        _ => {
            let known = abide_git::init::HOOKS.join(", ");
            Err(Failure::usage(format!("there is no hook {name}; there are {known}, and Git runs them")))
        }
    }
}

/// A variable of the hook's environment.
fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from)
}
