//! What the instance prints: lines in the format of the Container Runtime Interface, in files that are rotated.
//!
//! `2026-11-24T10:15:30.123456789Z stdout F text`; P instead of F: the line goes on in the next one. Where the disk is full
//! the instance goes on printing, and the log says afterwards how much is missing.

use crate::{date::rfc3339, job::Log as Settings};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    time::{SystemTime, UNIX_EPOCH},
};

/// A longer line is split (as by other runtimes of this interface).
const LINE_MAX: usize = 16 << 10;

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// An open log.
pub(crate) struct Log {
    settings: Settings,
    file: Option<File>,
    length: u64,
    /// Beginnings of lines, of both streams.
    begun: [Vec<u8>; 2],
    /// Bytes that could not be written.
    lost: u64,
}

impl Log {
    /// Opens the log, and goes on with what is there.
    pub(crate) fn open(settings: Settings) -> io::Result<Self> {
        let (file, length) = open(&settings.path)?;
        Ok(Self { settings, file: Some(file), length, begun: Default::default(), lost: 0 })
    }

    /// Adds what was printed.
    pub(crate) fn add(&mut self, stream: Stream, bytes: &[u8]) {
        let now = timestamp();
        let mut begun = std::mem::take(&mut self.begun[stream as usize]);
        let mut lines = Vec::with_capacity(bytes.len() + 64);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            begun.extend(part);
            while begun.len() > LINE_MAX + 1 || (begun.len() > LINE_MAX && !begun.ends_with(b"\n")) {
                let rest = begun.split_off(LINE_MAX);
                add_line(&mut lines, &now, stream, 'P', &begun);
                begun = rest;
            }
            if let Some(line) = begun.strip_suffix(b"\n") {
                add_line(&mut lines, &now, stream, 'F', line);
                begun.clear();
            }
        }
        self.begun[stream as usize] = begun;
        self.write(&lines);
    }

    /// Ends lines that have no end: nothing comes any more.
    pub(crate) fn finish(&mut self) {
        for stream in [Stream::Output, Stream::Error] {
            if !self.begun[stream as usize].is_empty() {
                self.add(stream, b"\n");
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if self.length > 0 && self.length + lines.len() as u64 > self.settings.bytes_max {
            self.rotate();
        }
        let mut all = Vec::new();
        if self.lost > 0 {
            let text = format!("abide: {} bytes are missing here: the log could not be written", self.lost);
            add_line(&mut all, &timestamp(), Stream::Error, 'F', text.as_bytes());
        }
        all.extend(lines);
        let Some(file) = &mut self.file else {
            self.lost += lines.len() as u64;
            return;
        };
        match file.write_all(&all) {
            Ok(()) => {
                self.length += all.len() as u64;
                self.lost = 0;
            }
            Err(_) => {
                // Half a line must not stay.
                drop(file.set_len(self.length));
                self.lost += lines.len() as u64;
            }
        }
    }

    /// The oldest file goes, the others move up. Where that fails the present one just grows no further.
    fn rotate(&mut self) {
        let Settings { path, files_max, .. } = &self.settings;
        let older = |number: u32| if number == 0 { path.clone() } else { format!("{path}.{number}") };
        for number in (1..*files_max).rev() {
            // What isn't there can't be moved up, and needn't be.
            drop(fs::rename(older(number - 1), older(number)));
        }
        if *files_max < 2 {
            drop(fs::remove_file(path));
        }
        (self.file, self.length) = match open(path) {
            Ok((file, length)) => (Some(file), length),
            Err(_) => (None, 0),
        };
    }
}

fn open(path: &str) -> io::Result<(File, u64)> {
    let flags = libc::O_NOFOLLOW;
    let file = File::options().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

fn add_line(to: &mut Vec<u8>, now: &str, stream: Stream, tag: char, line: &[u8]) {
    let stream = match stream {
        Stream::Output => "stdout",
        Stream::Error => "stderr",
    };
    to.extend(format!("{now} {stream} {tag} ").into_bytes());
    to.extend(line);
    to.push(b'\n');
}

fn timestamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(now.as_secs(), now.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(bytes_max: u64) -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log").to_str().unwrap().to_owned();
        let log = Log::open(Settings { path, bytes_max, files_max: 3 }).unwrap();
        (folder, log)
    }

    fn lines(folder: &tempfile::TempDir, name: &str) -> Vec<String> {
        let text = fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn lines_are_put_together_and_split() {
        let (folder, mut log) = log(1 << 20);
        log.add(Stream::Output, b"one\ntw");
        log.add(Stream::Error, b"other\n");
        log.add(Stream::Output, b"o\n\n");
        log.add(Stream::Output, &[b'x'; LINE_MAX + 3]);
        log.finish();
        let long = "x".repeat(LINE_MAX);
        let expected = [
            "stdout F one",
            "stderr F other",
            "stdout F two",
            "stdout F ",
            &format!("stdout P {long}"),
            "stdout F xxx",
        ];
        assert_eq!(lines(&folder, "log"), expected);
    }

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let (folder, mut log) = log(60);
        for number in 0..5 {
            log.add(Stream::Output, format!("line {number}\n").as_bytes());
        }
        assert_eq!(lines(&folder, "log"), ["stdout F line 4"]);
        assert_eq!(lines(&folder, "log.2"), ["stdout F line 2"]);
        assert!(!folder.path().join("log.3").exists());
    }

    #[test]
    fn what_can_not_be_written_is_counted() {
        let (folder, mut log) = log(1 << 20);
        let real = log.file.replace(File::options().write(true).open("/dev/full").unwrap());
        log.add(Stream::Output, b"lost\n");
        log.file = real;
        log.add(Stream::Output, b"kept\n");
        let found = lines(&folder, "log");
        assert!(found[0].contains("bytes are missing here"), "{found:?}");
        assert_eq!(found[1], "stdout F kept");
    }
}
