//! What a machine that has nothing to say costs its line to the hub: bytes that cross a cable during whole polls.
//!
//! ```text
//!  poll ──── 60 s of silence ── read ──── whether the other one is there, twice ──── poll ──── 60 s ── read
//!                                 └──────────────────── one sample ───────────────────────────────────┘
//! ```
//!
//! Nothing of it can be hurried: a machine waits for news for eight minutes at a time, and asks for no less.

use super::Row;
use crate::{
    Problem,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
    outpost::{Crossed, Outpost},
};
use std::{
    thread,
    time::{Duration, Instant},
};

pub(crate) const ROW: Row =
    Row { name: "traffic", what: "a machine at rest and its hub, two polls of 8 minutes: what crosses a day", measure };

const POLLS: usize = 2;
const DAY: f64 = 86_400.0;
/// After a poll or a report, nothing more comes of it then: kernels ask for addresses within some seconds.
const CALM: Duration = Duration::from_secs(60);
/// Between two looks at the hub's numbers.
const LOOK: Duration = Duration::from_millis(100);
/// A poll takes 480 s.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often the machine has polled, and reported.
type Said = [u64; 2];

/// What had been said and had crossed by the calm after a poll, and when that poll came.
struct Mark {
    polled_at: Instant,
    said: Said,
    crossed: Crossed,
}

fn measure() -> Result<Vec<Figure>, Problem> {
    let outpost = Outpost::begin()?;
    // What it has to say at first is over then.
    let mut before = calm_after_a_poll(&outpost, [0, 0])?;
    outpost.until_settled();
    let mut samples = Vec::new();
    for _ in 0..POLLS {
        let after = calm_after_a_poll(&outpost, before.said)?;
        let [polls, reports] = before.said;
        if after.said != [polls + 1, reports] {
            let said = after.said;
            return Err(format!("it was not at rest: {polls} polls and {reports} reports became {said:?}").into());
        }
        let (crossed, time) = (after.crossed - before.crossed, after.polled_at - before.polled_at);
        if crossed.frames != crossed.ip_packets + crossed.arp_packets {
            return Err(format!("something else than IP and ARP crossed: {crossed:?}").into());
        }
        samples.push((crossed, time));
        before = after;
    }
    outpost.end();
    let a_day = |what: &str, bytes: fn(&Crossed) -> u64| {
        let of = |(crossed, time): &(Crossed, Duration)| bytes(crossed) as f64 * DAY / time.as_secs_f64();
        Figure::new(what, Unit::Kilobytes, Spread::of(samples.iter().map(of).collect()))
    };
    let a_poll = |what: &str, count: fn(&Crossed) -> u64| {
        let counts = samples.iter().map(|(crossed, _)| count(crossed) as f64).collect();
        Figure::new(what, Unit::Packets, Spread::of(counts))
    };
    Ok(vec![
        a_day("a day: IP, both directions", |crossed| crossed.ip_bytes).at_most(Statistic::Maximum, 200.0),
        a_day("a day: frames of Ethernet, with ARP", |crossed| crossed.bytes),
        a_poll("a poll: of IP", |crossed| crossed.ip_packets),
        a_poll("a poll: of ARP", |crossed| crossed.arp_packets),
    ])
}

/// Waits for a poll, and until nothing more came for a while.
fn calm_after_a_poll(outpost: &Outpost, mut said: Said) -> Result<Mark, Problem> {
    let (began, mut polled, mut changed) = (Instant::now(), None, Instant::now());
    loop {
        let now = outpost.metrics(["abide_hub_polls_total", "abide_hub_reports_total"])?;
        if now[0] != said[0] {
            polled = Some(Instant::now());
        }
        if now != said {
            (said, changed) = (now, Instant::now());
        }
        match polled {
            Some(polled_at) if changed.elapsed() >= CALM => {
                return Ok(Mark { polled_at, said, crossed: outpost.crossed()? });
            }
            None if began.elapsed() > PATIENCE => return Err("the machine doesn't poll".into()),
            _ => thread::sleep(LOOK),
        }
    }
}
