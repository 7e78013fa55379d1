//! Who leads: a `Lease`, of which the holder alone may place. What to do about it is decided here, on plain data.
//!
//! ```text
//!  none ──────────────────────► create ─┐
//!  nobody's, or ran out ──────► take ───┼─► ours ── every third of its duration ──► renew
//!  another's ─────────────────► wait    │              │ not renewed for two thirds of it, or taken by another
//!                 ▲                     │              ▼
//!                 └─────────────────────┴────────── no leader any more: nothing is written from then on
//! ```
//!
//! Clocks differ from machine to machine, so nobody's time is believed: a Lease ran out when it was not changed for its
//! duration by the clock of who looks at it. That clock is the time since boot, which goes on while a machine sleeps or a
//! process is stopped. The holder counts from before it asked, and gives up a third earlier than anybody takes over.

use abide_agent::Clock;
use abide_reconcile::Time;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// For how long a Lease is good when it isn't renewed.
pub const DURATION: Duration = Duration::from_secs(15);

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Whose it is; empty if nobody's.
    pub holder: String,
    /// For how long, as the holder wrote.
    pub duration: Duration,
    /// Changes with every write: its `resourceVersion`.
    pub version: String,
}

/// What was seen of a Lease, and since when it is so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched(Option<(Read, Time)>);

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make it.
    Create,
    /// It is free: write oneself into it.
    Take,
    /// It is ours: say that it goes on.
    Renew,
    /// It is another's: look again then.
    WaitUntil(Time),
}

impl Watched {
    /// Notes what was read. What didn't change keeps its age.
    pub fn see(&mut self, read: Option<Read>, now: Time) {
        match (&self.0, read) {
            (Some((before, _)), Some(read)) if *before == read => {}
            (_, read) => self.0 = read.map(|read| (read, now)),
        }
    }

    /// What `me` has to do.
    pub fn next(&self, me: &str, now: Time) -> Next {
        let Some((read, since)) = &self.0 else { return Next::Create };
        let end = *since + read.duration;
        match read.holder.as_str() {
            "" => Next::Take,
            holder if holder == me => Next::Renew,
            _ if now >= end => Next::Take,
            _ => Next::WaitUntil(end),
        }
    }
}

/// Whether this process leads, as everybody asks who is about to write.
#[derive(Clone, Debug)]
pub struct Leadership {
    clock: Clock,
    /// In nanoseconds since boot.
    until: Arc<AtomicU64>,
}

impl Leadership {
    /// Not yet.
    pub fn none(clock: Clock) -> Self {
        Self { clock, until: Arc::default() }
    }

    /// Whether it is so now, for long enough that a write that begins now ends before anybody else leads.
    pub fn is_held(&self) -> bool {
        nanoseconds(self.clock.now()) < self.until.load(Ordering::SeqCst)
    }

    /// The Lease was written by a request that was begun at `asked`.
    pub fn renewed(&self, asked: Time) {
        self.until.store(nanoseconds(asked + DURATION * 2 / 3), Ordering::SeqCst);
    }

    /// It is over.
    pub fn lost(&self) {
        self.until.store(0, Ordering::SeqCst);
    }
}

fn nanoseconds(time: Time) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    const fn at(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    fn read(holder: &str, version: u32) -> Option<Read> {
        Some(Read { holder: holder.to_owned(), duration: DURATION, version: version.to_string() })
    }

    #[test]
    fn what_to_do_about_a_lease() {
        // What was read when, and what `me` does at the end.
        type Reads<'a> = &'a [(Option<Read>, u64)];
        let table: [(&str, Reads<'_>, u64, Next); 8] = [
            ("there is none", &[(None, 0)], 0, Next::Create),
            ("somebody deleted it", &[(read("b", 1), 0), (None, 1)], 1, Next::Create),
            ("its holder left", &[(read("b", 1), 0), (read("", 2), 1)], 1, Next::Take),
            ("it is ours", &[(read("a", 1), 0)], 100, Next::Renew),
            ("another's, and new to us, whatever its age", &[(read("b", 1), 100)], 114, Next::WaitUntil(at(115))),
            ("it was not renewed for its duration", &[(read("b", 1), 0), (read("b", 1), 10)], 15, Next::Take),
            ("it was renewed", &[(read("b", 1), 0), (read("b", 2), 10)], 15, Next::WaitUntil(at(25))),
            ("another took it", &[(read("b", 1), 0), (read("c", 2), 15)], 15, Next::WaitUntil(at(30))),
        ];
        for (what, reads, now, expected) in table {
            let mut watched = Watched::default();
            reads.iter().for_each(|(read, now)| watched.see(read.clone(), at(*now)));
            assert_eq!(watched.next("a", at(now)), expected, "{what}");
        }
    }

    #[test]
    fn who_was_stopped_leads_no_more() {
        let now = Arc::new(Mutex::new(at(100)));
        let told = Arc::clone(&now);
        let leadership = Leadership::none(Clock::new(move || *told.lock().unwrap()));
        assert!(!leadership.is_held(), "not before the first answer");
        leadership.renewed(at(98));
        assert!(leadership.is_held());
        *now.lock().unwrap() = at(108);
        assert!(!leadership.is_held(), "ten seconds after it asked, and five before anybody may take over");
        leadership.renewed(at(107));
        assert!(leadership.is_held());
        leadership.lost();
        assert!(!leadership.is_held());
    }
}
