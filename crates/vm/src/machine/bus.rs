//! What is at which port and address.

use super::{
    BuildError, End, memory,
    power::{self, Button, Ending},
    serial::{self, Serial},
    virtio::Window,
};
use kvm_ioctls::VmFd;
use std::sync::Arc;

/// What nothing answers to.
const NOTHING: u8 = 0xff;

/// The keyboard controller's status: nothing to read, ready for commands.
const KEYBOARD: std::ops::RangeInclusive<u16> = 0x60..=0x64;
const KEYBOARD_IDLE: u8 = 0;

/// Everything that a vCPU reaches by ports and addresses that are no memory.
pub(crate) struct Bus {
    pub(crate) serial: Serial,
    pub(crate) power: Button,
    pub(crate) end: Ending,
    devices: Vec<Arc<Window>>,
}

impl Bus {
    pub(crate) fn new(vm: &VmFd, devices: Vec<Arc<Window>>) -> Result<Self, BuildError> {
        Ok(Self { serial: Serial::new(vm)?, power: Button::new(vm)?, end: Ending::new()?, devices })
    }

    /// A read of one or more bytes from a port.
    pub(crate) fn read_port(&self, port: u16, data: &mut [u8]) {
        data.fill(NOTHING);
        let Some(first) = data.first_mut() else { return };
        *first = match port {
            _ if serial::PORTS.contains(&port) => self.serial.read((port - serial::PORTS.start()) as u8),
            _ if KEYBOARD.contains(&port) => KEYBOARD_IDLE,
            power::BUTTON => self.power.take(),
            power::SLEEP_STATUS => 0,
            _ => NOTHING,
        };
    }

    /// A write of one or more bytes to a port. Says if that ends the machine.
    pub(crate) fn write_port(&self, port: u16, data: &[u8]) -> Option<End> {
        let value = *data.first()?;
        if serial::PORTS.contains(&port) {
            self.serial.write((port - serial::PORTS.start()) as u8, value);
        }
        power::end_of(port, value)
    }

    /// A read from an address that is no memory.
    pub(crate) fn read(&self, address: u64, data: &mut [u8]) {
        data.fill(NOTHING);
        if let Some((device, offset)) = self.device(address) {
            device.read(offset, data);
        }
    }

    /// A write to an address that is no memory.
    pub(crate) fn write(&self, address: u64, data: &[u8]) {
        if let Some((device, offset)) = self.device(address) {
            device.write(offset, data);
        }
    }

    fn device(&self, address: u64) -> Option<(&Window, u64)> {
        let offset = address.checked_sub(memory::VIRTIO)?;
        let device = self.devices.get(usize::try_from(offset / memory::VIRTIO_SIZE).ok()?)?;
        Some((device, offset % memory::VIRTIO_SIZE))
    }
}
