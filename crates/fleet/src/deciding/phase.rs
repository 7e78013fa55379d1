//! What the store has of a machine, as the Reconciler sees it.
//!
//! | the machine | is |
//! |---|---|
//! | was never told anything | nothing |
//! | says that its target failed, or that it doesn't take it | exited: that is a verdict, whether it is in reach or not |
//! | was stopped by its owner from taking targets | away: it says nothing about any commit |
//! | is silent, and never said that it took its target, or was ready with it | away |
//! | is silent since it took its target, and never was ready with it | running, not ready: it may be what cut it off |
//! | says that it is ready with its target | running and ready, since it said so or came back |
//! | else | running, not ready, since it was told or came back |
//!
//! What it says about any other target counts for nothing.

use super::clock::Translation;
use crate::{
    protocol::MachineState,
    store::{Machine, Millis, Presence, Reported, Written},
};
use abide_reconcile::Phase;

/// The exit code of a target that failed: there is but one.
const FAILED: i32 = 1;

/// How a machine is with its target, if it has one.
pub(super) fn phase(machine: &Machine, clock: Translation) -> Option<Phase> {
    let Written { number, at, .. } = machine.target.as_ref()?;
    let started = clock.time(*at);
    let away = |since: Millis| Some(Phase::Away { since: clock.time(since) });
    if let Some(Reported { report, at, .. }) = &machine.reported
        && report.state == MachineState::Suspended
    {
        return away(*at);
    }
    let reported = machine.reported.as_ref().filter(|reported| reported.report.target == Some(*number));
    let state = reported.map(|reported| reported.report.state);
    let running = |ready| Some(Phase::Running { started, ready, failing: false });
    let silent = match machine.presence {
        Presence::Away { since } => Some(since),
        Presence::Here { .. } => None,
    };
    match (state, reported, silent) {
        (Some(MachineState::Failed | MachineState::Refused), Some(reported), _) => {
            Some(Phase::Exited { started, at: clock.time(reported.at).max(started), code: FAILED })
        }
        (Some(MachineState::Ready), _, Some(since)) | (None, _, Some(since)) => away(since),
        // One that was away proves itself anew from when it came back.
        (Some(MachineState::Ready), Some(reported), None) => {
            running(reported.ready_since.map(|ready| clock.time(ready).max(started)))
        }
        _ => running(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{ObjectId, Report},
        store::Presence,
    };
    use abide_reconcile::{InstanceId, Name, Time};
    use std::collections::BTreeMap;

    /// One that was told target 7 at second 100.
    fn machine() -> Machine {
        Machine {
            name: Name::new("till-1").unwrap(),
            key: String::new(),
            serial: 1,
            first_serial: 1,
            recipient: String::new(),
            labels: BTreeMap::new(),
            enrolled_at: Millis(0),
            revoked_at: None,
            cloned: false,
            session: None,
            earlier: Vec::new(),
            numbered: 7,
            target: Some(Written {
                number: 7,
                instance: InstanceId::default(),
                commit: ObjectId([7; 20]),
                attempt: 0,
                at: Millis(100_000),
            }),
            reported: None,
            presence: Presence::Here { hub: "a".to_owned() },
            heard_at: Millis(0),
            version: 1,
        }
    }

    /// What it said at second 110 about a target.
    fn says(target: u64, state: MachineState, ready_at: Option<i64>) -> Option<Reported> {
        let report = Report { target: Some(target), state, ..Report::default() };
        Some(Reported { report, at: Millis(110_000), ready_since: ready_at.map(|second| Millis(second * 1_000)) })
    }

    #[test]
    fn stories() {
        use MachineState::{Changing, Failed, Ready, Refused, Suspended};
        let silent = Presence::Away { since: Millis(120_000) };
        let here = || machine().presence;
        let stories = [
            ("was told, and said nothing yet", None, here(), "running since 100 s"),
            ("was told while it is silent", None, silent.clone(), "away since 120 s"),
            ("is on its way", says(7, Changing, None), here(), "running since 100 s"),
            ("was cut off on its way", says(7, Changing, None), silent.clone(), "running since 100 s"),
            ("is ready", says(7, Ready, Some(110)), here(), "running since 100 s, ready since 110 s"),
            ("was ready, and went", says(7, Ready, Some(110)), silent.clone(), "away since 120 s"),
            (
                "was ready before it came back",
                says(7, Ready, Some(90)),
                here(),
                "running since 100 s, ready since 100 s",
            ),
            ("has trouble after it was ready", says(7, Changing, None), here(), "running since 100 s"),
            ("failed", says(7, Failed, None), here(), "exited at 110 s"),
            ("failed, and went", says(7, Failed, None), silent.clone(), "exited at 110 s"),
            ("doesn't take it", says(7, Refused, None), here(), "exited at 110 s"),
            ("is ready with the one before", says(6, Ready, Some(50)), here(), "running since 100 s"),
            ("failed with the one before", says(6, Failed, None), here(), "running since 100 s"),
            ("went with the one before", says(6, Ready, Some(50)), silent.clone(), "away since 120 s"),
            ("was stopped by its owner", says(6, Suspended, None), here(), "away since 110 s"),
        ];
        for (story, reported, presence, expected) in stories {
            let machine = Machine { reported, presence, ..machine() };
            assert_eq!(in_words(phase(&machine, Translation::SAME).unwrap()), expected, "{story}");
        }
        assert_eq!(phase(&Machine { target: None, ..machine() }, Translation::SAME), None);
    }

    fn in_words(phase: Phase) -> String {
        let seconds = |time: Time| format!("{} s", time.as_secs());
        match phase {
            Phase::Running { started, ready: None, .. } => format!("running since {}", seconds(started)),
            Phase::Running { started, ready: Some(ready), .. } => {
                format!("running since {}, ready since {}", seconds(started), seconds(ready))
            }
            Phase::Exited { at, .. } => format!("exited at {}", seconds(at)),
            Phase::Away { since } => format!("away since {}", seconds(since)),
        }
    }
}
