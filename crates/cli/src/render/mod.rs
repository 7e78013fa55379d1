//! Texts for people, out of values: all pure, so that tests read what a person sees.
//!
//! | module | what it shows |
//! |---|---|
//! | [`style`] | colours, or none |
//! | [`table`] | columns |
//! | [`status`] | how things stand |
//! | [`unit`] | one unit, with all that is known of it |
//! | [`plan`] | what would change |
//! | [`board`] | what is going on, and how it ended |
//! | [`doctor`] | what the machine offers |
//! | [`fleet`] | a hub's machines, and how commits get to them |

pub(crate) mod board;
pub(crate) mod doctor;
pub(crate) mod fleet;
pub(crate) mod plan;
pub(crate) mod status;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod unit;

/// A number of things: `1 unit`, `2 units`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// A commit's id as people read it.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// A while as people read it, in its largest unit that has two of them.
pub(crate) fn age(ms: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(24 * 3600, "days"), (3600, "hours"), (60, "minutes")];
    let nearest = |ms: u64, unit: u64| (ms + unit / 2) / unit;
    let seconds = nearest(ms, 1000);
    let unit = UNITS.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    unit.map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", nearest(seconds, unit)))
}

/// A span of time as people read it.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..120_000 => format!("{} s", ms / 1000),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let cases =
            [(0, "0 s"), (119_400, "119 s"), (119_999, "2 minutes"), (86_399_900, "24 hours"), (9 << 30, "112 days")];
        for (ms, text) in cases {
            assert_eq!(age(ms), text);
        }
    }

    #[test]
    fn spans() {
        let cases = [(0, "0 ms"), (999, "999 ms"), (1250, "1.2 s"), (59_999, "59 s"), (125_000, "2 min 5 s")];
        for (ms, text) in cases {
            assert_eq!(span(ms), text);
        }
    }
}
