//! How things stand, in the words of the local API.

use super::{Driver, judge::asks};
use crate::{
    api,
    followed::{Followed, Restoring},
    journal::{Origin, Suspension},
    listen::Listener,
    news::called,
    port::SourceState as SourceWord,
};
use abide_reconcile::{
    Held, Preview, Role, SourceId, UnitId,
    spec::kind::Follow,
    status::{Activity, SourceState, SourceStatus, UnitState, UnitStatus},
};

impl Driver {
    /// Everything as it is, but for what only the instances' directories know.
    pub(super) fn snapshot(&self) -> api::Snapshot {
        let status = self.core.status(self.clock.now());
        let of = |followed: &Followed| status.sources.iter().find(|source| source.id == followed.id);
        let is_owner = |followed: &Followed| status.units.iter().any(|unit| unit.owner.as_ref() == Some(&followed.id));
        // One that was given up is shown as long as anything of it is there.
        let shown = self
            .followed
            .values()
            .filter(|followed| followed.is_registered() || followed.desk.broken.is_some() || is_owner(followed));
        let sources: Vec<_> = shown.map(|followed| source(followed, of(followed))).collect();
        let is_restored = self.followed.values().all(|followed| {
            followed.desk.broken.is_none() && followed.waiting.is_none() && followed.restoring == Restoring::Over
        });
        // Who knows nothing of what is to run can't say that it does.
        let is_heard = !self.followed.values().any(Followed::is_unheard);
        let settled = status.settled && is_restored && is_heard;
        let units = status.units.into_iter().map(|status| self.unit_of(status));
        api::Snapshot { settled, sources, units: units.collect() }
    }
}

fn source(followed: &Followed, status: Option<&SourceStatus>) -> api::SourceStatus {
    let state = &followed.state;
    let (word, message) = state_of(followed, status);
    let (url, branch) = match &state.registered {
        Some((spec, origin)) => {
            let branch = spec.git().filter(|_| *origin == Origin::Followed).map(|git| git.branch.clone());
            (spec.follow.to_string(), branch.unwrap_or_default())
        }
        None => Default::default(),
    };
    let accepted = state.accepted.clone().unwrap_or_default();
    let commit = |id: &str, summary: &str| api::Commit { id: id.to_owned(), summary: summary.to_owned() };
    api::SourceStatus {
        name: followed.id.to_string(),
        url,
        branch,
        commit: accepted.commit,
        summary: accepted.summary,
        generation: accepted.generation,
        state: word.as_str().to_owned(),
        message,
        taken_back: status
            .map_or_else(Vec::new, |status| status.taken_back.iter().map(|unit| called(unit, &followed.id)).collect()),
        contact: followed.listener.as_ref().and_then(Listener::contact),
        history: state.history.iter().rev().map(|settled| commit(&settled.commit, &settled.summary)).collect(),
    }
}

/// A source's state in a word, and what there is to say of it.
pub(super) fn state_of(followed: &Followed, status: Option<&SourceStatus>) -> (SourceWord, String) {
    let state = &followed.state;
    let name = &followed.id;
    if !followed.is_registered() && followed.desk.broken.is_none() {
        return (SourceWord::Withdrawn, "given up: what it owns runs on".to_owned());
    }
    match state.suspension {
        Suspension::Down => {
            return (SourceWord::Suspended, format!("down: `abide source resume {name}` starts it again"));
        }
        Suspension::Commits => {
            return (SourceWord::Suspended, format!("new commits wait for `abide source resume {name}`"));
        }
        Suspension::No => {}
    }
    if let Some(why) = &followed.desk.unwritten {
        return (SourceWord::Held, format!("{why}; it is tried again"));
    }
    if let Some(refused) = &followed.refused {
        let mut message = match refused.commit.as_str() {
            // A branch that isn't there is no commit's fault.
            "" => refused.message.clone(),
            commit => format!("commit {commit:.12} is not in force: {}", refused.message),
        };
        // What came since can't be had, either.
        if let Some(trouble) = &followed.trouble {
            message += &format!("\n{trouble}");
        }
        return (SourceWord::Refused, message);
    }
    if let Some(SourceState::Held(held)) = status.map(|status| &status.state) {
        return (SourceWord::Held, asks(held));
    }
    if let Some(trouble) = &followed.trouble {
        return (SourceWord::Unreachable, trouble.clone());
    }
    let pinned = state.pin.as_ref().map(|(commit, over)| {
        format!("rolled back to {commit:.12} from {over:.12}, until a newer commit or `abide source resume {name}`")
    });
    (SourceWord::Following, pinned.or_else(|| unheard(followed)).unwrap_or_default())
}

/// What a source has yet to say, if it said nothing so far.
fn unheard(followed: &Followed) -> Option<String> {
    let (spec, _) = followed.state.registered.as_ref().filter(|_| followed.is_unheard())?;
    let text = match spec.follow {
        Follow::Hub(_) => "waits for its first target: the hub has not said yet which commit this machine is to be on",
        _ => "nothing was heard of it yet",
    };
    Some(text.to_owned())
}

pub(super) fn unit(status: UnitStatus) -> api::UnitStatus {
    let state = match status.state {
        UnitState::Settled => "settled",
        UnitState::Changing => "changing",
        UnitState::Waiting => "waiting",
        UnitState::Held => "held",
        UnitState::Failed => "failed",
    };
    let waiting = status.waiting.as_ref().map(|_| status.message.clone());
    let instances = status.instances.iter().map(|instance| {
        let (state, exit_code) = match instance.activity {
            Activity::Starting => ("starting", None),
            Activity::Running { .. } => ("running", None),
            Activity::Stopping => ("stopping", None),
            Activity::Exited(code) => ("exited", Some(code)),
            Activity::Away => ("away", None),
        };
        let role = match instance.role {
            Role::Candidate => "candidate",
            Role::Active => "active",
            Role::Retiring => "retiring",
        };
        let id = instance.instance.to_string();
        api::InstanceStatus { id, role: role.to_owned(), state: state.to_owned(), pid: None, exit_code }
    });
    api::UnitStatus {
        source: status.source.map(|source| source.to_string()).unwrap_or_default(),
        scope: status.id.scope.to_string(),
        kind: status.id.kind.to_string(),
        name: status.id.name.to_string(),
        index: status.id.index,
        state: state.to_owned(),
        ready: status.ready,
        waiting,
        message: status.message,
        restarts: status.restarts,
        addresses: Vec::new(),
        instances: instances.collect(),
    }
}

/// What a wish would change, in words.
pub(super) fn preview(source: &SourceId, preview: &Preview) -> api::Preview {
    let short = |unit: &UnitId| called(unit, source);
    let changes = preview.changes.iter().map(|(unit, change)| api::Change {
        unit: short(unit),
        action: change.action.word().to_owned(),
        how: change.waits.as_ref().map_or_else(
            || change.action.to_string(),
            |why| format!("{}; {}", change.action, why.at(Default::default())),
        ),
        fields: change
            .fields
            .iter()
            .cloned()
            .map(|field| api::Field { path: field.path, old: field.old, new: field.new })
            .collect(),
        dependents: change.dependents.iter().map(short).collect(),
    });
    let held = preview.held.as_ref().map(held);
    let known_bad = preview.known_bad.keys().map(short).collect();
    api::Preview { changes: changes.collect(), units: preview.units, known_bad, held }
}

/// What the guard asks.
pub(super) fn held(held: &Held) -> api::Held {
    api::Held {
        plan: held.permit.id().to_string(),
        why: held.to_string(),
        removals: held.permit.removals.keys().map(|unit| called(unit, &held.permit.source)).collect(),
    }
}
