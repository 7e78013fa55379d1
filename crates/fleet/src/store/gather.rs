//! Many who write at once write in one transaction: a disk confirms few of these a second, however little is in each.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Items to be one transaction. More would make others wait for long.
const ITEMS_MAX: usize = 500;

/// Those who wait, and what came of their items. Whoever comes while nobody works does the work of all who wait.
pub(super) struct Gather<A, B> {
    inner: Mutex<Inner<A, B>>,
    changed: Condvar,
}

struct Inner<A, B> {
    next: u64,
    waiting: BTreeMap<u64, A>,
    done: BTreeMap<u64, B>,
    is_working: bool,
}

impl<A, B> Gather<A, B> {
    /// Nobody waits.
    pub(super) fn new() -> Self {
        let inner = Inner { next: 0, waiting: BTreeMap::new(), done: BTreeMap::new(), is_working: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// Has this item worked on, with what others bring meanwhile. `work` returns as many as it gets, in order.
    pub(super) fn bring(&self, item: A, work: impl Fn(&[A]) -> Vec<B>) -> B {
        let mut inner = self.lock();
        let ticket = inner.next;
        inner.next += 1;
        inner.waiting.insert(ticket, item);
        loop {
            if let Some(done) = inner.done.remove(&ticket) {
                return done;
            }
            if inner.is_working {
                inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            inner.is_working = true;
            let turn = Turn(self);
            let later = inner.waiting.keys().nth(ITEMS_MAX).copied();
            let rest = later.map_or_else(BTreeMap::new, |later| inner.waiting.split_off(&later));
            let (tickets, items): (Vec<_>, Vec<_>) = mem::replace(&mut inner.waiting, rest).into_iter().unzip();
            drop(inner);
            let done = work(&items);
            self.lock().done.extend(tickets.into_iter().zip(done));
            drop(turn);
            inner = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<A, B>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who works: the next may when this one is gone.
struct Turn<'g, A, B>(&'g Gather<A, B>);

impl<A, B> Drop for Turn<'_, A, B> {
    fn drop(&mut self) {
        self.0.lock().is_working = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    #[test]
    fn everybody_gets_what_is_theirs_and_many_share_the_work() {
        let (gather, turns) = (Gather::new(), AtomicUsize::new(0));
        // The first one's work lasts until all others wait, so there are two turns.
        let work = |items: &[usize]| {
            if turns.fetch_add(1, Ordering::SeqCst) == 0 {
                while gather.lock().waiting.len() < 19 {
                    thread::yield_now();
                }
            }
            items.iter().map(|item| item * 2).collect()
        };
        let (gather, work) = (&gather, &work);
        thread::scope(|scope| {
            let first = scope.spawn(|| gather.bring(100, work));
            while turns.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            let others: Vec<_> = (0..19).map(|n| scope.spawn(move || gather.bring(n, work))).collect();
            assert_eq!(first.join().unwrap(), 200);
            let got: Vec<_> = others.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(got, (0..19).map(|n| n * 2).collect::<Vec<_>>());
        });
        assert_eq!(turns.load(Ordering::SeqCst), 2);
    }
}
