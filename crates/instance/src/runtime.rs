//! What a kind of unit adds to what all instances have in common.

use abide_host::cgroup::{CONTAINER_DEVICES, Device, Limits};
use abide_reconcile::{Attend, Fault, InstanceId, Kind, Unit, UnitId, UnitSpec};
use std::{net::Ipv4Addr, path::PathBuf, sync::Arc};

/// A kind of unit: how its instances are made ready, launched, changed and cleared away.
///
/// The instance's directory, cgroup, address, keeper, log and host ports are the caller's; a runtime never touches them.
pub trait Runtime: Send + Sync {
    /// Which kind it is.
    fn kind(&self) -> Kind;

    /// Makes everything ready that can be while nothing runs: pull, unpack, check. Idempotent, and quick if done before.
    fn prepare(&self, unit: &Unit, attend: &dyn Attend) -> Result<(), Fault>;

    /// What the instance's control group is held to, at the launch and when live fields change: what the spec says, and
    /// room for what the kind itself needs.
    fn limits(&self, unit: &Unit) -> Limits {
        let UnitSpec::Container(spec) = &unit.spec else { return Limits::default() };
        let resources = &spec.resources;
        Limits {
            cpu_millis: resources.cpu.map(|cpu| cpu.millis),
            memory_bytes: resources.memory.map(|memory| memory.0),
            pids: resources.pids,
        }
    }

    /// The devices that the instance's processes may use.
    fn devices(&self) -> Vec<Device> {
        CONTAINER_DEVICES.to_vec()
    }

    /// Builds the instance's root or devices below `place.dir` and says what its keeper is to execute.
    fn launch(&self, place: &Place, unit: &Unit) -> Result<Launch, Fault>;

    /// Changes a running instance from one spec to another that differs in live fields alone. Limits of the cgroup are
    /// the caller's.
    fn update(&self, place: &Place, from: &Unit, to: &Unit) -> Result<(), Fault>;

    /// Asks the first process to end, as gently as the kind can. The caller kills it when the grace period is over.
    fn ask_to_stop(&self, place: &Place, unit: &Unit) -> Result<(), Fault>;

    /// Takes away what `launch` made, mounts first. Idempotent: half of it may be there.
    fn clear_away(&self, place: &Place) -> Result<(), Fault>;
}

/// A runtime that somebody else uses, too.
impl<R: Runtime + ?Sized> Runtime for Arc<R> {
    fn kind(&self) -> Kind {
        (**self).kind()
    }

    fn prepare(&self, unit: &Unit, attend: &dyn Attend) -> Result<(), Fault> {
        (**self).prepare(unit, attend)
    }

    fn limits(&self, unit: &Unit) -> Limits {
        (**self).limits(unit)
    }

    fn devices(&self) -> Vec<Device> {
        (**self).devices()
    }

    fn launch(&self, place: &Place, unit: &Unit) -> Result<Launch, Fault> {
        (**self).launch(place, unit)
    }

    fn update(&self, place: &Place, from: &Unit, to: &Unit) -> Result<(), Fault> {
        (**self).update(place, from, to)
    }

    fn ask_to_stop(&self, place: &Place, unit: &Unit) -> Result<(), Fault> {
        (**self).ask_to_stop(place, unit)
    }

    fn clear_away(&self, place: &Place) -> Result<(), Fault> {
        (**self).clear_away(place)
    }
}

/// Where an instance lives.
#[derive(Clone, Debug)]
pub struct Place {
    /// The unit.
    pub unit: UnitId,
    /// Which of its instances.
    pub instance: InstanceId,
    /// Its own directory, of this boot, 0700.
    pub dir: PathBuf,
    /// Its address on the bridge, unless it has the host's network.
    pub address: Option<Ipv4Addr>,
    /// The bridge's own address: the gateway.
    pub gateway: Ipv4Addr,
    /// Bits of the bridge's network.
    pub prefix: u8,
}

/// What the keeper is to execute.
#[derive(Debug)]
pub struct Launch {
    /// For the keeper, but for cgroup, log and network, which the caller fills in.
    pub job: abide_host::keeper::Job,
    /// How the instance is tied to the bridge.
    pub link: Link,
}

/// How an instance is tied to the bridge.
#[derive(Debug)]
pub enum Link {
    /// A veth pair, whose other end is `eth0` in the first process's network namespace.
    Veth,
    /// A tap device with the headers of virtio ([`abide_host::net::link::Header::Virtio`]), which the caller makes after the
    /// launch: it is the program's descriptor 3.
    Tap,
    /// None: it has the host's network, or none at all.
    None,
}
