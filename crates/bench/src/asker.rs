//! Who asks a published port again and again until the right one answers.

use crate::Problem;
use abide_lab::http;
use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// Between two requests. Who asks uses the machine, too.
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks one port.
pub(crate) struct Asker(SocketAddr);

impl Asker {
    /// Of this machine's loopback address.
    pub(crate) fn new(port: u16) -> Self {
        Self(([127, 0, 0, 1], port).into())
    }

    /// Returns once an answer contains `what`.
    pub(crate) fn until(&self, what: &str) -> Result<(), Problem> {
        let start = Instant::now();
        loop {
            // Nobody may be there for a while; that is what is measured.
            let heard = match http::get(self.0, "/") {
                Ok(answer) if answer.body.contains(what) => return Ok(()),
                Ok(answer) => answer.body,
                Err(error) => error.to_string(),
            };
            if start.elapsed() > PATIENCE {
                return Err(format!("{what:?} is not answered at {}, but {heard:?}", self.0).into());
            }
            thread::sleep(PAUSE);
        }
    }
}
