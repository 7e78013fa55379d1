//! `abide doctor`: what this machine offers, found out by trying where that leaves no trace, and what is lost where
//! something is missing.
//!
//! | module | what it looks at |
//! |---|---|
//! | `kernel` | rights, control groups, mounts, filters, virtual machines, the keeper |
//! | `network` | links and tables, tried in a network namespace of their own; forwarding, other firewalls |
//! | `hub` | the hub of the fleet that it is enrolled in |
//! | `root` | the agent, the folders and the room on their disk |

mod hub;
mod kernel;
mod network;
mod root;

use crate::{
    args::Doctor,
    exit::{Done, Exit},
    here::Here,
    output,
    render::{doctor::report, style::Style},
};
use serde::Serialize;

/// What was looked at, and how it is.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// As "overlay file systems".
    pub(crate) what: &'static str,
    pub(crate) health: Health,
    /// What there is.
    pub(crate) found: String,
    /// What doesn't work, and what to do; empty if all is well.
    pub(crate) lost: String,
}

/// Whether it is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Health {
    Good,
    /// Something is lost, and the rest works.
    Lacking,
    /// Nothing works without it.
    Missing,
}

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) healthy: bool,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) fn run(here: &Here, command: &Doctor) -> Done {
    let findings: Vec<Finding> =
        kernel::look().into_iter().chain(network::look()).chain(root::look(here)).chain(hub::look(here)).collect();
    let healthy = findings.iter().all(|finding| finding.health != Health::Missing);
    let found = Report { healthy, findings };
    output::print(command.output.format, &found, || report(&found, Style::of_output()));
    Ok(if healthy { Exit::Done } else { Exit::Failed })
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, health: Health::Good, found: found.into(), lost: String::new() }
    }

    fn lacking(what: &'static str, found: impl Into<String>, lost: impl Into<String>) -> Self {
        Self { what, health: Health::Lacking, found: found.into(), lost: lost.into() }
    }

    fn missing(what: &'static str, found: impl Into<String>, lost: impl Into<String>) -> Self {
        Self { what, health: Health::Missing, found: found.into(), lost: lost.into() }
    }
}
