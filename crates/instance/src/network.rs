//! The network of a root: made with the first instance that needs it, so that looking changes nothing.
//!
//! ```text
//!  chosen once ──► root.json       bridge ab-<tag>, table abide-<tag>, links av<tag>…, leases state/leases/<network>/
//! ```

use crate::record::Attached;
use abide_host::{
    fs,
    net::{
        self, Leases, Subnet, conntrack,
        lease::LeaseError,
        link::{self, Port},
        nft::{self, Table},
        route,
        subnet::{self, NotASubnet},
        sysctl,
    },
    root::{self, Root, Tag},
};
use abide_reconcile::with_causes;
use std::net::Ipv4Addr;

/// Below the root's state.
const LEASES: &str = "leases";

/// Why there is no network for instances, or no place in it.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] net::Error),
    /// Addresses.
    #[error(transparent)]
    Leases(#[from] LeaseError),
    /// Their folder.
    #[error(transparent)]
    Files(#[from] fs::Error),
    /// The choice can't be written.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// What was chosen can't be read.
    #[error("the network in root.json can't be used")]
    Chosen(#[from] NotASubnet),
    /// There is none to choose.
    #[error("every private network overlaps a route of this machine: remove one that isn't needed (`ip route`)")]
    NoneFree,
}

/// The bridge, what is published, and who has which address.
#[derive(Debug)]
pub(crate) struct Network {
    tag: Tag,
    bridge: String,
    mtu: u32,
    pub(crate) subnet: Subnet,
    pub(crate) table: Table,
    leases: Leases,
}

impl Network {
    /// Makes it, or what is missing of it. While instances are on it, it stays the network that it is.
    pub(crate) fn make(root: &mut Root, has_instances: bool) -> Result<Self, NetworkError> {
        let bridge = bridge(&root.tag());
        let subnet = choose(root, &bridge, has_instances)?;
        let network = Self::of(root, subnet, route::mtu()?)?;
        link::ensure_bridge(&bridge, subnet, network.mtu)?;
        sysctl::forward()?;
        network.table.ensure()?;
        for obstacle in nft::obstacles()? {
            tracing::warn!(
                "{obstacle}: published ports and what instances send may be lost there; let it accept {bridge}"
            );
        }
        Ok(network)
    }

    fn of(root: &Root, subnet: Subnet, mtu: u32) -> Result<Self, NetworkError> {
        let (tag, bridge) = (root.tag(), bridge(&root.tag()));
        let table = Table::new(format!("abide-{tag}"), bridge.clone(), subnet);
        let folder = subnet.to_string().replace('/', "_");
        let leases = Leases::open(root.state().make_dirs(format!("{LEASES}/{folder}"), 0o700)?, subnet)?;
        Ok(Self { tag, bridge, mtu, subnet, table, leases })
    }

    /// A place for an instance of this name. Its link is not made so far.
    pub(crate) fn reserve(&self, name: &str) -> Result<Attached, LeaseError> {
        let address = self.leases.take(name)?;
        // As unique as the address, and short enough for the name of a link.
        let number = address.to_bits() - self.subnet.base().to_bits();
        Ok(Attached { address, link: format!("{}{number:x}", links(&self.tag)) })
    }

    pub(crate) fn port<'a>(&'a self, attached: &'a Attached) -> Port<'a> {
        let Self { bridge, mtu, subnet, .. } = self;
        Port { bridge, name: &attached.link, address: attached.address, subnet: *subnet, mtu: *mtu }
    }

    /// Whether this place is that of the instance of this name. Where a crash came between giving it back and removing the
    /// instance's record, another instance may have it.
    pub(crate) fn is_of(&self, attached: &Attached, name: &str) -> Result<bool, LeaseError> {
        Ok(self.leases.owner(attached.address)?.as_deref() == Some(name))
    }

    /// Takes away the link and all connections, and gives back the address, in this order. Idempotent, and touches nobody who
    /// has the place next.
    pub(crate) fn release(&self, attached: &Attached, name: &str) -> Result<(), NetworkError> {
        if !self.is_of(attached, name)? {
            return Ok(());
        }
        link::remove(&attached.link)?;
        conntrack::forget_instance(attached.address)?;
        Ok(self.leases.give_back(attached.address)?)
    }

    /// Clients that keep their socket reach who has the UDP ports now.
    pub(crate) fn settle_udp(&self) -> Result<(), NetworkError> {
        let ports = self.table.ports()?.unwrap_or_default();
        Ok(conntrack::settle_udp(&ports).map(drop)?)
    }
}

/// The network that was chosen, if one was.
pub(crate) fn chosen(root: &Root) -> Result<Option<Subnet>, NotASubnet> {
    root.network().map(str::parse).transpose()
}

/// Takes away what no instance has: links, addresses, published ports.
pub(crate) fn sweep(root: &Root, kept: &[Attached]) -> Result<(), NetworkError> {
    for name in link::names(&links(&root.tag()))? {
        if kept.iter().all(|attached| attached.link != name) {
            link::remove(&name)?;
        }
    }
    let Some(subnet) = chosen(root)? else { return Ok(()) };
    let is_kept = |address: Ipv4Addr| kept.iter().any(|attached| attached.address == address);
    // Never used to make a link, so its longest packet doesn't matter.
    let network = Network::of(root, subnet, 0)?;
    let strays = network.table.ports()?.unwrap_or_default().into_iter().filter(|(_, to)| !is_kept(*to.ip()));
    let withdrawn: Vec<_> = strays.map(|(from, to)| nft::Change::Withdraw(from, to)).collect();
    if !withdrawn.is_empty() {
        network.table.publish(&withdrawn)?;
    }
    for lease in network.leases.list()?.into_iter().filter(|lease| !is_kept(lease.address)) {
        conntrack::forget_instance(lease.address)?;
        network.leases.give_back(lease.address)?;
    }
    Ok(())
}

/// Takes all of it away.
pub(crate) fn tear_down(root: &Root) -> Result<(), NetworkError> {
    sweep(root, &[])?;
    if let Some(subnet) = chosen(root)? {
        Network::of(root, subnet, 0)?.table.delete()?;
        link::remove(&bridge(&root.tag()))?;
    }
    Ok(root.state().remove_all(LEASES)?)
}

fn bridge(tag: &Tag) -> String {
    format!("ab-{tag}")
}

/// What the names of all instances' links begin with.
fn links(tag: &Tag) -> String {
    format!("av{tag}")
}

fn choose(root: &mut Root, bridge: &str, has_instances: bool) -> Result<Subnet, NetworkError> {
    let before = chosen(root)?;
    let taken = route::taken(bridge)?;
    let is_free = |subnet: &Subnet| taken.iter().all(|other| other.bits() == 0 || !subnet.overlaps(*other));
    match before {
        Some(subnet) if has_instances || is_free(&subnet) => return Ok(subnet),
        Some(subnet) => {
            tracing::warn!("{subnet}, the network of instances, is used by something else now: choosing another");
        }
        None => {}
    }
    let subnet = subnet::choose(root.tag().as_str(), &taken).ok_or(NetworkError::NoneFree)?;
    if before.is_some() {
        link::remove(bridge).unwrap_or_else(|error| tracing::warn!("{}", with_causes(&error)));
    }
    root.set_network(subnet.to_string())?;
    Ok(subnet)
}
