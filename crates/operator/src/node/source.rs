//! What the follower says, on its way to the agent.

use abide_agent::Mailbox;
use abide_reconcile::{Attend, Fault, Revision, Source};
use std::sync::Arc;

/// The objects of a node, as a source of wishes. What serves it ends when it is dropped.
pub(crate) struct KubernetesSource {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) tasks: [tokio::task::AbortHandle; 2],
}

impl Source for KubernetesSource {
    fn next(&mut self, attend: &dyn Attend) -> Result<Revision, Fault> {
        self.mailbox.take(attend)
    }
}

impl Drop for KubernetesSource {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::AbortHandle::abort);
    }
}
