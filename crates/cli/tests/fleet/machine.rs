//! The machines' side: an agent each, on a root of its own.

use crate::hub::{Hub, PATIENCE};
use abide_lab::{Rig, Snapshot};
use std::ops::{Deref, DerefMut};

/// A machine of the fleet, whose agent runs unless said otherwise.
pub(crate) struct Machine(Rig);

impl Machine {
    /// Enrols, and starts.
    pub(crate) fn enrolled(hub: &Hub, token: &str, name: &str) -> Self {
        Self::enrolled_at(&hub.url(), token, name)
    }

    /// The same with the hub there.
    pub(crate) fn enrolled_at(url: &str, token: &str, name: &str) -> Self {
        let mut machine = Self::to_start(url, token, name);
        machine.start();
        machine
    }

    /// Enrols. Its agent is yet to be started.
    pub(crate) fn to_start(url: &str, token: &str, name: &str) -> Self {
        let rig = Rig::new(env!("CARGO_BIN_EXE_abide"));
        rig.must(&["enroll", url, "--token", token, "--name", name]);
        Self(rig)
    }

    /// So many: `till-1` and so on.
    pub(crate) fn several(hub: &Hub, count: usize) -> Vec<Self> {
        let token = hub.token(count);
        (1..=count).map(|n| Self::enrolled(hub, &token, &format!("till-{n}"))).collect()
    }

    /// The first process of the container that all run, as soon as one serves.
    pub(crate) fn pid(&self) -> i32 {
        self.pid_but(None)
    }

    /// The same, as soon as it is another one.
    pub(crate) fn pid_after(&self, before: i32) -> i32 {
        self.pid_but(Some(before))
    }

    fn pid_but(&self, before: Option<i32>) -> i32 {
        // What served before it may be there still, and be on its way out.
        let serving = |now: &Snapshot| {
            let web = now.find("Container/web").filter(|web| web.ready)?;
            web.active()?.pid.filter(|pid| Some(*pid) != before)
        };
        let now = self.wait("the container serves", |now| serving(now).is_some());
        serving(&now).unwrap()
    }

    /// Waits until this commit is in force. Who lost its hub comes back within a minute, at a time of its own.
    pub(crate) fn is_on(&self, commit: &str) -> Snapshot {
        self.in_force_within(PATIENCE, "fleet", commit)
    }

    /// Waits until the source is in this state, and says why.
    pub(crate) fn source_is(&self, state: &str) -> String {
        let is = |now: &Snapshot| now.sources.iter().any(|source| source.name == "fleet" && source.state == state);
        self.wait(&format!("the source is {state}"), is).source("fleet").message.clone()
    }

    /// All of it ends, and nothing may be left.
    pub(crate) fn end(self) {
        self.0.end();
    }
}

impl Deref for Machine {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.0
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Rig {
        &mut self.0
    }
}
