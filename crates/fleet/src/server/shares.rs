//! How much each may have at once, so that nobody has all of it.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many each has.
#[derive(Debug)]
pub(super) struct Shares<K: Eq + Hash>(Mutex<HashMap<K, usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Share<K: Eq + Hash> {
    of: Arc<Shares<K>>,
    who: K,
}

impl<K: Eq + Hash> Default for Shares<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// One more; none if it has that many.
    pub(super) fn take(self: &Arc<Self>, who: &K, most: usize) -> Option<Share<K>> {
        let mut shares = self.lock();
        let has = shares.entry(who.clone()).or_default();
        (*has < most).then(|| {
            *has += 1;
            Share { of: Arc::clone(self), who: who.clone() }
        })
    }
}

impl<K: Eq + Hash> Shares<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut shares = self.of.lock();
        if let Some(has) = shares.get_mut(&self.who) {
            *has -= 1;
            if *has == 0 {
                shares.remove(&self.who);
            }
        }
    }
}

/// An address as it is counted: whoever has one of IPv6 has all of its /64.
pub(super) fn block(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    let IpAddr::V6(long) = address else { return address };
    let [a, b, c, d, ..] = long.segments();
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_share() {
        let shares = Arc::new(Shares::default());
        let one = shares.take(&"a", 2).unwrap();
        let two = shares.take(&"a", 2).unwrap();
        assert!(shares.take(&"a", 2).is_none());
        assert!(shares.take(&"b", 2).is_some());
        drop(one);
        assert!(shares.take(&"a", 2).is_some());
        drop(two);
        assert!(shares.lock().is_empty(), "who has nothing is not remembered");
    }

    #[test]
    fn who_has_an_address_of_ipv6_has_many() {
        let block = |address: &str| block(address.parse().unwrap()).to_string();
        assert_eq!(block("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(block("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(block("192.0.2.7"), "192.0.2.7");
    }
}
