use super::{Controller, Error, Group, read, write};
use std::path::Path;

/// The period over which processor time is counted, in microseconds (the kernel's default).
const CPU_PERIOD_US: u64 = 100_000;
/// The least time in a period that the kernel takes, in microseconds.
const CPU_QUOTA_US_MIN: u64 = 1000;

/// What a group may use at most; `None` is as much as there is. Swap is never used where memory is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl Group {
    /// Sets the limits, at first or in place. In v2 a group that runs out of memory is killed as a whole; v1 kills the
    /// largest process.
    pub fn set(&self, limits: &Limits) -> Result<(), Error> {
        self.set_memory(limits.memory_bytes)?;
        self.set_cpu(limits.cpu_millis)?;
        let pids = limits.pids.map_or_else(|| "max".to_owned(), |pids| pids.to_string());
        match self.file(Controller::Pids, "pids.max", "pids.max") {
            Some(file) => write(&file, &pids),
            None => optional(Controller::Pids, limits.pids),
        }
    }

    fn set_cpu(&self, millis: Option<u64>) -> Result<(), Error> {
        let quota_us = millis.map(|millis| millis.saturating_mul(CPU_PERIOD_US / 1000).max(CPU_QUOTA_US_MIN));
        if let Some(folder) = self.v1.get(&Controller::Cpu) {
            write(&folder.join("cpu.cfs_period_us"), &CPU_PERIOD_US.to_string())?;
            return write(
                &folder.join("cpu.cfs_quota_us"),
                &quota_us.map_or_else(|| "-1".to_owned(), |us| us.to_string()),
            );
        }
        match self.file(Controller::Cpu, "", "cpu.max") {
            Some(file) => {
                let quota = quota_us.map_or_else(|| "max".to_owned(), |us| us.to_string());
                write(&file, &format!("{quota} {CPU_PERIOD_US}"))
            }
            None => optional(Controller::Cpu, millis),
        }
    }

    fn set_memory(&self, bytes: Option<u64>) -> Result<(), Error> {
        if let Some(folder) = self.v1.get(&Controller::Memory) {
            return set_memory_v1(folder, bytes);
        }
        let Some(file) = self.file(Controller::Memory, "", "memory.max") else {
            return optional(Controller::Memory, bytes);
        };
        let beside = |name| Some(file.with_file_name(name)).filter(|path| path.exists());
        // Both are missing in some kernels: swap where it isn't configured, the group's end before 4.19.
        if let Some(swap) = beside("memory.swap.max") {
            write(&swap, if bytes.is_some() { "0" } else { "max" })?;
        }
        if let Some(together) = beside("memory.oom.group") {
            write(&together, "1")?;
        }
        write(&file, &bytes.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string()))
    }
}

/// Memory must never be allowed more than memory and swap together: the order of writes depends on the direction.
fn set_memory_v1(folder: &Path, bytes: Option<u64>) -> Result<(), Error> {
    let memory = folder.join("memory.limit_in_bytes");
    let with_swap = folder.join("memory.memsw.limit_in_bytes");
    let text = bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    if !with_swap.exists() {
        return write(&memory, &text);
    }
    let now = read(&with_swap)?.trim().parse::<u64>().unwrap_or(u64::MAX);
    let is_raised = bytes.is_none_or(|bytes| bytes > now);
    let [first, second] = if is_raised { [&with_swap, &memory] } else { [&memory, &with_swap] };
    write(first, &text)?;
    write(second, &text)
}

fn optional(controller: Controller, limit: Option<u64>) -> Result<(), Error> {
    limit.map_or(Ok(()), |_| Err(Error::Missing(controller)))
}
