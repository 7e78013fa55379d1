//! The hub, as a thread asks it that may block.

use super::{
    line::Line,
    trouble::{Trouble, with_causes},
};
use crate::{
    protocol::{Chain, Frame, ObjectId, Objects},
    trust::{Hub, HubError},
};
use std::sync::Arc;
use tokio::runtime::Handle;

/// The hub at the other end of a line.
#[derive(Debug)]
pub(super) struct Remote {
    line: Arc<Line>,
    handle: Handle,
}

impl Remote {
    pub(super) fn new(line: Arc<Line>, handle: Handle) -> Self {
        Self { line, handle }
    }
}

impl Hub for Remote {
    fn chain(&self, from: ObjectId, to: ObjectId) -> Result<Vec<Frame>, HubError> {
        let client = self.line.client();
        self.handle.block_on(client.chain(&Chain { from, to })).map_err(error)
    }

    fn objects(&self, want: &[ObjectId]) -> Result<Vec<Frame>, HubError> {
        let client = self.line.client();
        self.handle.block_on(client.objects(&Objects { want: want.to_vec() })).map_err(error)
    }
}

fn error(trouble: Trouble) -> HubError {
    match trouble {
        Trouble::Refused(refusal, _) => HubError::Refused(refusal),
        other => HubError::Unreachable(format!("the hub can't be asked: {}", with_causes(&other))),
    }
}
