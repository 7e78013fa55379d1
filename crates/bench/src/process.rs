//! Other processes: what they use, and how they end.

use crate::Problem;
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use std::{fs, process::Child, time::Duration};

/// A child that doesn't outlive its use here.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes of memory, by `smaps_rollup` of proc(5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    /// What is shared counts in parts.
    pub(crate) proportional: f64,
    /// What is its own alone.
    pub(crate) private: f64,
}

/// What a process has in memory.
pub(crate) fn memory(process: Pid) -> Result<Memory, Problem> {
    parse_memory(&fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?)
}

fn parse_memory(text: &str) -> Result<Memory, Problem> {
    let bytes = |name: &str| -> Result<f64, Problem> {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
        let value = value.ok_or_else(|| format!("smaps_rollup has no {name}"))?;
        Ok(value.trim().parse::<f64>()? * 1024.0)
    };
    Ok(Memory { proportional: bytes("Pss:")?, private: bytes("Private_Clean:")? + bytes("Private_Dirty:")? })
}

/// How much of a processor it has used so far, with all its threads.
pub(crate) fn cpu(process: Pid) -> Result<Duration, Problem> {
    Ok(clock_gettime(clock_getcpuclockid(process)?)?.into())
}

/// Who started it.
pub(crate) fn parent(process: Pid) -> Result<Pid, Problem> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before it may have anything in it.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let parent = rest.split_whitespace().nth(1).ok_or("/proc/PID/stat has no parent")?;
    Ok(Pid::from_raw(parent.parse()?))
}

#[cfg(test)]
mod tests {
    use super::{Memory, cpu, memory, parent, parse_memory};
    use nix::unistd::{getpid, getppid};

    #[test]
    fn a_process_is_seen_as_it_is() {
        assert_eq!(parent(getpid()).unwrap(), getppid());
        assert!(memory(getpid()).unwrap().private > 0.0);
        assert!(cpu(getpid()).unwrap().as_nanos() > 0);
    }

    #[test]
    fn a_rollup_is_read() {
        let text = "0-1 ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss:                 5 kB\nPss_Dirty: 1 kB\n\
                    Private_Clean:       2 kB\nPrivate_Dirty:       1 kB\n";
        assert_eq!(parse_memory(text).unwrap(), Memory { proportional: 5120.0, private: 3072.0 });
        assert!(parse_memory("Pss: 5 kB\n").is_err());
    }
}
