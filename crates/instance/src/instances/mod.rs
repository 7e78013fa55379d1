//! The [`Backend`] of a kind whose units run as instances.
//!
//! ```text
//!          start                    activate                  stop
//!  (made) ───────► candidate ──────────────────► active ───────────────► (cleared away)
//!                      │ exits                     │  another is activated   ▲
//!                      ▼                           ▼                         │
//!                  tombstone                    retiring ────────────────────┘
//! ```
//!
//! | file | steps |
//! |---|---|
//! | `observe` | looks |
//! | `start` | Start: records first, then address, group, root, keeper, link, and off it goes |
//! | `activate` | Activate: the ports of the host move, no request is lost |
//! | `change` | Update, Adopt, Forget |
//! | `stop` | Kill, Stop, and clearing away all that an instance leaves, also after a crash |
//!
//! Each step can be done again after a crash at any point of it: what is there is taken as it is.

mod activate;
mod change;
mod logs;
mod observe;
mod start;
mod stop;

use crate::{Ground, Runtime, fence::Fences};
use abide_reconcile::{Attend, Backend, Fault, Found, InstanceId, Look, Order, Step, UnitId, with_causes};
use std::{collections::BTreeMap, sync::Arc};

/// The instances of one kind under one root.
#[derive(Debug)]
pub struct Instances<R> {
    ground: Arc<Ground>,
    runtime: R,
    fences: Fences,
}

impl<R: Runtime> Instances<R> {
    /// Takes up those that run, and clears away those that a crash or a reboot left half made. What can't be cleared is
    /// tried again before the unit's next start.
    pub fn new(ground: Arc<Ground>, runtime: R) -> Self {
        let instances = Self { fences: Fences::new(ground.epoch), ground, runtime };
        match instances.units() {
            Ok(units) => units.iter().for_each(|unit| instances.take_up(unit)),
            Err(fault) => tracing::error!("what runs can't be looked through: {fault}"),
        }
        instances
    }

    fn take_up(&self, unit: &UnitId) {
        if let Err(fault) = self.clear_leftovers(unit) {
            tracing::warn!("what is left of {unit}: {fault}");
        }
        if let Err(error) = self.watch_all(unit) {
            tracing::warn!("{unit} is not watched, and its end is noticed late: {}", with_causes(&error));
        }
    }

    fn carry_out(&self, order: &Order, attend: &dyn Attend) -> Result<(), Fault> {
        let unit = &order.unit;
        match &order.step {
            Step::Prepare { want } => self.runtime.prepare(&want.unit, attend),
            Step::Start { want, owner, attempt } => {
                self.start(unit, order.ticket, &start::Version { want, owner, attempt: *attempt }, attend)
            }
            Step::Activate { instance } => self.activate(unit, *instance),
            Step::Update { instance, to } => self.update(unit, *instance, to),
            Step::Kill { instance } => self.kill(unit, *instance),
            Step::Stop { instance } => self.stop(unit, *instance, attend),
            Step::Adopt(owner) => self.adopt(unit, owner),
            Step::Forget { .. } => self.forget(unit),
            // What is remembered is the journal's.
            Step::Mark(_) | Step::Fence => Ok(()),
        }
    }
}

impl<R: Runtime> Backend for Instances<R> {
    fn observe(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault> {
        self.look(look)
    }

    fn run(&self, order: &Order, attend: &dyn Attend) -> Result<(), Fault> {
        let act = || self.carry_out(order, attend);
        // What is prepared is harmless, and may be slow: nothing waits for it.
        if matches!(order.step, Step::Prepare { .. }) {
            self.fences.beside(order, act)
        } else {
            self.fences.in_turn(order, act)
        }
    }
}

/// An instance that an order names isn't there, or doesn't run: a later look will say so.
fn missing(instance: InstanceId) -> Fault {
    Fault::Again(format!("instance {instance} does not run").into())
}
