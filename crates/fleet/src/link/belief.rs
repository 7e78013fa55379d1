//! What the machine makes of targets: [`trust`](crate::trust), as the link has it judge.

use super::{
    identity::{Folder, Identity},
    remote::Remote,
    taker::{Judge, NotTaken, Taken},
    trouble::with_causes,
};
use crate::{
    protocol::{ObjectId, Target},
    trust::{self, State, Trust, age},
};
use abide_reconcile::{Attend, Fault, Revision, SourceId, spec::kind::Grants};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Opens what the machine remembers for each target anew: what another process or an earlier link wrote counts.
pub(super) struct Belief {
    settings: trust::Settings,
    alone: Arc<Mutex<()>>,
}

impl Belief {
    pub(super) fn new(
        id: &SourceId,
        directory: &Path,
        identity: &Identity,
        grants: &Grants,
        alone: Arc<Mutex<()>>,
    ) -> Result<Self, Fault> {
        Ok(Self { settings: settings(id, directory, identity, grants)?, alone })
    }
}

impl Judge for Belief {
    fn take(&self, target: &Target, hub: &Remote, attend: &dyn Attend) -> Result<Taken, NotTaken> {
        let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        if attend.is_cancelled() {
            return Err(NotTaken::Cancelled);
        }
        let mut trust = Trust::open(self.settings.clone())?;
        let trust::Taken { revision, committed_at, .. } = trust.take(target, hub, attend)?;
        Ok(Taken { revision, committed_at: Some(committed_at) })
    }

    fn is_earlier(&self, target: &Target) -> bool {
        // What can't be read is said when the target is taken.
        let state = State::read(&self.settings.directory);
        state.is_ok_and(|state| state.is_some_and(|state| state.is_earlier(target)))
    }
}

impl From<trust::NotTaken> for NotTaken {
    fn from(not_taken: trust::NotTaken) -> Self {
        match not_taken {
            trust::NotTaken::Refused(refused) => Self::Refused(refused.to_string()),
            trust::NotTaken::Earlier { .. } => Self::Earlier,
            trust::NotTaken::Cancelled => Self::Cancelled,
            other => Self::Again(with_causes(&other)),
        }
    }
}

/// What a commit says that was taken before: from the machine's own objects, without a hub, whatever its clock says, and
/// without waiting for a target that is being taken.
pub fn reopen(id: &SourceId, directory: &Path, grants: &Grants, commit: &str) -> Result<Revision, Fault> {
    let commit: ObjectId = commit.parse().map_err(|error| Fault::Never(format!("{error}").into()))?;
    let again = |error: &dyn std::error::Error| Fault::Again(with_causes(error).into());
    let identity = Folder::of(directory).identity().map_err(|error| again(&error))?;
    let identity = identity.ok_or_else(|| Fault::Never(super::NOT_ENROLLED.into()))?;
    let trust = Trust::to_reopen(settings(id, directory, &identity, grants)?).map_err(|error| again(&error))?;
    Ok(trust.reopen(commit).map_err(|error| again(&error))?.revision)
}

fn settings(id: &SourceId, directory: &Path, identity: &Identity, grants: &Grants) -> Result<trust::Settings, Fault> {
    let never = |error: &dyn std::error::Error| Fault::Never(with_causes(error).into());
    Ok(trust::Settings {
        directory: directory.to_owned(),
        scope: id.0.clone(),
        grants: grants.clone(),
        name: identity.name.parse().map_err(|error| never(&error))?,
        fleet: identity.fleet.clone(),
        identity: age::Identity::parse(&identity.age).map_err(|error| never(&error))?,
        signers: None,
    })
}
