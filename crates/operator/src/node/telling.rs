//! What waits to be told as an Event. The API server has better to do while objects are on their way to what they are to be:
//! Events wait until no status was written for a moment. What a person has to know is told at once, with all that was before it.

use abide_agent::Happened;
use abide_spec::UnitId;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Of more that waits, the oldest is dropped.
const WAITING_MAX: usize = 1024;

/// No status was written for so long: there is time for Events.
const CALM: Duration = Duration::from_millis(500);

/// But nothing waits longer than this.
const PUT_OFF_MAX: Duration = Duration::from_secs(30);

/// Something to be told as an Event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) unit: UnitId,
    pub(crate) uid: String,
    pub(crate) what: What,
    pub(crate) text: String,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Happened(Happened),
    /// It is mistaken.
    Rejected,
    /// The guard asks.
    Held,
}

impl What {
    /// Whether a person has to know it: it is a warning.
    pub(crate) fn is_warning(self) -> bool {
        match self {
            Self::Rejected | Self::Held => true,
            Self::Happened(happened) => {
                matches!(happened, Happened::Killing | Happened::Exited | Happened::TakenBack | Happened::Failed)
            }
        }
    }
}

/// What waits, in the order in which it happened.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    waiting: VecDeque<(Instant, Told)>,
    /// So many of the first of them are told at once.
    urgent: usize,
    /// When a status was written last.
    wrote_at: Option<Instant>,
}

impl Telling {
    pub(crate) fn tell(&mut self, told: Told, now: Instant) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
            self.urgent = self.urgent.saturating_sub(1);
        }
        let is_urgent = told.what.is_warning();
        self.waiting.push_back((now, told));
        if is_urgent {
            self.urgent = self.waiting.len();
        }
    }

    /// A status is being written.
    pub(crate) fn wrote(&mut self, now: Instant) {
        self.wrote_at = Some(now);
    }

    /// What is to be told now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Told> {
        self.wake_at().filter(|at| *at <= now)?;
        self.urgent = self.urgent.saturating_sub(1);
        self.waiting.pop_front().map(|(_, told)| told)
    }

    /// When there is something to be told.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let (since, _) = self.waiting.front()?;
        let calm_at = self.wrote_at.map_or(*since, |at| at + CALM);
        Some(if self.urgent > 0 { *since } else { calm_at.min(*since + PUT_OFF_MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Kind, Name};

    fn told(name: &str, what: What) -> Told {
        let name = Name::new(name).unwrap();
        let unit = UnitId { scope: Name::new("shop").unwrap(), kind: Kind::Volume, name, index: 0 };
        Told { unit, uid: String::new(), what, text: String::new() }
    }

    #[test]
    fn what_is_no_warning_waits_for_a_calm_moment() {
        let (mut telling, begin) = (Telling::default(), Instant::now());
        let serving = || told("a", What::Happened(Happened::Serving));
        telling.tell(serving(), begin);
        assert_eq!(telling.next(begin), Some(serving()), "nothing was written before");

        telling.wrote(begin);
        telling.tell(serving(), begin);
        assert_eq!(telling.next(begin), None);
        assert_eq!(telling.wake_at(), Some(begin + CALM));
        telling.wrote(begin + CALM / 2);
        assert_eq!(telling.next(begin + CALM), None, "another status was written meanwhile");
        assert_eq!(telling.next(begin + CALM / 2 + CALM), Some(serving()));
        assert_eq!(telling.wake_at(), None);
    }

    #[test]
    fn nothing_waits_for_ever() {
        let (mut telling, begin) = (Telling::default(), Instant::now());
        telling.tell(told("a", What::Happened(Happened::Serving)), begin);
        let end = begin + PUT_OFF_MAX;
        telling.wrote(end);
        assert!(telling.next(end).is_some());
    }

    #[test]
    fn a_warning_is_told_at_once_and_after_what_was_before_it() {
        let (mut telling, now) = (Telling::default(), Instant::now());
        telling.wrote(now);
        let all = [What::Happened(Happened::Started), What::Happened(Happened::Exited)];
        all.into_iter().for_each(|what| telling.tell(told("a", what), now));
        telling.tell(told("a", What::Happened(Happened::Serving)), now);
        let next = std::iter::from_fn(|| telling.next(now)).map(|told| told.what);
        assert_eq!(next.collect::<Vec<_>>(), all);
        assert_eq!(telling.wake_at(), Some(now + CALM), "the last one is no warning");
    }

    #[test]
    fn of_too_much_the_oldest_is_dropped() {
        let (mut telling, now) = (Telling::default(), Instant::now());
        telling.wrote(now);
        telling.tell(told("first", What::Rejected), now);
        (0..WAITING_MAX).for_each(|_| telling.tell(told("more", What::Happened(Happened::Serving)), now));
        assert_eq!(telling.waiting.len(), WAITING_MAX);
        assert_eq!(telling.next(now), None, "the warning is gone, and nothing else is urgent");
    }
}
