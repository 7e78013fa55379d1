//! What is wanted: per source one [`Wish`], which names units, what they need, and what they claim.

use crate::{
    group::{self, Group},
    id::Time,
};
use abide_spec::{
    Digest, Kind, Name, Scope, Unit, UnitId, UnitSpec,
    kind::{Condition, Protocol, Reclaim, RestartPolicy, start_period},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// A machine that was told a commit and isn't ready after this long, though in reach, has a bad one. It may have images to
/// pull over a slow link first, and units to start after each other.
const MACHINE_READY_WITHIN: Time = Time::from_secs(600);

/// What a source says. That it has not answered yet is never said: it is the lack of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The newest revision is broken. The last complete one stays in force, and nothing is pruned.
    Refused(Arc<str>),
    /// The source is given up: what it owns runs on, and nobody prunes it.
    Withdrawn,
    /// Everything the source wants, so what it owns and does not name here may be pruned.
    Complete(Arc<Complete>),
}

/// Everything a source wants, from one complete snapshot. Its units may be of many scopes; no two sources want one unit.
///
/// Invariant: needs name units of the same wish and form no cycle; what is confirmed to go is not wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    digest: Digest,
    units: BTreeMap<UnitId, Arc<Want>>,
    confirmed: BTreeSet<UnitId>,
    /// See [`Complete::missing`].
    missing_at_once: usize,
    /// See [`Complete::with_groups`].
    groups: Arc<BTreeMap<Name, Group>>,
}

/// A unit as it is wanted, with what follows from its spec for planning. Wants of one digest are equal.
#[derive(Clone)]
pub struct Want {
    /// The document, resolved.
    pub unit: Arc<Unit>,
    /// Of the unit as today's code reads it.
    pub digest: Digest,
    /// Of what only a new instance can change: equal shapes are updated in place.
    pub shape: Digest,
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
    /// To be where the unit is: it is told one thing at a time.
    Unit(UnitId),
}

/// Why units are no wish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A need names nothing.
    #[error("{by} needs {unit}, which isn't there")]
    Unknown {
        /// Who needs it.
        by: UnitId,
        /// What isn't there.
        unit: UnitId,
    },
    /// Units wait for each other.
    #[error("these units wait for each other: {0:?}")]
    Cycle(Vec<UnitId>),
    /// A group has a member that there isn't.
    #[error("group {group} has {unit}, which isn't there")]
    NoMember {
        /// Whose member.
        group: Name,
        /// Which.
        unit: UnitId,
    },
    /// A group's member has no versions to prove.
    #[error("group {group} has {unit}, of which no version could be proven: it is there or it isn't")]
    Unprovable {
        /// Whose member.
        group: Name,
        /// Which.
        unit: UnitId,
    },
    /// A unit is a member more than once.
    #[error("{unit} is in groups {} and {}: a unit has one place, in one wave of one group", .groups[0], .groups[1])]
    TwoPlaces {
        /// Which.
        unit: UnitId,
        /// Where; twice the same where it is in two waves.
        groups: [Name; 2],
    },
    /// A member would wait for one that waits for its wave.
    #[error("{by} needs {unit}, which comes in a later wave of the same group")]
    NeedsLater {
        /// Who needs it.
        by: UnitId,
        /// What comes later.
        unit: UnitId,
    },
}

impl Want {
    /// What follows from a unit's spec.
    pub fn new(unit: Arc<Unit>) -> Self {
        let sibling = |kind, name: &Name| UnitId { scope: unit.id.scope.clone(), kind, name: name.clone(), index: 0 };
        let volumes = unit.volumes();
        let mut needs: BTreeMap<UnitId, Condition> =
            volumes.iter().map(|(name, _)| (sibling(Kind::Volume, name), Condition::Started)).collect();
        needs.extend(unit.depends_on().iter().map(|need| (sibling(need.unit.kind, &need.unit.name), need.condition)));
        let ports = unit.ports().iter().filter_map(|port| Some(Claim::HostPort(port.protocol, port.host_port?)));
        let written = volumes.iter().filter(|(_, writes)| *writes);
        let mut claims: BTreeSet<Claim> =
            ports.chain(written.map(|(name, _)| Claim::Volume(unit.id.scope.clone(), (*name).clone()))).collect();
        if matches!(&unit.spec, UnitSpec::Container(spec) if spec.host_network) {
            claims.insert(Claim::HostNetwork(unit.id.clone()));
        }
        if matches!(&unit.spec, UnitSpec::Assignment(_)) {
            claims.insert(Claim::Unit(unit.id.clone()));
        }
        let reclaim = match &unit.spec {
            UnitSpec::Volume(spec) => spec.reclaim,
            UnitSpec::Container(_) | UnitSpec::VirtualMachine(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => {
                Reclaim::Keep
            }
        };
        let ready_within = match &unit.spec {
            UnitSpec::Machine(_) => MACHINE_READY_WITHIN,
            _ => unit.readiness().map_or_else(start_period, |probe| probe.start_period).0,
        };
        Self { digest: unit.digest(), shape: unit.shape(), needs, claims, reclaim, ready_within, unit }
    }

    /// Whether a readiness probe, or a machine itself, tells when it serves; else all that is known is that it runs.
    pub fn is_probed(&self) -> bool {
        self.unit.readiness().is_some() || matches!(self.unit.spec, UnitSpec::Machine(_))
    }

    /// Whether an exit with this code is the end that the unit was for.
    pub fn is_completed_by(&self, code: i32) -> bool {
        self.unit.restart_policy() != RestartPolicy::Always && code == 0
    }

    /// Whether an exit with this code is not followed by another start.
    pub fn is_failed_by(&self, code: i32) -> bool {
        self.unit.restart_policy() == RestartPolicy::Never && code != 0
    }
}

impl PartialEq for Want {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Want {}

impl fmt::Debug for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.8}", self.unit.id, self.digest.to_string())
    }
}

