//! Moving the ports of the host to an instance, so that no request is lost.
//!
//! ```text
//!  1 sockets    of each TCP port, from whichever keeper has it, or bound anew: that reserves the port
//!  2 table      all ports lead to the new one, in one transaction
//!  3 UDP        what the kernel remembers of clients is forgotten, after the table has changed
//!  4 listen     the new keeper accepts on the same sockets: localhost and IPv6, which the table doesn't reach
//!  5 unit.json  it is active, and who was retires
//!  6 unlisten   the old keeper accepts nothing more
//! ```
//!
//! Whatever comes first of these, some instance serves: the old one up to the table, the new one after it, and where both
//! accept, both are there. A connection stays where it began, until the old one is drained.

use super::{Instances, missing};
use crate::{
    Runtime,
    condition::Condition,
    fault::again,
    ground::instances_in,
    network::Network,
    place::instance_directory,
    record::{InstanceRecord, UnitRecord},
};
use abide_host::{
    keeper::{AskError, Client, Forward},
    net::{
        listener,
        nft::{Change, HostPort, Protocol},
    },
};
use abide_reconcile::{Fault, Found, InstanceId, Role, UnitId, spec::kind, with_causes};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddrV4,
    os::fd::{AsFd as _, OwnedFd},
};

/// A port of the host, and where it leads.
pub(super) type Published = (HostPort, SocketAddrV4);

/// What an instance publishes once it is active. One with the host's network has its ports by itself.
pub(super) fn published(record: &InstanceRecord) -> Vec<Published> {
    let Some(attached) = &record.network else { return Vec::new() };
    let protocol = |protocol| match protocol {
        kind::Protocol::Tcp => Protocol::Tcp,
        kind::Protocol::Udp => Protocol::Udp,
    };
    let ports = record.unit.ports().iter().filter_map(|port| {
        let host = HostPort { protocol: protocol(port.protocol), port: port.host_port? };
        Some((host, SocketAddrV4::new(attached.address, port.port)))
    });
    ports.collect()
}

/// The changes that take all of these back.
pub(super) fn withdrawn<'a>(published: impl IntoIterator<Item = &'a Published>) -> Vec<Change> {
    published.into_iter().map(|(from, to)| Change::Withdraw(*from, *to)).collect()
}

fn tcp(published: &[Published]) -> impl Iterator<Item = &Published> {
    published.iter().filter(|(from, _)| from.protocol == Protocol::Tcp)
}

impl<R: Runtime> Instances<R> {
    pub(super) fn activate(&self, unit: &UnitId, instance: InstanceId) -> Result<(), Fault> {
        let Some(directory) = self.ground.unit(unit).map_err(again)? else { return Err(missing(instance)) };
        let new = self.running(unit, instance)?.ok_or_else(|| missing(instance))?;
        let mut roles = UnitRecord::read(&directory).map_err(again)?;
        let before = roles.active.filter(|before| *before != instance);
        let old = before.map(|before| self.record_of(unit, before)).transpose()?.flatten();
        let (new, old) = (published(&new), old.as_ref().map(published).unwrap_or_default());
        // Also those that an activation was cut short for: a crash may have come before they were recorded as active.
        let mut others = instances_in(&directory).map_err(again)?;
        others.retain(|other| *other != instance);
        if !new.is_empty() || !old.is_empty() {
            let network = self.ground.network().map_err(again)?;
            let sockets = self.sockets(unit, instance, &others, &new, &network)?;
            turn(&network, &new, &old)?;
            let keeper = self.keeper(unit, instance).map_err(again)?;
            for (forward, socket) in &sockets {
                keeper.listen(*forward, socket.as_fd()).map_err(again)?;
            }
        }
        roles.activate(instance);
        roles.write(&directory).map_err(again)?;
        others.into_iter().try_for_each(|other| match self.record_of(unit, other)? {
            Some(record) => self.unlisten(unit, other, &published(&record)),
            None => Ok(()),
        })
    }

