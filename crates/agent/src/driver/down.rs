//! `abide down`: every source is told to want its volumes alone, and what follows from that may go without further asking,
//! unless it deletes data. So does what is there of sources that were given up, or that were never heard of: what they
//! own is known from the world alone.

use super::{
    Driver,
    requests::{No, say, send},
    sources::begin,
};
use crate::{
    followed::{By, Waiting},
    journal::{Record, Suspension},
    talk::Respond,
};
use abide_reconcile::{Complete, Found, Kind, Look, Permit, Reclaim, Revision, SourceId, UnitId, Want, Wish};
use std::{collections::BTreeMap, sync::Arc};

/// Sources that are to be put down, with the volumes that were found of each that owns anything.
type Volumes = BTreeMap<SourceId, Option<Vec<Arc<Want>>>>;

impl Driver {
    pub(super) fn down(&mut self, answer: Respond) {
        self.call(
            |means| means.observe(&Look::All),
            move |driver, found| match found {
                Ok(found) => {
                    let mut volumes = volumes(&found);
                    let registered = driver.followed.values().filter(|followed| followed.is_registered());
                    for followed in registered {
                        volumes.entry(followed.id.clone()).or_default();
                    }
                    driver.down_next(answer, volumes, BTreeMap::new());
                }
                Err(fault) => say(answer, Err(No::Failed(format!("what runs could not be looked at: {fault}")))),
            },
        );
    }

    fn down_next(&mut self, answer: Respond, mut left: Volumes, mut stopping: BTreeMap<SourceId, String>) {
        let Some((id, volumes)) = left.pop_first() else {
            if stopping.is_empty() {
                return say(answer, Ok("nothing runs that a source wants".to_owned()));
            }
            return send(answer, self.stream(stopping));
        };
        if !self.followed.contains_key(&id) {
            let asked = id.clone();
            return self.call(
                move |means| begin(&*means.journals, &asked),
                move |driver, begun| match begun {
                    Ok(journal) => {
                        driver.enter(&id, Some(journal));
                        left.insert(id, volumes);
                        driver.down_next(answer, left, stopping);
                    }
                    Err(fault) => say(answer, Err(fault.into())),
                },
            );
        }
        self.write(&id.clone(), Record::Suspended { how: Suspension::Down }, move |driver, written| {
            if let Err(fault) = written {
                return say(answer, Err(fault.into()));
            }
            stopping.extend(driver.put_down(&id, volumes));
            driver.down_next(answer, left, stopping);
        });
    }

    /// Has the core told of the source's volumes, if there is anything of it.
    fn put_down(&mut self, id: &SourceId, volumes: Option<Vec<Arc<Want>>>) -> Option<(SourceId, String)> {
        let followed = self.followed.get_mut(id)?;
        followed.listener = None;
        followed.permitted = None;
        let accepted = followed.state.accepted.clone().unwrap_or_default();
        let told = followed.told.get(&accepted.generation).and_then(|told| told.complete.clone());
        let wish = match told {
            Some(complete) => complete,
            None => Arc::new(Complete::new(volumes?).ok()?),
        };
        let (commit, summary) = (accepted.commit.clone(), accepted.summary);
        let revision = Revision { commit, summary, wish: Wish::Complete(wish), files: BTreeMap::new() };
        followed.waiting = Some(Waiting { revision, by: By::Person });
        Some((id.clone(), accepted.commit))
    }

    /// What the guard asks about sources that are down, and may go without further asking.
    pub(super) fn asked_by_down(&self) -> Vec<Permit> {
        let is_down =
            |id: &SourceId| self.followed.get(id).is_some_and(|followed| followed.state.suspension == Suspension::Down);
        let is_harmless = |permit: &Permit| permit.removals.values().all(|reclaim| *reclaim == Reclaim::Keep);
        if !self.followed.keys().any(is_down) {
            return Vec::new();
        }
        let plan = self.core.plan();
        let asked = plan.held.into_iter().chain(plan.late);
        asked.filter(|(id, permit)| is_down(id) && is_harmless(permit)).map(|(_, permit)| permit).collect()
    }
}

/// All owners of what there is, with the volumes of each.
fn volumes(found: &BTreeMap<UnitId, Found>) -> Volumes {
    let mut volumes = Volumes::new();
    for (unit, Found { instances, owner, .. }) in found {
        let Some(owner) = owner else { continue };
        let of_owner = volumes.entry(owner.source.clone()).or_default().get_or_insert_default();
        let want = instances.first().map(|seen| Arc::clone(&seen.want));
        of_owner.extend(want.filter(|_| unit.kind == Kind::Volume));
    }
    volumes
}
