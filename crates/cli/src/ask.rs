//! Asking this root: its agent, or, where none runs, an agent in this very process that lives for one request.
//!
//! ```text
//!   connect to agent.sock ─┬─ answers ──────────────────────────────► By::Agent
//!                          └─ nobody ─ take hold of the root ─┬─ ok ─► By::Itself
//!                                   ▲                         └─ held by somebody who begins or ends: again,
//!                                   └──────────────────────────────── until PATIENCE is over
//! ```

use crate::{
    agent,
    client::{Client, Heard},
    exit::{Exit, Failure},
    here::Here,
};
use abide_agent::{
    Hold, HoldError, Mode,
    api::{Reply, Request},
};
use std::{
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The agent, which goes on.
    Agent,
    /// This process, after which nothing restarts what exits.
    Itself,
}

/// Who has a root: somebody who listens, or this process from now on.
pub(crate) enum Holder {
    Other(Client),
    Us(Hold),
}

/// How long to wait for whoever begins or ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// The other one can't tell us that it listens now or has let go, so this is how often we look.
const LOOK: Duration = Duration::from_millis(25);

/// An agent answers what has one answer within 20 s, if only to say why it can't.
const SILENCES_MAX: u32 = 6;

/// Asks, and gives each reply to `say`. `mode` is for where no agent runs.
pub(crate) fn ask(
    here: &Here,
    mode: Mode,
    request: Request,
    say: &mut dyn FnMut(Heard) -> ControlFlow<()>,
) -> Result<By, Failure> {
    match holder(here, PATIENCE)? {
        Holder::Other(client) => client.ask(request, say).map(|()| By::Agent),
        Holder::Us(hold) => agent::ask(here, hold, mode, request, say).map(|()| By::Itself),
    }
}

/// Asks what has one answer, and gives that; a refusal is a failure.
pub(crate) fn ask_one(here: &Here, mode: Mode, request: Request) -> Result<(Reply, By), Failure> {
    let mut last = Last::default();
    let by = ask(here, mode, request, &mut |heard| last.hear(heard))?;
    Ok((last.answer()?, by))
}

/// The same of an agent that was found.
pub(crate) fn ask_of(agent: Client, request: Request) -> Result<Reply, Failure> {
    let mut last = Last::default();
    agent.ask(request, &mut |heard| last.hear(heard))?;
    last.answer()
}

/// The last reply, for which one doesn't wait for ever: neither a person nor a push may hang on an agent that does.
#[derive(Default)]
struct Last {
    reply: Option<Reply>,
    silences: u32,
}

impl Last {
    fn hear(&mut self, heard: Heard) -> ControlFlow<()> {
        match heard {
            Heard::Reply(reply) => self.reply = Some(reply),
            Heard::Silence => self.silences += 1,
        }
        if self.silences > SILENCES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn answer(self) -> Result<Reply, Failure> {
        match self.reply {
            Some(Reply::Refused { message }) => Err(Failure::refused(message)),
            Some(Reply::Failed { message }) => Err(Failure::failed(message)),
            Some(reply) => Ok(reply),
            None => Err(Failure::failed("the agent does not answer: what it prints may say why")),
        }
    }
}

/// Finds out who has the root, waiting for who begins or ends.
pub(crate) fn holder(here: &Here, patience: Duration) -> Result<Holder, Failure> {
    let since = Instant::now();
    let socket = here.paths.agent_socket();
    loop {
        if let Some(client) = Client::connect(&socket)? {
            return Ok(Holder::Other(client));
        }
        let paths = here.paths.make().map_err(|error| unmakable(&error))?;
        match Hold::take(&paths.state) {
            Ok(hold) => return Ok(Holder::Us(hold)),
            Err(HoldError::Held(_)) if since.elapsed() < patience => thread::sleep(LOOK),
            Err(HoldError::Held(state)) => {
                let text = format!(
                    "{} is held by another process, which does not answer on {}: it may be another command that is under way; `fuser -v {}/lock` says who it is",
                    state.display(),
                    socket.display(),
                    state.display(),
                );
                return Err(Failure::failed(text));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn unmakable(error: &abide_host::root::Error) -> Failure {
    let text = crate::exit::with_causes(error);
    if nix::unistd::geteuid().is_root() {
        return Failure { exit: Exit::Failed, text };
    }
    Failure::refused(format!("{text}: only root can do this here; use sudo, or a root of your own with --root DIR"))
}
