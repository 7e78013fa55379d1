//! Which address belongs to which instance: one file an address, named by it, with its owner's name inside.
//!
//! A lease is never older than the instance it is for, and instances don't survive a reboot, so it needn't survive a power
//! failure either: nothing is synced. What a crash leaves behind (also a file without a name in it) is freed by whoever lists
//! the leases and knows that the owner is gone.

use super::Subnet;
use crate::fs::{self, Dir, Resolve};
use std::{
    io::{self, Write as _},
    net::Ipv4Addr,
    sync::{Mutex, PoisonError},
};

/// An owner's name is not longer; it is ours, so what is longer was not written by us.
const OWNER_BYTES_MAX: u64 = 4096;

/// What can go wrong with leases.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The records can't be used.
    #[error("cannot use the records of addresses")]
    Files(#[from] fs::Error),
    /// A lease can't be noted.
    #[error("cannot note that {address} belongs to {owner}")]
    Note {
        /// The address.
        address: Ipv4Addr,
        /// For whom it was.
        owner: String,
        /// What the file system said.
        source: io::Error,
    },
    /// Every address is taken.
    #[error("all addresses of {0} are taken; stop something, or spread the units over several roots")]
    Exhausted(Subnet),
}

/// An address and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The name given when it was taken; empty if a crash came between.
    pub owner: String,
}

/// The leases of a network.
#[derive(Debug)]
pub struct Leases {
    dir: Dir,
    subnet: Subnet,
    /// The address given last: the search goes on after it, so that one just given back rests while others are free.
    last: Mutex<u32>,
}

impl Leases {
    /// Those in a directory that nobody but us writes to.
    pub fn open(dir: Dir, subnet: Subnet) -> Result<Self, LeaseError> {
        let leases = Self { dir, subnet, last: Mutex::new(*subnet.instances().end()) };
        if let Some(highest) = leases.list()?.last() {
            *leases.last.lock().unwrap_or_else(PoisonError::into_inner) = highest.address.to_bits();
        }
        Ok(leases)
    }

    /// A free address for an owner.
    pub fn take(&self, owner: &str) -> Result<Ipv4Addr, LeaseError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, after) = (self.subnet.instances(), last.saturating_add(1));
        let later = after.max(*all.start())..=*all.end();
        for bits in later.chain(*all.start()..=(*last).min(*all.end())) {
            let address = Ipv4Addr::from(bits);
            match self.dir.create(address.to_string(), 0o600) {
                Ok(mut file) => {
                    *last = bits;
                    let noted = file.write_all(owner.as_bytes());
                    let failed = |source| LeaseError::Note { address, owner: owner.to_owned(), source };
                    return noted.map(|()| address).map_err(failed);
                }
                Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(LeaseError::Exhausted(self.subnet))
    }

    /// Who has an address; nobody if it is free.
    pub fn owner(&self, address: Ipv4Addr) -> Result<Option<String>, LeaseError> {
        match self.dir.read(address.to_string(), Resolve::Beneath, OWNER_BYTES_MAX) {
            Ok(owner) => Ok(Some(String::from_utf8_lossy(&owner).into_owned())),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Frees an address. It may be free already.
    pub fn give_back(&self, address: Ipv4Addr) -> Result<(), LeaseError> {
        Ok(self.dir.remove_all(address.to_string())?)
    }

    /// All of this network, in order. Files that are no lease are passed over.
    pub fn list(&self) -> Result<Vec<Lease>, LeaseError> {
        let mut leases = Vec::new();
        for name in self.dir.names()? {
            let Some(address) = name.to_str().and_then(|name| name.parse::<Ipv4Addr>().ok()) else { continue };
            if !self.subnet.contains(address) {
                continue;
            }
            // It may have been given back meanwhile.
            leases.extend(self.owner(address)?.map(|owner| Lease { address, owner }));
        }
        leases.sort_by_key(|lease| lease.address);
        Ok(leases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "10.1.16.0/29";

    fn leases(dir: &tempfile::TempDir) -> Leases {
        Leases::open(Dir::open(dir.path()).unwrap(), SMALL.parse().unwrap()).unwrap()
    }

    fn last_byte(address: Ipv4Addr) -> u8 {
        address.octets()[3]
    }

    #[test]
    fn addresses_go_round() {
        let dir = tempfile::tempdir().unwrap();
        let leases = leases(&dir);
        let [a, b, c] = ["a", "b", "c"].map(|owner| leases.take(owner).unwrap());
        assert_eq!([a, b, c].map(last_byte), [2, 3, 4]);
        assert_eq!(leases.owner(b).unwrap().as_deref(), Some("b"));
        leases.give_back(b).unwrap();
        leases.give_back(b).unwrap();
        assert_eq!(leases.owner(b).unwrap(), None);
        assert_eq!(last_byte(leases.take("d").unwrap()), 5);
        assert_eq!(last_byte(leases.take("e").unwrap()), 6);
        assert_eq!(last_byte(leases.take("f").unwrap()), 3, "the rested one");
        assert!(matches!(leases.take("g"), Err(LeaseError::Exhausted(_))));
        leases.give_back(a).unwrap();
        assert_eq!(leases.take("g").unwrap(), a, "nothing else is free");
    }

    #[test]
    fn they_outlast_who_opened_them() {
        let dir = tempfile::tempdir().unwrap();
        let taken = ["a", "b"].map(|owner| leases(&dir).take(owner).unwrap());
        std::fs::write(dir.path().join("10.1.16.6"), "").unwrap();
        for stranger in ["10.9.9.9", "note", ".1.draft"] {
            std::fs::write(dir.path().join(stranger), "x").unwrap();
        }
        let found = leases(&dir).list().unwrap();
        let owners: Vec<_> = found.iter().map(|lease| (last_byte(lease.address), lease.owner.as_str())).collect();
        assert_eq!(owners, [(2, "a"), (3, "b"), (6, "")]);
        assert_eq!(taken.map(last_byte), [2, 3]);
        assert_eq!(last_byte(leases(&dir).take("c").unwrap()), 4, "after the highest one, round to the start");
    }

    #[test]
    fn nobody_gets_what_another_has() {
        let dir = tempfile::tempdir().unwrap();
        let leases = Leases::open(Dir::open(dir.path()).unwrap(), "10.1.0.0/22".parse().unwrap()).unwrap();
        let mut all = std::thread::scope(|scope| {
            let take = |_| (0..50).map(|_| leases.take("x").unwrap()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || take(n))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 200);
    }
}
