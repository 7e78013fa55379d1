//! The other hub processes, as this one hears them through the store: pure.
//!
//! When one was heard is written by its own clock, which may be wrong, and stays what it was while the database is away. So
//! another's silence is how long this process, by a clock of its own that is never set, has seen that time unchanged; and only
//! what it saw in one go counts, without a pause of its own and with the store answering.

use crate::store::Millis;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Who hasn't looked for so long has a gap in what it saw.
const GAP: Duration = Duration::from_secs(10);

/// All but this one.
#[derive(Debug, Default)]
pub(super) struct Others {
    heard: BTreeMap<String, Heard>,
    /// When was looked last, if that went well.
    looked: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    /// By its own clock; none if only machines' rows name it.
    at: Option<Millis>,
    /// Since when that is unchanged.
    since: Instant,
}

impl Others {
    /// Takes when each was heard, and who else is named in machines' rows.
    pub(super) fn hear(&mut self, me: &str, heard: Vec<(String, Millis)>, named: BTreeSet<String>, now: Instant) {
        let is_unbroken = self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < GAP);
        self.looked = Some(now);
        let before = std::mem::take(&mut self.heard);
        let all: BTreeMap<String, Option<Millis>> = named
            .into_iter()
            .map(|hub| (hub, None))
            .chain(heard.into_iter().map(|(hub, at)| (hub, Some(at))))
            .filter(|(hub, _)| hub != me)
            .collect();
        let seen = |(hub, at): (String, Option<Millis>)| {
            let same = before.get(&hub).filter(|before| is_unbroken && before.at == at);
            (hub, Heard { at, since: same.map_or(now, |before| before.since) })
        };
        self.heard = all.into_iter().map(seen).collect();
    }

    /// The store didn't answer: what any of them said meanwhile is unknown.
    pub(super) fn lose(&mut self) {
        self.looked = None;
    }

    /// For how long it has been silent; nothing for one that isn't known yet.
    pub(super) fn silence(&self, hub: &str) -> Duration {
        let since = self.heard.get(hub).zip(self.looked);
        since.map_or(Duration::ZERO, |(heard, looked)| looked.saturating_duration_since(heard.since))
    }

    /// When it was heard last, by its own clock.
    pub(super) fn heard_at(&self, hub: &str) -> Option<Millis> {
        self.heard.get(hub)?.at
    }

    /// Whether this process is the first by name of those that live.
    pub(super) fn is_first(&self, me: &str, dead: Duration) -> bool {
        let lives = |(hub, heard): &(&String, &Heard)| heard.at.is_some() && self.silence(hub) < dead;
        self.heard.iter().filter(lives).all(|(hub, _)| me < hub.as_str())
    }

    /// Those that were silent for so long, and when they were heard last.
    pub(super) fn silent_for(&self, time: Duration) -> Vec<(String, Millis)> {
        let silent = self.heard.iter().filter(|(hub, _)| self.silence(hub) >= time);
        silent.filter_map(|(hub, heard)| Some((hub.clone(), heard.at?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every three seconds for so long: `b` beats if it `lives`, `c` never does.
    fn look(others: &mut Others, now: &mut Instant, seconds: u64, lives: bool) {
        for n in 0..seconds / 3 {
            *now += Duration::from_secs(3);
            let b = Millis(if lives { 1_000_000 * n as i64 } else { -1 });
            let heard = vec![("a".to_owned(), Millis(7)), ("b".to_owned(), b), ("c".to_owned(), Millis(5))];
            others.hear("a", heard, BTreeSet::from(["gone".to_owned()]), *now);
        }
    }

    fn silences(others: &Others) -> [u64; 3] {
        ["b", "c", "gone"].map(|hub| others.silence(hub).as_secs())
    }

    #[test]
    fn silence_is_what_was_seen_and_not_what_clocks_say() {
        let (mut others, mut now) = (Others::default(), Instant::now());
        look(&mut others, &mut now, 60, true);
        assert_eq!(silences(&others), [0, 57, 57]);
        assert_eq!(others.silent_for(Duration::from_secs(57)), [("c".to_owned(), Millis(5))]);
        assert!(others.is_first("a", GAP));
        assert!(!others.is_first("bb", GAP), "b lives");
        look(&mut others, &mut now, 30, false);
        assert!(others.is_first("bb", GAP), "b is dead");
        assert_eq!(silences(&others), [27, 87, 87]);
    }

    #[test]
    fn what_wasnt_watched_is_no_silence() {
        let (mut others, mut now) = (Others::default(), Instant::now());
        look(&mut others, &mut now, 60, false);
        now += Duration::from_secs(3_600);
        look(&mut others, &mut now, 3, false);
        assert_eq!(silences(&others), [0, 0, 0], "this process slept");
        look(&mut others, &mut now, 60, false);
        others.lose();
        assert_eq!(silences(&others), [0, 0, 0], "the database is away");
        look(&mut others, &mut now, 3, false);
        assert_eq!(silences(&others), [0, 0, 0], "all had the same trouble: they have yet to beat");
        look(&mut others, &mut now, 60, true);
        assert_eq!(silences(&others)[0], 0);
    }
}
