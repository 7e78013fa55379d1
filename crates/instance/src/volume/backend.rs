//! What an order means for a volume.

use super::{
    VolumeError, Volumes,
    meta::{self, Keeping, Meta, spec_of},
};
use crate::{
    fault::{again, never},
    place::volume_folder,
};
use abide_host::fs::Resolve;
use abide_reconcile::{
    Attend, Backend, Fault, Found, InstanceId, Kind, Look, Order, Owner, Phase, Reclaim, Role, Seen, Step, Ticket,
    Time, Unit, UnitId, UnitSpec, Want,
    spec::{
        kind::{VolumeForm, VolumeSpec},
        words,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// A volume was there before this boot, as far as it matters.
const SINCE: Time = Time::ZERO;

impl Backend for Volumes {
    fn observe(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault> {
        let metas = match look {
            Look::All => self.all().map_err(again)?,
            Look::Units(units) => {
                let volumes = units.iter().filter(|unit| unit.kind == Kind::Volume);
                let read = |unit: &UnitId| meta::read(&self.dir, &folder(unit)).transpose();
                volumes.filter_map(read).collect::<Result<_, VolumeError>>().map_err(again)?
            }
        };
        let owned = metas.into_iter().filter(|meta| meta.keeping != Keeping::Orphaned);
        Ok(owned.map(|meta| (meta.unit.id.clone(), found(meta))).collect())
    }

    fn run(&self, order: &Order, _: &dyn Attend) -> Result<(), Fault> {
        self.fences.in_turn(order, || self.carry_out(order.ticket, &order.unit, &order.step))
    }
}

impl Volumes {
    fn carry_out(&self, ticket: Ticket, unit: &UnitId, step: &Step) -> Result<(), Fault> {
        match step {
            Step::Start { want, .. } if !matches!(want.unit.spec, UnitSpec::Volume(_)) => {
                Err(Fault::Never(format!("{unit} is no volume").into()))
            }
            Step::Start { want, owner, .. } => {
                let keeping = Keeping::InUse { owner: owner.clone(), instance: ticket };
                self.take_up(&Meta::new((*want.unit).clone(), keeping))
            }
            Step::Update { instance, to } => self.change(unit, *instance, &to.unit),
            Step::Stop { instance } => self.put_down(unit, *instance),
            Step::Adopt(owner) => self.adopt(unit, owner),
            Step::Forget { reclaim } => self.forget(unit, *reclaim).map_err(again),
            // There is nothing to be fetched, no port, no process; and what is remembered is the journal's.
            Step::Prepare { .. } | Step::Activate { .. } | Step::Kill { .. } | Step::Mark(_) | Step::Fence => Ok(()),
        }
    }

    fn take_up(&self, meta: &Meta) -> Result<(), Fault> {
        let folder = folder(&meta.unit.id);
        let spec = meta.spec();
        let before = meta::read(&self.dir, &folder).map_err(again)?;
        self.check(&folder, before.as_ref(), &spec)?;
        self.write(&folder, meta).and_then(|()| self.make_data(&folder, &spec)).map_err(again)
    }

    fn change(&self, unit: &UnitId, instance: InstanceId, to: &Unit) -> Result<(), Fault> {
        let folder = folder(unit);
        let Some(before) = meta::read(&self.dir, &folder).map_err(again)? else { return Ok(()) };
        let Keeping::InUse { owner, instance: current } = &before.keeping else { return Ok(()) };
        if *current != instance {
            return Ok(());
        }
        let spec = spec_of(to);
        self.check(&folder, Some(&before), &spec)?;
        // Grown before it is said to have grown: a look would take the change for done.
        self.make_data(&folder, &spec).map_err(again)?;
        let keeping = Keeping::InUse { owner: owner.clone(), instance };
        self.write(&folder, &Meta::new(to.clone(), keeping)).map_err(again)
    }

    /// Whether what is there can become what is wanted, without loss.
    fn check(&self, folder: &str, before: Option<&Meta>, spec: &VolumeSpec) -> Result<(), Fault> {
        if let Some(form) = before.map(|meta| meta.spec().form).filter(|form| *form != spec.form) {
            return Err(never(words::other_form(form, spec.form)));
        }
        if spec.form == VolumeForm::Directory {
            return Ok(());
        }
        let Some(size) = spec.size else { return Err(never("a disk needs a size: write `size: 10Gi`")) };
        match self.disk_bytes(folder).map_err(again)? {
            Some(bytes) if bytes > size.0 => {
                Err(never(format!("the disk has {bytes} bytes, and {} are wanted: {}", size.0, words::DISK_SHRINKS)))
            }
            _ => Ok(()),
        }
    }

    fn put_down(&self, unit: &UnitId, instance: InstanceId) -> Result<(), Fault> {
        let folder = folder(unit);
        match meta::read(&self.dir, &folder).map_err(again)? {
            Some(Meta { unit, keeping: Keeping::InUse { owner, instance: current }, .. }) if current == instance => {
                self.write(&folder, &Meta::new(unit, Keeping::AtRest { owner })).map_err(again)
            }
            _ => Ok(()),
        }
    }

    fn adopt(&self, unit: &UnitId, owner: &Owner) -> Result<(), Fault> {
        let folder = folder(unit);
        let Some(meta) = meta::read(&self.dir, &folder).map_err(again)? else { return Ok(()) };
        let owner = owner.clone();
        let keeping = match meta.keeping {
            Keeping::InUse { instance, .. } => Keeping::InUse { owner, instance },
            Keeping::AtRest { .. } => Keeping::AtRest { owner },
            Keeping::Orphaned => return Ok(()),
        };
        self.write(&folder, &Meta::new(meta.unit, keeping)).map_err(again)
    }

    /// Nothing is forgotten of a volume in use: that order is of another time.
    fn forget(&self, unit: &UnitId, reclaim: Reclaim) -> Result<(), VolumeError> {
        let folder = folder(unit);
        let Some(meta) = meta::read(&self.dir, &folder)? else { return Ok(()) };
        match (meta.keeping, reclaim) {
            (Keeping::InUse { .. } | Keeping::Orphaned, _) => Ok(()),
            (Keeping::AtRest { .. }, Reclaim::Keep) => self.write(&folder, &Meta::new(meta.unit, Keeping::Orphaned)),
            (Keeping::AtRest { .. }, Reclaim::Delete) => {
                // The record last: what is left after a crash still has its owner.
                let dir = self.dir.open_dir(&folder, Resolve::Beneath)?;
                dir.remove_all(super::DATA)?;
                dir.sync()?;
                self.dir.remove_all(&folder)?;
                Ok(self.dir.sync()?)
            }
        }
    }
}

fn folder(unit: &UnitId) -> String {
    volume_folder(&unit.scope, &unit.name)
}

fn found(meta: Meta) -> Found {
    let owner = meta.keeping.owner().cloned();
    let instances = match meta.keeping {
        Keeping::InUse { instance, .. } => {
            let phase = Phase::Running { started: SINCE, ready: Some(SINCE), failing: false };
            let want = Arc::new(Want::new(Arc::new(meta.unit)));
            vec![Arc::new(Seen { instance, role: Role::Active, phase, want, attempt: 0 })]
        }
        Keeping::AtRest { .. } | Keeping::Orphaned => Vec::new(),
    };
    Found { instances, owner, stamp: 0 }
}
