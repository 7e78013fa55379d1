//! Writes what the board says is to be written: a bounded number of objects at once, each by one request at a time.
//!
//! Where the API server fails, this waits longer and longer and asks the board anew: what counts is how things stand then.
//! What it refuses of one object is that object's affair, and the others don't wait for it.

use super::{
    board::{Board, Job},
    event::Events,
    later::Later,
    object::{Seen, named},
    resting::{Rest, Resting},
    trouble,
    watch::Means,
    write::{self, PATIENCE},
};
use crate::{api, crd::resource};
use abide_spec::UnitId;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    api::{Patch, PatchParams},
    runtime::{utils::Backoff as _, watcher::DefaultBackoff},
};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// Objects that are written at once.
const WRITES_MAX: usize = 8;

/// What became of a write.
enum Ended {
    Done,
    /// There is no use in trying it again before something is heard.
    Moot,
    /// The API server doesn't take this, whatever it takes of others.
    Refused(String),
    /// The API server doesn't work now.
    Failed(String),
}

/// Goes on until it is dropped.
pub(crate) async fn run(board: Arc<Board>, means: Means) {
    let mut writes: JoinSet<(UnitId, Ended)> = JoinSet::new();
    let mut busy: BTreeSet<UnitId> = BTreeSet::new();
    let mut events = Events::new(&means);
    let (mut resting, mut rested) = (Resting::default(), Later::default());
    let mut delays = DefaultBackoff::default();
    let mut not_before = Instant::now();
    loop {
        while events.is_free()
            && let Some(told) = board.tell()
        {
            events.tell(told);
        }
        let is_late = Instant::now() >= not_before;
        while let Some(unit) = rested.ripe(Instant::now()) {
            busy.remove(&unit);
            board.again(unit);
        }
        while is_late
            && writes.len() < WRITES_MAX
            && let Some(job) = board.next(&busy, &now())
        {
            let unit = job.unit().clone();
            busy.insert(unit.clone());
            let (board, means) = (Arc::clone(&board), means.clone());
            writes.spawn(async move { (unit, job.write(&board, &means).await) });
        }
        tokio::select! {
            Some(written) = writes.join_next(), if !writes.is_empty() => {
                let Ok((unit, ended)) = written else { continue };
                match ended {
                    Ended::Done | Ended::Moot => {
                        delays.reset();
                        resting.is_well(&unit);
                        busy.remove(&unit);
                    }
                    Ended::Refused(why) => {
                        let Rest { length, is_first } = resting.refused(&unit);
                        rested.put(Instant::now() + length, unit);
                        match is_first {
                            true => tracing::warn!("{why}"),
                            false => tracing::debug!("{why}"),
                        }
                    }
                    Ended::Failed(why) => {
                        tracing::warn!("{why}");
                        busy.remove(&unit);
                        board.again(unit);
                        not_before = Instant::now() + delays.next().unwrap_or(PATIENCE);
                    }
                }
            }
            () = board.bell.notified() => {}
            () = events.next_through() => {}
            () = api::until(board.tell_at()), if events.is_free() => {}
            () = sleep_until(not_before), if !is_late => {}
            () = api::until(rested.wake_at()) => {}
            () = api::until(board.wake_at()), if is_late && writes.len() < WRITES_MAX => {}
        }
    }
}

fn now() -> Time {
    // The API server has no fractions in its times, and gives none back.
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

impl Job {
    fn unit(&self) -> &UnitId {
        match self {
            Self::Status(seen, _) | Self::Release(seen) => seen.id(),
        }
    }

    async fn write(self, board: &Board, means: &Means) -> Ended {
        match self {
            Self::Release(seen) => release(board, means, seen.id()).await,
            Self::Status(seen, status) => {
                let unit = seen.id();
                let kind = resource(unit.kind);
                let patch = json!({
                    "apiVersion": kind.api_version, "kind": kind.kind,
                    "metadata": { "name": unit.name, "namespace": unit.scope, "uid": seen.object.meta.uid },
                    "status": &status,
                });
                let parameters = PatchParams::apply(write::MANAGER).force();
                let api = api::objects(&means.client, unit);
                let patch = Patch::Apply(patch);
                let written = api.patch_status(unit.name.as_str(), &parameters, &patch);
                ended(&format!("writing the status of {}", named(unit)), timeout(PATIENCE, written).await, |object| {
                    if let Some(seen) = Seen::read(unit.kind, object) {
                        board.written(Arc::new(seen), &status);
                    }
                })
            }
        }
    }
}

impl Ended {
    /// Whose fault an error is. Who isn't known any more is refused everything.
    fn failed(doing: &str, error: &kube::Error) -> Self {
        let words = trouble::words(doing, error);
        match api::status(error) {
            Some(400..=499) if !matches!(api::status(error), Some(401 | 408 | 429)) => Self::Refused(words),
            _ => Self::Failed(words),
        }
    }
}

/// Takes our finalizer away, wherever the object is to be by now.
async fn release(board: &Board, means: &Means, unit: &UnitId) -> Ended {
    let doing = format!("releasing {}", named(unit));
    let found = match timeout(PATIENCE, api::objects(&means.client, unit).get_opt(unit.name.as_str())).await {
        Ok(Ok(found)) => found.and_then(|found| Seen::read(unit.kind, found)),
        Ok(Err(error)) => return Ended::failed(&doing, &error),
        Err(_) => return Ended::Failed(format!("{doing}: the API server does not answer")),
    };
    let is_ours = |seen: &Seen| seen.object.meta.has_finalizer && !seen.is_taken_from(&means.node);
    let Some(seen) = found.filter(is_ours) else {
        board.released(unit);
        return Ended::Moot;
    };
    let others: Vec<String> =
        seen.finalizers.iter().filter(|finalizer| *finalizer != super::FINALIZER).cloned().collect();
    match write::set_finalizers(means, &seen, &others).await {
        Ok(()) => {
            board.released(unit);
            Ended::Done
        }
        Err(error) if api::status(&error) == Some(409) => Ended::Failed(format!("{doing}: somebody was faster")),
        Err(error) if write::is_settled(&error) => Ended::Moot,
        Err(error) => Ended::failed(&doing, &error),
    }
}

fn ended<T>(
    doing: &str,
    written: Result<Result<T, kube::Error>, tokio::time::error::Elapsed>,
    done: impl FnOnce(T),
) -> Ended {
    match written {
        Ok(Ok(written)) => {
            done(written);
            Ended::Done
        }
        Ok(Err(error)) if write::is_settled(&error) => Ended::Moot,
        Ok(Err(error)) => Ended::failed(doing, &error),
        Err(_) => Ended::Failed(format!("{doing}: the API server does not answer")),
    }
}
