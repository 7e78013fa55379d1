//! Tells the hub how the machine is, when that changed.

use super::{
    board::{Board, Due},
    line::Line,
    pace::{self, BackOff},
    trouble::with_causes,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

/// What comes one after the other in this time is told at once.
const QUIET: Duration = Duration::from_millis(200);

/// Happenings that change nothing wait for more: a container that exits again and again is told of now and then.
const HAPPENINGS: Duration = Duration::from_secs(10);

/// Tells, until it is dropped. `sequence` is the last number that the session gave to a report.
pub(super) async fn run(board: Arc<Board>, line: Arc<Line>, sequence: Arc<AtomicU64>) {
    let mut back_off = BackOff::default();
    loop {
        match board.due() {
            Due::Nothing => {
                board.bell.notified().await;
                continue;
            }
            Due::State => sleep(QUIET).await,
            Due::Happenings => wait_for_more(&board).await,
        }
        let Some(mut draft) = board.draft() else { continue };
        draft.report.sequence = sequence.fetch_add(1, Ordering::Relaxed) + 1;
        match line.client().report(&draft.report).await {
            Ok(()) => {
                back_off.reset();
                board.told(draft);
            }
            Err(trouble) => {
                tracing::debug!(why = with_causes(&trouble), "the hub was not told how this machine is");
                let draw = pace::draw();
                let pause = back_off.fail(draw);
                let pause = trouble.after().map_or(pause, |said| pace::after(said, draw));
                tokio::select! { () = sleep(pause) => {}, () = board.again.notified() => {} }
            }
        }
    }
}

/// Waits while only more happenings come.
async fn wait_for_more(board: &Board) {
    let end = Instant::now() + HAPPENINGS;
    while timeout_at(end, board.bell.notified()).await.is_ok() {
        if board.due() == Due::State {
            return sleep(QUIET).await;
        }
    }
}
