//! A line of a log, in the format of the Container Runtime Interface: `TIME STREAM TAG TEXT`.

use serde::{Serialize, Serializer};

/// A line that was printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// RFC 3339 with nanoseconds: later ones are greater as texts.
    pub(super) time: String,
    /// `stdout` or `stderr`.
    pub(super) stream: String,
    #[serde(serialize_with = "lossy")]
    pub(super) text: Vec<u8>,
}

/// Puts lines together that were too long for one.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginnings of lines, of both streams.
    begun: [Vec<u8>; 2],
}

impl Lines {
    /// Takes a line of the file, without its end; gives the printed one as soon as it is whole. What is no line of a log is
    /// left out.
    pub(super) fn take(&mut self, line: &[u8]) -> Option<Line> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (time, stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let begun = &mut self.begun[usize::from(stream == b"stderr")];
        begun.extend(text);
        if tag != b"F" {
            return None;
        }
        let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(Line { time: word(time), stream: word(stream), text: std::mem::take(begun) })
    }
}

fn lossy<S: Serializer>(text: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together() {
        let mut lines = Lines::default();
        let log: [&[u8]; 6] = [
            b"2026-11-25T21:12:00.637395304Z stdout P one ",
            b"2026-11-25T21:12:00.637395305Z stderr F other",
            b"2026-11-25T21:12:00.637395306Z stdout F two",
            b"2026-11-25T21:12:00.637395307Z stdout F ",
            b"half a li",
            b"",
        ];
        let found: Vec<Line> = log.iter().filter_map(|line| lines.take(line)).collect();
        let texts: Vec<_> = found.iter().map(|line| (line.stream.as_str(), &line.text[..])).collect();
        assert_eq!(texts, [("stderr", &b"other"[..]), ("stdout", b"one two"), ("stdout", b"")]);
        assert_eq!(found[1].time, "2026-11-25T21:12:00.637395306Z");
    }
}
