//! Capabilities (capabilities(7)) by name.

/// By number, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What containers have unless told otherwise: Podman's list. Docker's has AUDIT_WRITE, MKNOD and NET_RAW besides.
const DEFAULT: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// A set of capabilities, as the kernel counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities(pub(crate) u64);

/// A name that is no capability's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no capability: write it as in capabilities(7) without CAP_, as NET_ADMIN")]
pub(crate) struct UnknownCapability(String);

impl Capabilities {
    /// The default set, less `drop` and with `add`; `ALL` drops every one.
    pub(crate) fn new(add: &[String], drop: &[String]) -> Result<Self, UnknownCapability> {
        let mut bits = DEFAULT.iter().try_fold(0, |bits, name| Ok(bits | bit(name)?))?;
        for name in drop {
            bits &= if name == "ALL" { 0 } else { !bit(name)? };
        }
        add.iter().try_fold(bits, |bits, name| Ok(bits | bit(name)?)).map(Self)
    }

    /// Whether it has the one of this name.
    pub(crate) fn has(self, name: &str) -> bool {
        bit(name).is_ok_and(|bit| self.0 & bit != 0)
    }
}

fn bit(name: &str) -> Result<u64, UnknownCapability> {
    let number = NAMES.iter().position(|known| *known == name);
    number.map(|number| 1 << number).ok_or_else(|| UnknownCapability(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_made_of_names() {
        let set = |add: &[&str], drop: &[&str]| {
            let [add, drop] = [add, drop].map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            Capabilities::new(&add, &drop).map(|set| set.0)
        };
        // As /proc/PID/status shows it.
        assert_eq!(set(&[], &[]), Ok(0x8004_05fb));
        assert_eq!(set(&["NET_BIND_SERVICE"], &["ALL"]), Ok(1 << 10));
        assert_eq!(set(&["CHECKPOINT_RESTORE"], &["ALL"]), Ok(1 << 40));
        assert_eq!(set(&[], &["CHOWN"]), Ok(0x8004_05fa));
        for name in ["CAP_CHOWN", "chown", "", "ALL"] {
            assert_eq!(set(&[name], &[]), Err(UnknownCapability(name.to_owned())));
        }
    }
}
