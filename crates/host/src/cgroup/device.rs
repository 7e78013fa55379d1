use super::{Controller, Error, Group, bpf, write};

/// Whether a device is read by blocks or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// As a disk.
    Block,
    /// As a terminal.
    Character,
}

/// What may be done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Making its node, which is harmless where it can't be opened.
    Make,
    /// All: making its node, reading and writing.
    Use,
}

/// Devices that a group may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Of which kind.
    pub kind: DeviceKind,
    /// Its driver's number; `None` is any.
    pub major: Option<u32>,
    /// Its number within the driver; `None` is any.
    pub minor: Option<u32>,
    /// What may be done.
    pub access: Access,
}

impl Device {
    /// One device of characters, to be used.
    pub const fn character(major: u32, minor: u32) -> Self {
        Self { kind: DeviceKind::Character, major: Some(major), minor: Some(minor), access: Access::Use }
    }

    const fn any_node(kind: DeviceKind) -> Self {
        Self { kind, major: None, minor: None, access: Access::Make }
    }
}

/// What every container may use (the list of moby and runc): null, zero, full, random, urandom, tty, console, ptmx and
/// the terminals of its own.
pub const CONTAINER_DEVICES: [Device; 11] = [
    Device::any_node(DeviceKind::Character),
    Device::any_node(DeviceKind::Block),
    Device::character(1, 3),
    Device::character(1, 5),
    Device::character(1, 7),
    Device::character(1, 8),
    Device::character(1, 9),
    Device::character(5, 0),
    Device::character(5, 1),
    Device::character(5, 2),
    Device { kind: DeviceKind::Character, major: Some(136), minor: None, access: Access::Use },
];

impl Group {
    /// Lets the group use these devices and no others.
    pub fn allow_devices(&self, devices: &[Device]) -> Result<(), Error> {
        if let Some(folder) = self.v1.get(&Controller::Devices) {
            write(&folder.join("devices.deny"), "a")?;
            return devices.iter().try_for_each(|device| write(&folder.join("devices.allow"), &line(device)));
        }
        let Some(folder) = &self.v2 else {
            return Err(Error::Devices { why: "no control groups are mounted at /sys/fs/cgroup", source: None });
        };
        let why = "the kernel refused the BPF program that does it (it takes CAP_BPF or CAP_SYS_ADMIN, and CONFIG_CGROUP_BPF)";
        bpf::attach(folder, &bpf::program(devices)).map_err(|source| Error::Devices { why, source: Some(source) })
    }
}

fn line(device: &Device) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let kind = match device.kind {
        DeviceKind::Block => 'b',
        DeviceKind::Character => 'c',
    };
    let access = match device.access {
        Access::Make => "m",
        Access::Use => "rwm",
    };
    format!("{kind} {}:{} {access}", number(device.major), number(device.minor))
}
