//! Asks the agent from within its process, as `abide` does through its socket.

use crate::{
    api::{Reply, Request},
    driver::Inbox,
    talk::{Answer, ask},
};
use std::fmt;

/// A way to ask the agent.
#[derive(Clone)]
pub struct Asker(Inbox);

impl Asker {
    pub(crate) fn new(inbox: Inbox) -> Self {
        Self(inbox)
    }

    /// Has something done: what was done, or why not; nothing if the agent ends before that is known. What is asked before
    /// the agent has seen the world waits for that.
    pub async fn order(&self, request: Request) -> Option<Result<String, String>> {
        let Answer::Replies(replies) = ask(&self.0, request).await? else { return None };
        replies.into_iter().find_map(|reply| match reply {
            Reply::Done { message } => Some(Ok(message)),
            Reply::Refused { message } | Reply::Failed { message } => Some(Err(message)),
            _ => None,
        })
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}
