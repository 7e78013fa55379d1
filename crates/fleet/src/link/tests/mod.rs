//! A machine against a hub that answers as a test wants, by real TLS over loopback. What waits for minutes waits for
//! nothing: once all that is under way is known to wait, the test lets time pass.

mod asking;
mod enrolling;
mod following;
mod hub;
mod renewing;

use std::{future::Future, pin::pin, time::Duration};
use tokio::{
    select,
    time::{advance, pause, resume, sleep},
};

/// Lets so many seconds pass at once.
async fn pass(seconds: u64) {
    pause();
    advance(Duration::from_secs(seconds)).await;
    resume();
}

/// Lets time pass, ten seconds in a moment, until something has come to its end by it.
async fn passing<T>(waiting: impl Future<Output = T>) -> T {
    let mut waiting = pin!(waiting);
    loop {
        select! {
            ended = &mut waiting => return ended,
            () = sleep(Duration::from_millis(2)) => pass(10).await,
        }
    }
}
