//! Whether a node's agent is there, as its Lease tells: whoever renews it lives.
//!
//! Like [`super::lease`] this believes nobody's clock. A Lease counts from when it was seen to change, by the clock of who
//! looks at it. Only of one that was never seen to change is the time believed that is written in it, and only so far that
//! nothing new is put on a node that seems to be dead: that it is, nobody says before it could have been renewed.

use super::cluster::Agent;
use abide_reconcile::Time;
use std::time::Duration;

/// What is known of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Changes with every renewal; empty where there is no Lease.
    beat: String,
    /// For how long a renewal is good.
    good_for: Duration,
    /// When it was seen to change last, or seen for the first time.
    since: Time,
    /// It was seen to change, or seems to have changed lately.
    is_believed: bool,
}

/// A Lease of an agent, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Changes with every renewal.
    pub beat: String,
    /// For how long a renewal is good.
    pub good_for: Duration,
    /// How old the renewal is by both clocks' times of day, which may be wrong.
    pub age: Option<Duration>,
}

impl Pulse {
    /// Of a node without a Lease: it is lost after a while.
    pub fn none(now: Time) -> Self {
        Self { beat: String::new(), good_for: Duration::ZERO, since: now, is_believed: false }
    }

    /// Of a Lease that is seen for the first time.
    pub fn first(Beat { beat, good_for, age }: Beat, now: Time) -> Self {
        Self { is_believed: age.is_some_and(|age| age < good_for), beat, good_for, since: now }
    }

    /// Notes what was read, and tells whether it is a sign of life.
    pub fn read(&mut self, Beat { beat, good_for, .. }: Beat, now: Time) -> bool {
        let is_new = self.beat != beat;
        if is_new {
            *self = Self { beat, good_for, since: now, is_believed: true };
        }
        is_new
    }

    /// Whether there is no Lease.
    pub fn is_none(&self) -> bool {
        self.beat.is_empty()
    }

    /// How the agent is; `lost_after` so long without a sign of life it is taken for dead.
    pub fn agent(&self, now: Time, lost_after: Duration) -> Agent {
        if now >= self.lost_at(lost_after) {
            Agent::Lost
        } else if now < self.since + self.good_for {
            if self.is_believed { Agent::Well } else { Agent::Unheard }
        } else if self.is_none() {
            Agent::Absent
        } else {
            Agent::Silent
        }
    }

    /// Nobody could have heard anything for so long, until now.
    pub fn deaf_for(&mut self, time: Duration, now: Time) {
        self.since = (self.since + time).min(now);
    }

    /// When that changes if nothing is heard, unless it is lost already.
    pub fn changes_at(&self, now: Time, lost_after: Duration) -> Option<Time> {
        let ends = [self.since + self.good_for, self.lost_at(lost_after)];
        ends.into_iter().filter(|end| *end > now).min()
    }

    /// For how long a renewal is good.
    pub fn good_for(&self) -> Duration {
        self.good_for
    }

    /// Since when nothing was heard.
    pub fn since(&self) -> Time {
        self.since
    }

    fn lost_at(&self, lost_after: Duration) -> Time {
        self.since + lost_after.max(self.good_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Agent::{Absent, Lost, Silent, Unheard, Well};

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn beat(beat: &str, age: u64) -> Beat {
        Beat { beat: beat.to_owned(), good_for: seconds(40), age: Some(seconds(age)) }
    }

    #[test]
    fn an_agent_falls_silent_and_is_lost() {
        let mut pulse = Pulse::first(beat("1", 5), seconds(1000));
        let lost_after = seconds(300);
        let states = [(1000, Well), (1039, Well), (1040, Silent), (1299, Silent), (1300, Lost)];
        for (now, expected) in states {
            assert_eq!(pulse.agent(seconds(now), lost_after), expected, "{now}");
        }
        assert_eq!(pulse.changes_at(seconds(1000), lost_after), Some(seconds(1040)));
        assert_eq!(pulse.changes_at(seconds(1040), lost_after), Some(seconds(1300)));
        assert_eq!(pulse.changes_at(seconds(1300), lost_after), None);
        assert!(!pulse.read(beat("1", 0), seconds(1400)), "the same again is no sign of life");
        assert_eq!(pulse.agent(seconds(1400), lost_after), Lost);
        assert!(pulse.read(beat("2", 900), seconds(1400)), "whatever the time of day says");
        assert_eq!(pulse.agent(seconds(1400), lost_after), Well);
    }

    #[test]
    fn an_old_lease_is_no_sign_of_life_and_no_death() {
        let pulse = Pulse::first(beat("1", 4000), seconds(1000));
        assert_eq!(pulse.agent(seconds(1000), seconds(300)), Unheard, "nothing new is put there");
        assert_eq!(
            pulse.agent(seconds(1039), seconds(300)),
            Unheard,
            "it renews the Lease every few seconds, if it lives"
        );
        assert_eq!(pulse.agent(seconds(1040), seconds(300)), Silent);
        assert_eq!(
            pulse.agent(seconds(1299), seconds(300)),
            Silent,
            "but who has just begun to look takes nothing away"
        );
        assert_eq!(pulse.agent(seconds(1300), seconds(300)), Lost);
    }

    #[test]
    fn nobody_is_lost_before_the_lease_runs_out() {
        let pulse = Pulse::first(beat("1", 0), seconds(0));
        assert_eq!(pulse.agent(seconds(39), seconds(1)), Well);
        assert_eq!(pulse.agent(seconds(40), seconds(1)), Lost);
    }

    #[test]
    fn who_was_deaf_heard_nothing() {
        let mut pulse = Pulse::first(beat("1", 5), seconds(1000));
        pulse.deaf_for(seconds(600), seconds(1605));
        let states = [(1605, Well), (1639, Well), (1640, Silent), (1900, Lost)];
        for (now, expected) in states {
            assert_eq!(pulse.agent(seconds(now), seconds(300)), expected, "{now}");
        }
        pulse.deaf_for(seconds(600), seconds(1700));
        assert_eq!(pulse.since(), seconds(1700), "what was heard meanwhile was not heard later than now");
    }

    #[test]
    fn a_node_without_a_lease() {
        let pulse = Pulse::none(seconds(10));
        assert_eq!(pulse.agent(seconds(10), seconds(300)), Absent);
        assert_eq!(pulse.agent(seconds(310), seconds(300)), Lost);
    }
}
