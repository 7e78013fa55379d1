//! What a keeper leaves in its instance's directory, for agents of its own and of later releases: lines of `name=number`,
//! of which one reads those that one knows.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
};

const PROCESS: &str = "process";
const EXIT: &str = "exit";

/// Who keeps the instance, and whom. Written before the agent hears of it, and again when the program is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// The keeper, on the host.
    pub keeper: Life,
    /// The first process, on the host.
    pub first: Life,
    /// When the program was executed, in nanoseconds of `CLOCK_BOOTTIME`; 0 if it was not, so far.
    pub started: u64,
}

/// A process that can't be mistaken for a later one of the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Process id.
    pub pid: i32,
    /// When it was made, in clock ticks since boot (proc_pid_stat(5), field 22).
    pub start: u64,
}

/// How the first process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; 128 + n for signal n.
    pub code: i32,
    /// When, in nanoseconds of `CLOCK_BOOTTIME`.
    pub at: u64,
}

impl Process {
    /// Writes it, all or nothing.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let mut text = String::from("version=1\n");
        let numbers = [
            ("keeper", self.keeper.pid as u64),
            ("keeperStart", self.keeper.start),
            ("first", self.first.pid as u64),
            ("firstStart", self.first.start),
            ("started", self.started),
        ];
        for (name, number) in numbers {
            let _infallible = writeln!(text, "{name}={number}");
        }
        replace(directory, PROCESS, &text)
    }

    /// Reads it; `None` if there is none.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let Some(text) = read(directory, PROCESS)? else { return Ok(None) };
        let life = |pid, start| Life { pid: number(&text, pid) as i32, start: number(&text, start) };
        Ok(Some(Self {
            keeper: life("keeper", "keeperStart"),
            first: life("first", "firstStart"),
            started: number(&text, "started"),
        }))
    }
}

impl Exit {
    /// Writes it, all or nothing.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        replace(directory, EXIT, &format!("version=1\ncode={}\nat={}\n", self.code, self.at))
    }

    /// Reads it; `None` if there is none.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let text = read(directory, EXIT)?;
        Ok(text.map(|text| Self { code: number(&text, "code") as i32, at: number(&text, "at") }))
    }
}

impl Life {
    /// A process that is there now; `None` if it isn't.
    pub fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, field 2, may hold anything, spaces and parentheses included.
        let after_name = text.rsplit_once(") ")?.1;
        let mut fields = after_name.split(' ');
        let is_dead = matches!(fields.next()?, "Z" | "X");
        let start = fields.nth(18)?.parse().ok()?;
        (!is_dead).then_some(Self { pid, start })
    }

    /// Whether this very process is there still.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

fn replace(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    // Not synced: it is of this boot alone.
    fs::File::create(&new)?.write_all(text.as_bytes())?;
    fs::rename(new, directory.join(name))
}

fn read(directory: &Path, name: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(directory.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn number(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Process::read(folder.path()).unwrap(), None);
        let life = |pid| Life { pid, start: 77 };
        let process = Process { keeper: life(12), first: life(13), started: 5 };
        process.write(folder.path()).unwrap();
        assert_eq!(Process::read(folder.path()).unwrap(), Some(process));
        let exit = Exit { code: 137, at: 9 };
        exit.write(folder.path()).unwrap();
        assert_eq!(Exit::read(folder.path()).unwrap(), Some(exit));
    }

    #[test]
    fn a_process_is_known_by_when_it_was_made() {
        let own = Life::of(std::process::id() as i32).unwrap();
        assert!(own.is_alive());
        assert!(!Life { start: own.start + 1, ..own }.is_alive());
        assert_eq!(Life::of(0), None);
    }
}
