//! Groups: units that change in waves, with no more of them unavailable at once than is allowed. Replicas that roll and the
//! machines of a fleet are the same thing.
//!
//! ```text
//!  wave 1 open ─► members take the version, as places allow ─► all that are in reach: ready for the soak time, or bad
//!                                                                   │                        │
//!            the next wave opens ◄─ its members are marked good ◄───┘                        └─► more bad than allowed:
//!                                                                                                the group is stopped
//! ```
//!
//! 1. Who may not have the version that is wished (its wave is not open, the group is paused or stopped) keeps what it has,
//!    and is healed at that.
//! 2. To take down a member that is available costs a place. There are as many as members may be unavailable, less those
//!    that are. A member that serves nobody is changed without one, and one that never served takes none, or no fix would
//!    ever get in.
//! 3. A wave proves a version together: its members are marked good when none in reach is on the way any more. From then on
//!    the marks tell that it has passed: who comes late closes nothing, as long as most have proven it.
//! 4. A wave with more bad members than allowed stops its group. Whoever took the version and was not marked good is taken
//!    back to its last good one: healthy members in their turn, as any change.
//!
//! 5. Whom a person wants tried again is as bad as before until it is seen that what failed is forgotten, and goes first then:
//!    its group doesn't go on with somebody else in its stead. After a crash it goes when it is its turn.
//!
//! None of this is stored. Marks, the wish, and what is seen of the members tell it all, so that it is the same after a crash.

use crate::{
    id::{SourceId, Time},
    want::{Complete, Invalid, Want},
};
use abide_spec::{Digest, Kind, Name, UnitId};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    num::NonZeroUsize,
    sync::Arc,
};

/// Units of a wish that change in waves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Who comes first, and who next.
    pub waves: Vec<Wave>,
    /// So many members may be unavailable at once before one that is available is taken down.
    pub unavailable_max: NonZeroUsize,
    /// For how long members have to be ready before their wave has passed. At least [`crate::Limits::proof_of`] it is.
    pub soak: Time,
    /// A member that isn't ready after so long has a bad version; after its own [`Want::ready_within`] unless said.
    pub ready_within: Option<Time>,
    /// Nobody takes a new version for the time being. What was begun is finished, what fails is taken back.
    pub paused: bool,
    /// How members count that are out of reach.
    pub away: Away,
}

/// Members that get a version at the same stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// Who.
    pub members: BTreeSet<UnitId>,
    /// So many of them may turn out bad. One more stops the group.
    pub bad_max: usize,
}

/// How members count that are out of reach. In any case they are told what they are to be, and no wave waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// As unavailable.
    Counts,
    /// Not at all.
    Exempt,
}

/// Which group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId {
    /// Whose wish has it.
    pub source: SourceId,
    /// Its name there.
    pub name: Name,
}

impl Group {
    /// How long a member may take to become ready with this.
    pub(crate) fn ready_within(&self, want: &Want) -> Time {
        self.ready_within.unwrap_or(want.ready_within)
    }
}

impl Complete {
    /// The same wish, with units in groups. Checks that members are units of the wish that have versions to prove, in one
    /// wave of one group each, and that none needs one that comes in a later wave.
    pub fn with_groups(self, groups: BTreeMap<Name, Group>) -> Result<Self, Invalid> {
        check(self.units(), &groups)?;
        Ok(self.grouped(Arc::new(groups)))
    }
}

fn check(units: &BTreeMap<UnitId, Arc<Want>>, groups: &BTreeMap<Name, Group>) -> Result<(), Invalid> {
    let mut places: BTreeMap<&UnitId, (&Name, usize)> = BTreeMap::new();
    for (group, wave, unit) in members(groups) {
        if !units.contains_key(unit) {
            return Err(Invalid::NoMember { group: group.clone(), unit: unit.clone() });
        }
        if unit.kind == Kind::Volume {
            return Err(Invalid::Unprovable { group: group.clone(), unit: unit.clone() });
        }
        if let Some((other, _)) = places.insert(unit, (group, wave)) {
            return Err(Invalid::TwoPlaces { unit: unit.clone(), groups: [other.clone(), group.clone()] });
        }
    }
    for (by, (group, wave)) in &places {
        let comes_later = |need: &&UnitId| places.get(need).is_some_and(|(of, other)| of == group && other > wave);
        if let Some(unit) = units.get(*by).and_then(|want| want.needs.keys().find(comes_later)) {
            return Err(Invalid::NeedsLater { by: (*by).clone(), unit: unit.clone() });
        }
    }
    Ok(())
}

fn members(groups: &BTreeMap<Name, Group>) -> impl Iterator<Item = (&Name, usize, &UnitId)> {
    groups.iter().flat_map(|(name, group)| {
        let waves = group.waves.iter().enumerate();
        waves.flat_map(move |(n, wave)| wave.members.iter().map(move |unit| (name, n, unit)))
    })
}

/// Of units and groups.
pub(crate) fn digest(units: Digest, groups: &BTreeMap<Name, Group>) -> Digest {
    if groups.is_empty() {
        return units;
    }
    let mut text = format!("{units}\n");
    for (name, Group { waves, unavailable_max, soak, ready_within, paused, away }) in groups {
        let _ = write!(text, "{name} {unavailable_max} {} {paused} {away:?}", soak.as_nanos());
        let _ = writeln!(text, " {:?}", ready_within.map(|time| time.as_nanos()));
        for Wave { members, bad_max } in waves {
            let _ = writeln!(text, " {bad_max}");
            for unit in members {
                let _ = writeln!(text, "  {unit}");
            }
        }
    }
    Digest::of(text.as_bytes())
}
