//! The network of a root: one bridge, a link an instance, published ports, and who has which address.
//!
//! ```text
//!   LAN ──► eth0 ─┐ prerouting: host port → address . port (a map)          table inet abide-<tag>   [nft]
//!                 ├─ forward: only answers and published ports come in
//!   host ─────────┘ output: the same map, for what the host itself asks
//!                     │
//!              bridge ab-<tag>  10.x.y.1/20                                  [link, subnet, sysctl]
//!               │           │
//!      av<tag>0 (veth)   av<tag>1 (tap)      MAC made of the address          [link, tap]
//!               │           │
//!      eth0 10.x.y.2     guest 10.x.y.3      one file a lease                 [lease]
//! ```
//!
//! All of it is told to the kernel by netlink, on sockets that block: nothing needs `ip`, `nft` or `conntrack`. Everything
//! works on the network namespace of the calling thread, and what is said is idempotent, so that it can be said again after
//! a crash.
//!
//! What is not ours is read, never changed, with one exception: [`sysctl::forward`] makes the host forward IPv4. Loopback
//! addresses are no business of the table: keepers listen there, so `route_localnet` stays off. There is no IPv6 on the
//! bridge, neither ours nor what the kernel would make up: a link-local address would get around the rules.

mod attribute;
pub mod conntrack;
pub mod lease;
pub mod link;
pub mod listener;
pub mod namespace;
mod netlink;
pub mod nft;
pub mod route;
pub mod subnet;
pub mod sysctl;
mod tap;

pub use lease::{Lease, Leases};
pub use netlink::Error as NetlinkError;
pub use subnet::Subnet;

use nix::errno::Errno;
use std::io;

/// What was to be done to a network, and why it wasn't.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {on}")]
pub struct Error {
    /// What was being done, as "make the bridge".
    pub act: &'static str,
    /// To what.
    pub on: String,
    /// What the kernel said.
    pub source: Cause,
}

/// Whom a failure comes from.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The kernel, by netlink.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A file or a system call.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Error {
    /// Whether the kernel refused with this error number.
    pub fn is(&self, errno: Errno) -> bool {
        match &self.source {
            Cause::Netlink(error) => error.is(errno),
            Cause::System(error) => error.raw_os_error() == Some(errno as i32),
        }
    }
}

/// What an operation on networks gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// For `map_err`: what was being done, and to what.
fn failed<C: Into<Cause>>(act: &'static str, on: impl Into<String>) -> impl FnOnce(C) -> Error {
    move |cause| Error { act, on: on.into(), source: cause.into() }
}

#[cfg(test)]
mod tests;
