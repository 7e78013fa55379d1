//! The hub, if this machine is enrolled with one.

use super::Finding;
use crate::{enroll::directory, exit::with_causes, here::Here};
use abide_fleet::link::{Folder, enroll::greet, system};

pub(super) fn look(here: &Here) -> Option<Finding> {
    const WHAT: &str = "hub";
    const LOST: &str = "no commit comes from it; what runs, runs on";
    let folder = Folder::of(&directory(here));
    let identity = match folder.identity() {
        Ok(identity) => identity?,
        Err(error) => return Some(Finding::lacking(WHAT, with_causes(&error), LOST)),
    };
    let greeted = abide_agent::runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(greet(&identity, system())).map_err(|error| with_causes(&error)));
    Some(match greeted {
        Ok(until) => {
            let found = format!("{} answers; {} of it has a certificate until {until}", identity.hub, identity.name);
            Finding::good(WHAT, found)
        }
        Err(why) => Finding::lacking(WHAT, format!("{}: {why}", identity.hub), LOST),
    })
}