impl Claim {
    /// Whether it can be handed over while both instances run.
    pub fn is_movable(&self) -> bool {
        matches!(self, Self::HostPort(..))
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostPort(Protocol::Tcp, port) => write!(f, "host port {port}"),
            Self::HostPort(Protocol::Udp, port) => write!(f, "host port {port}/UDP"),
            Self::HostNetwork(_) => f.write_str("the host's network"),
            Self::Volume(_, name) => write!(f, "Volume/{name}"),
            Self::Unit(unit) => write!(f, "{}/{}", unit.kind, unit.name),
        }
    }
}

impl Complete {
    /// Checks the invariant.
    pub fn new(units: impl IntoIterator<Item = Arc<Want>>) -> Result<Self, Invalid> {
        let units: BTreeMap<UnitId, Arc<Want>> = units.into_iter().map(|want| (want.unit.id.clone(), want)).collect();
        for (by, want) in &units {
            if let Some(unit) = want.needs.keys().find(|need| !units.contains_key(*need)) {
                return Err(Invalid::Unknown { by: by.clone(), unit: unit.clone() });
            }
        }
        if let Some(cycle) = cycle(&units) {
            return Err(Invalid::Cycle(cycle));
        }
        let mut text = String::new();
        for (unit, want) in &units {
            text.push_str(&format!("{unit} {}\n", want.digest));
        }
        let (confirmed, missing_at_once, groups) = Default::default();
        Ok(Self { digest: Digest::of(text.as_bytes()), units, confirmed, missing_at_once, groups })
    }

    /// The same wish, where somebody said of each of these units that it is to go, and of its data what its `reclaim` says:
    /// by deleting an object, or by giving it to another node. The guard doesn't ask about them. What is wanted stays.
    #[must_use]
    pub fn confirming(mut self, removals: impl IntoIterator<Item = UnitId>) -> Self {
        self.confirmed = removals.into_iter().filter(|unit| !self.units.contains_key(unit)).collect();
        self
    }

    /// Units that are not wanted, and of which somebody said so.
    pub fn confirmed(&self) -> &BTreeSet<UnitId> {
        &self.confirmed
    }

    /// The same wish, of a source whose units come one by one: so many were missing at once, without a word. What comes back
    /// makes those that are still missing fewer, but not their loss more believable: the guard judges them as if all were.
    #[must_use]
    pub fn missing(self, at_once: usize) -> Self {
        Self { missing_at_once: at_once, ..self }
    }

    /// So many units were missing at once.
    pub fn missing_at_once(&self) -> usize {
        self.missing_at_once
    }

    /// Who calls this has checked the groups.
    pub(crate) fn grouped(self, groups: Arc<BTreeMap<Name, Group>>) -> Self {
        Self { digest: group::digest(self.digest, &groups), groups, ..self }
    }

    /// Of all its units and groups. What is confirmed to go is no part of it: a person's yes to other removals stays good.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its groups.
    pub fn groups(&self) -> &BTreeMap<Name, Group> {
        &self.groups
    }

    /// All its units.
    pub fn units(&self) -> &BTreeMap<UnitId, Arc<Want>> {
        &self.units
    }
}

/// Peels off units whose needs are all peeled; what can't be peeled is on or behind a cycle.
fn cycle(units: &BTreeMap<UnitId, Arc<Want>>) -> Option<Vec<UnitId>> {
    let mut missing: BTreeMap<&UnitId, usize> = BTreeMap::new();
    let mut users: BTreeMap<&UnitId, Vec<&UnitId>> = BTreeMap::new();
    for (unit, want) in units.iter().filter(|(_, want)| !want.needs.is_empty()) {
        missing.insert(unit, want.needs.len());
        for need in want.needs.keys() {
            users.entry(need).or_default().push(unit);
        }
    }
    let mut peeled: Vec<&UnitId> = users.keys().copied().filter(|unit| !missing.contains_key(unit)).collect();
    while let Some(unit) = peeled.pop() {
        for user in users.get(unit).into_iter().flatten() {
            if let Some(left) = missing.get_mut(user) {
                *left -= 1;
                if *left == 0 {
                    missing.remove(user);
                    peeled.push(user);
                }
            }
        }
    }
    (!missing.is_empty()).then(|| missing.into_keys().cloned().collect())
}
