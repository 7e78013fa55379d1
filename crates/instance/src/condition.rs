//! Whether an instance runs, from what its keeper left in the directory and whether the keeper is there.
//!
//! ```text
//!  no `process`, or not started ── unmade ──┐ a start is under way, or a crash cut it short
//!  keeper there ─────────────────── runs    │
//!  `exit` ───────────────────────── ended ◄─┘ (also where the program could not be executed)
//!  keeper gone without a word ───── lost: somebody killed it, and the kernel its first process with it
//! ```

use abide_host::keeper::{Exit, Process};
use abide_reconcile::{Phase, Time, Unit};
use std::{io, path::Path};

/// As a shell tells of a process that was killed by SIGKILL.
pub(crate) const KILLED: i32 = 128 + libc::SIGKILL;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Unmade(Option<Process>),
    Runs(Process),
    Lost(Process),
    Ended(Process, Exit),
}

impl Condition {
    /// Of the instance with this directory.
    pub(crate) fn read(directory: &Path) -> io::Result<Self> {
        let process = Process::read(directory)?;
        let is_there = process.is_some_and(|process| process.keeper.is_alive());
        // Read after that: who is gone has written it before.
        let exit = Exit::read(directory)?;
        Ok(match (process, exit) {
            (process, Some(exit)) => Self::Ended(process.unwrap_or_default(), exit),
            (Some(process), None) if process.started == 0 => Self::Unmade(Some(process)),
            (Some(process), None) if is_there => Self::Runs(process),
            (Some(process), None) => Self::Lost(process),
            (None, None) => Self::Unmade(None),
        })
    }

    /// Who keeps it, if that is known.
    pub(crate) fn process(self) -> Option<Process> {
        match self {
            Self::Unmade(process) => process,
            Self::Runs(process) | Self::Lost(process) | Self::Ended(process, _) => Some(process),
        }
    }

    /// As the Reconciler sees it; nothing where nothing was started.
    pub(crate) fn phase(self, unit: &Unit, now: Time) -> Option<Phase> {
        match self {
            Self::Unmade(_) => None,
            Self::Runs(process) => {
                let started = Time::from_nanos(process.started);
                // A probe's answer is the agent's to add.
                let ready = unit.readiness().is_none().then_some(started);
                Some(Phase::Running { started, ready, failing: false })
            }
            Self::Lost(process) => {
                Some(Phase::Exited { started: Time::from_nanos(process.started), at: now, code: KILLED })
            }
            Self::Ended(process, exit) => {
                // What ends at once may have ended before its keeper looked at the clock.
                let started = if process.started == 0 { exit.at } else { process.started.min(exit.at) };
                let (started, at) = (Time::from_nanos(started), Time::from_nanos(exit.at));
                Some(Phase::Exited { started, at, code: exit.code })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_host::keeper::Life;

    #[test]
    fn what_the_directory_says() {
        let own = Life::of(std::process::id().cast_signed()).unwrap();
        let gone = Life { start: own.start + 1, ..own };
        let exit = Exit { code: 3, at: 9 };
        let process = |keeper, started| Process { keeper, first: gone, started };
        for (process, exit, expected) in [
            (None, None, Condition::Unmade(None)),
            (Some(process(own, 0)), None, Condition::Unmade(Some(process(own, 0)))),
            (Some(process(own, 5)), None, Condition::Runs(process(own, 5))),
            (Some(process(gone, 5)), None, Condition::Lost(process(gone, 5))),
            (Some(process(own, 5)), Some(exit), Condition::Ended(process(own, 5), exit)),
            (Some(process(gone, 0)), Some(exit), Condition::Ended(process(gone, 0), exit)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            process.iter().for_each(|process| process.write(folder.path()).unwrap());
            exit.iter().for_each(|exit| exit.write(folder.path()).unwrap());
            assert_eq!(Condition::read(folder.path()).unwrap(), expected);
        }
    }
}
