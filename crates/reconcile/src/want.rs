//! What is wanted: per source one [`Wish`], which names units, what they need, and what they claim.

use crate::id::Time;
use abide_spec::{
    Digest, Name, Scope, Unit, UnitId,
    kind::{Condition, Protocol, Reclaim},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a source says. That it has not answered yet is never said: it is the lack of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The newest revision is broken. The last complete one stays in force, and nothing is pruned.
    Refused(Arc<str>),
    /// The source is given up: what it owns runs on and may be adopted by another source.
    Withdrawn,
    /// Everything the source wants, so what it owns and does not name here may be pruned.
    Complete(Arc<Complete>),
}

/// Everything a source wants, from one complete snapshot.
///
/// Invariant: needs name units of the same wish and form no cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    pub(crate) digest: Digest,
    pub(crate) units: BTreeMap<UnitId, Arc<Want>>,
}

/// A unit as it is wanted, with what follows from its spec for planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The document, resolved.
    pub unit: Arc<Unit>,
    /// Of the unit's canonical form as today's code reads it.
    pub digest: Digest,
    /// What must be there before it starts.
    pub needs: BTreeMap<UnitId, Condition>,
    /// What no other live instance may have meanwhile.
    pub claims: BTreeSet<Claim>,
    /// What becomes of its data when it is pruned.
    pub reclaim: Reclaim,
    /// A new version that is not ready after this long is bad, if there is one to go back to.
    pub ready_within: Time,
}

/// What two instances can't have at once. Only a host port can move while both run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// A port of the host.
    HostPort(Protocol, u16),
    /// The host's network, for instances of this unit.
    HostNetwork(UnitId),
    /// The right to write a volume.
    Volume(Scope, Name),
}