    /// Publishes again what is missing in the table: who reloads the host's firewall may flush all tables.
    pub(super) fn mend_ports(&self, world: &BTreeMap<UnitId, Found>) -> Result<(), Fault> {
        let mut wanted = Vec::new();
        for (unit, found) in world {
            let serves = found.instances.iter().find(|seen| seen.role == Role::Active && seen.is_live());
            let record = serves.map(|seen| self.record_of(unit, seen.instance)).transpose()?.flatten();
            wanted.extend(record.iter().flat_map(published).map(|port| (unit, port)));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let network = self.ground.network().map_err(again)?;
        let now = network.table.ports().map_err(again)?.unwrap_or_default();
        let lost: BTreeSet<_> =
            wanted.iter().filter(|(_, (from, to))| now.get(from) != Some(to)).map(|(unit, _)| *unit).collect();
        // Not those that an order is just moving.
        lost.into_iter().try_for_each(|unit| self.fences.if_idle(unit, || self.publish_again(unit, &network)))
    }

    fn publish_again(&self, unit: &UnitId, network: &Network) -> Result<(), Fault> {
        let Some(directory) = self.ground.unit(unit).map_err(again)? else { return Ok(()) };
        let active = UnitRecord::read(&directory).map_err(again)?.active;
        let Some(record) = active.map(|active| self.running(unit, active)).transpose()?.flatten() else {
            return Ok(());
        };
        tracing::warn!("the published ports of {unit} were taken out of the table by somebody else: published again");
        turn(network, &published(&record), &[])
    }

    /// Has an instance's keeper accept nothing more. It may be gone.
    pub(super) fn unlisten(&self, unit: &UnitId, instance: InstanceId, published: &[Published]) -> Result<(), Fault> {
        if tcp(published).next().is_none() {
            return Ok(());
        }
        let unlistened = self
            .keeper(unit, instance)
            .and_then(|keeper| tcp(published).try_for_each(|(from, _)| keeper.unlisten(from.port)));
        match unlistened {
            Ok(()) | Err(AskError::Gone(_)) => Ok(()),
            Err(error) => Err(again(error)),
        }
    }

    /// The listening sockets that the instance's keeper lacks.
    fn sockets(
        &self,
        unit: &UnitId,
        instance: InstanceId,
        others: &[InstanceId],
        published: &[Published],
        network: &Network,
    ) -> Result<Vec<(Forward, OwnedFd)>, Fault> {
        let now = network.table.ports().map_err(again)?.unwrap_or_default();
        let mut sockets = Vec::new();
        for (from, to) in published {
            if from.protocol == Protocol::Udp {
                if !now.contains_key(from) {
                    listener::check_udp(from.port).map_err(|error| taken(*from, &error))?;
                }
                continue;
            }
            if self.lent(unit, &[instance], from.port)?.is_some() {
                continue;
            }
            let socket = match self.lent(unit, others, from.port)? {
                Some(socket) => socket,
                None => listener::listen(from.port).map_err(|error| taken(*from, &error))?,
            };
            let forward = Forward { port: from.port.into(), address: to.ip().to_bits(), to: to.port().into() };
            sockets.push((forward, socket));
        }
        Ok(sockets)
    }

    /// A copy of the socket by which the keeper of one of these listens on a port of the host.
    fn lent(&self, unit: &UnitId, from: &[InstanceId], port: u16) -> Result<Option<OwnedFd>, Fault> {
        for instance in from {
            match self.keeper(unit, *instance).and_then(|keeper| keeper.lend(port)) {
                Ok(None) | Err(AskError::Gone(_)) => {}
                Ok(socket) => return Ok(socket),
                Err(error) => return Err(again(error)),
            }
        }
        Ok(None)
    }

    fn keeper(&self, unit: &UnitId, instance: InstanceId) -> Result<Client, AskError> {
        Client::connect(&instance_directory(&self.ground.paths, unit, instance))
    }

    fn record_of(&self, unit: &UnitId, instance: InstanceId) -> Result<Option<InstanceRecord>, Fault> {
        let Some(directory) = self.ground.instance(unit, instance).map_err(again)? else { return Ok(None) };
        InstanceRecord::read(&directory).map_err(again)
    }

    fn running(&self, unit: &UnitId, instance: InstanceId) -> Result<Option<InstanceRecord>, Fault> {
        let Some(directory) = self.ground.instance(unit, instance).map_err(again)? else { return Ok(None) };
        match Condition::read(directory.path()).map_err(again)? {
            Condition::Runs(_) => InstanceRecord::read(&directory).map_err(again),
            Condition::Unmade(_) | Condition::Lost(_) | Condition::Ended(..) => Ok(None),
        }
    }
}

/// Turns the ports from the old instance to the new one, and takes back those that only the old one had: what is left of an
/// old one may name an address that the new one got.
fn turn(network: &Network, new: &[Published], old: &[Published]) -> Result<(), Fault> {
    let mut changes: Vec<_> = new.iter().map(|(from, to)| Change::Publish(*from, *to)).collect();
    changes.extend(withdrawn(old.iter().filter(|port| !new.contains(port))));
    network.table.publish(&changes).map_err(again)?;
    if new.iter().any(|(from, _)| from.protocol == Protocol::Udp) {
        network.settle_udp().map_err(again)?;
    }
    Ok(())
}

fn taken(port: HostPort, error: &io::Error) -> Fault {
    let text = if error.kind() == io::ErrorKind::AddrInUse {
        format!("{port} of the host is used by another program: stop that one (`ss -lnp`), or publish another port")
    } else {
        format!("cannot listen on {port} of the host: {}", with_causes(error))
    };
    Fault::Again(text.into())
}
