//! Waiting for what becomes of commits, in a terminal, in a log, or as a value.

use crate::{
    ask::By,
    client::Heard,
    exit::{Done, Exit, Failure},
    live::{Live, To},
    output::{self, Format},
    render::{board, style::Style},
};
use abide_agent::api::{Outcome, Reply, Verdict};
use serde::Serialize;
use std::ops::ControlFlow;

/// How it ended, for programs.
#[derive(Serialize)]
struct Ended<'a> {
    /// What was done, in words.
    messages: &'a [String],
    /// What became of the commits that were waited for.
    outcomes: &'a [Outcome],
}

/// Who waits.
pub(crate) struct Watch {
    format: Format,
    live: Live,
    outcomes: Vec<Outcome>,
    words: Vec<String>,
    failure: Option<Failure>,
}

impl Watch {
    pub(crate) fn new(format: Format) -> Self {
        let to = if format == Format::Text { To::Output } else { To::Error };
        Self { format, live: Live::new(to), outcomes: Vec::new(), words: Vec::new(), failure: None }
    }

    pub(crate) fn hear(&mut self, heard: Heard) -> ControlFlow<()> {
        match heard {
            Heard::Reply(Reply::Happened(happening)) => self.live.hear(&happening),
            Heard::Reply(Reply::Outcome(outcome)) => self.outcomes.push(outcome),
            Heard::Reply(Reply::Done { message }) => self.words.push(message),
            Heard::Reply(Reply::Refused { message }) => self.failure = Some(Failure::refused(message)),
            Heard::Reply(Reply::Failed { message }) => self.failure = Some(Failure::failed(message)),
            // Not to what is waited for.
            Heard::Reply(Reply::Snapshot(_) | Reply::Preview(_) | Reply::Sources { .. }) => {}
            Heard::Silence => self.live.sign_of_life(),
        }
        ControlFlow::Continue(())
    }

    /// Shows how it ended.
    pub(crate) fn end(mut self, by: By) -> Done {
        self.live.end();
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let style = Style::of_output();
        let words = self.words.iter().cloned();
        let lines = words.chain(self.outcomes.iter().map(|outcome| board::outcome(outcome, style)));
        let text: String = lines.map(|line| line + "\n").collect();
        let ended = Ended { messages: &self.words, outcomes: &self.outcomes };
        output::print(self.format, &ended, || text);
        if by == By::Itself && self.format == Format::Text && self.outcomes.iter().any(is_in_force) {
            eprintln!("abide: no agent runs here, so nothing restarts what exits: `abide agent` does");
        }
        Ok(exit(&self.outcomes))
    }
}

fn is_in_force(outcome: &Outcome) -> bool {
    matches!(outcome.result, Verdict::Settled | Verdict::Failed)
}

/// The worst of all.
fn exit(outcomes: &[Outcome]) -> Exit {
    let has = |verdict| outcomes.iter().any(|outcome| outcome.result == verdict);
    if has(Verdict::Failed) || has(Verdict::Superseded) {
        Exit::Failed
    } else if has(Verdict::Refused) {
        Exit::Refused
    } else {
        Exit::Done
    }
}
