//! Commits, what becomes of machines that take them, and the wishes of a fleet.

use crate::{rng::Rng, wishes};
use abide_reconcile::{
    Away, Complete, Group, Kind, Name, SourceId, Time, UnitId, UnitSpec, Want, Wave,
    spec::{MachineTarget, Unit},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::{Arc, LazyLock},
};

/// What becomes of machines that take a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Works,
    /// They go back by themselves, and say so.
    Fails,
    NeverReady,
    /// They are ready, and then not any more, in the soak time.
    FailsInSoak,
    /// Nothing is heard of them any more.
    Severs,
    /// Every other one fails.
    FailsOnHalf,
}

impl Health {
    pub(crate) const BAD: [Self; 5] =
        [Self::Fails, Self::NeverReady, Self::FailsInSoak, Self::Severs, Self::FailsOnHalf];

    /// No honest machine works with it.
    pub(crate) fn is_bad_everywhere(self) -> bool {
        !matches!(self, Self::Works | Self::FailsOnHalf)
    }
}

/// Who is in the fleet, and how it rolls.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(crate) ids: Vec<UnitId>,
    /// Of each machine.
    pub(crate) wave_of: Vec<usize>,
    pub(crate) unavailable_max: usize,
    pub(crate) bad_max: Vec<usize>,
    pub(crate) away: Away,
    pub(crate) paused: bool,
    /// Machines that no wish names at the moment.
    pub(crate) left_out: BTreeSet<usize>,
}

const SOAK: Time = Time::from_secs(30);
/// More than the slowest takes that came back just before it was missed.
const READY_WITHIN: Time = Time::from_secs(100);

thread_local! {
    // Each seed has the same machines and commits: reading their specs is most of the work.
    static WANTS: RefCell<BTreeMap<(usize, u64), Arc<Want>>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn source() -> SourceId {
    static SOURCE: LazyLock<SourceId> = LazyLock::new(|| SourceId(Name::new("fleet").expect("a name")));
    SOURCE.clone()
}

/// A machine that is to be on this commit.
pub(crate) fn want(machine: usize, revision: u64) -> Arc<Want> {
    let make = || {
        let unit = Unit {
            id: wishes::id(&source(), Kind::Machine, &format!("m{machine:04}")),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec: UnitSpec::Machine(Arc::new(MachineTarget { commit: format!("{revision:040x}") })),
            config_maps: BTreeMap::new(),
            secrets: BTreeMap::new(),
            files: BTreeMap::new(),
            insecure_registries: Vec::new(),
        };
        Arc::new(Want::new(Arc::new(unit)))
    };
    WANTS.with_borrow_mut(|wants| Arc::clone(wants.entry((machine, revision)).or_insert_with(make)))
}

/// The commit that this is.
pub(crate) fn revision(want: &Want) -> u64 {
    match &want.unit.spec {
        UnitSpec::Machine(target) => u64::from_str_radix(&target.commit, 16).unwrap_or_default(),
        _ => 0,
    }
}

impl Roster {
    pub(crate) fn new(rng: &mut Rng, size: usize) -> Self {
        let first = 3 + rng.below(8) as usize;
        let wave_of = (0..size).map(|_| match rng.below(size as u64) as usize {
            n if n < first => 0,
            n if n < size / 8 => 1,
            _ => 2,
        });
        let mut wave_of: Vec<usize> = wave_of.collect();
        // Three of them at least are in the first.
        (0..3).for_each(|n| wave_of[n * (size / 3)] = 0);
        Self {
            ids: (0..size).map(|n| want(n, 0).unit.id.clone()).collect(),
            wave_of,
            unavailable_max: size / 20 + rng.below(size as u64 / 5) as usize,
            bad_max: vec![0; 3],
            away: if rng.chance(1, 2) { Away::Counts } else { Away::Exempt },
            paused: false,
            // They enrol later.
            left_out: (0..size / 25).map(|_| rng.below(size as u64) as usize).collect(),
        }
    }

    pub(crate) fn wish(&self, revision: u64) -> Complete {
        let named = || (0..self.ids.len()).filter(|machine| !self.left_out.contains(machine));
        let mut waves: Vec<Wave> =
            self.bad_max.iter().map(|max| Wave { members: BTreeSet::new(), bad_max: *max }).collect();
        for machine in named() {
            waves[self.wave_of[machine]].members.insert(self.ids[machine].clone());
        }
        let unavailable_max = NonZeroUsize::new(self.unavailable_max).expect("a budget");
        let group = Group {
            waves,
            unavailable_max,
            soak: SOAK,
            ready_within: Some(READY_WITHIN),
            paused: self.paused,
            away: self.away,
        };
        let units = Complete::new(named().map(|machine| want(machine, revision))).expect("nobody needs anybody");
        units.with_groups([(Name::new("all").expect("a name"), group)].into()).expect("each has one place")
    }
}
