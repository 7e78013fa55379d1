//! How a machine ends, and how it is asked to: ports that ACPI names to the guest (see `acpi`), and the keyboard
//! controller's reset line, which is what kernels without ACPI pull.

use super::{BuildError, Doing as _, End, event, lock};
use kvm_ioctls::VmFd;
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};
use vmm_sys_util::eventfd::EventFd;

/// The sleep control register of hardware-reduced ACPI.
pub(crate) const SLEEP_CONTROL: u16 = 0x600;
/// The sleep status register.
pub(crate) const SLEEP_STATUS: u16 = 0x601;
/// Where [`RESET_VALUE`] resets.
pub(crate) const RESET: u16 = 0x602;
pub(crate) const RESET_VALUE: u8 = 1;
/// Reads 1 once after the button was pressed.
pub(crate) const BUTTON: u16 = 0x608;
/// The button's interrupt.
pub(crate) const BUTTON_INTERRUPT: u32 = 5;
/// `SLP_TYP` of S5 in our tables.
pub(crate) const SOFT_OFF: u8 = 5;

/// `SLP_EN` with `SLP_TYP` 5 (ACPI 6.5, 4.8.3.7).
const SWITCH_OFF: u8 = 1 << 5 | SOFT_OFF << 2;

const KEYBOARD_COMMAND: u16 = 0x64;
/// Pulses output line 0, which is the processor's reset.
const KEYBOARD_RESET: u8 = 0xfe;

/// What a write to a port means, if it ends the machine.
pub(crate) fn end_of(port: u16, value: u8) -> Option<End> {
    match (port, value) {
        (SLEEP_CONTROL, SWITCH_OFF) => Some(End::PowerOff),
        (RESET, RESET_VALUE) | (KEYBOARD_COMMAND, KEYBOARD_RESET) => Some(End::Reset),
        _ => None,
    }
}

/// The power button.
pub(crate) struct Button {
    pressed: AtomicBool,
    interrupt: EventFd,
}

impl Button {
    pub(crate) fn new(vm: &VmFd) -> Result<Self, BuildError> {
        let interrupt = event("the power button")?;
        vm.register_irqfd(&interrupt, BUTTON_INTERRUPT).doing("wire the power button")?;
        Ok(Self { pressed: AtomicBool::new(false), interrupt })
    }

    pub(crate) fn press(&self) {
        self.pressed.store(true, Ordering::SeqCst);
        // It fails only if the guest ignored it four billion times.
        drop(self.interrupt.write(1));
    }

    /// Whether nobody read it since.
    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::SeqCst)
    }

    /// What the port reads.
    pub(crate) fn take(&self) -> u8 {
        self.pressed.swap(false, Ordering::SeqCst).into()
    }
}

/// The first end counts: vCPUs may find several at once.
pub(crate) struct Ending {
    end: Mutex<Option<End>>,
    event: EventFd,
}

impl Ending {
    pub(crate) fn new() -> Result<Self, BuildError> {
        Ok(Self { end: Mutex::new(None), event: event("the event of the end")? })
    }

    pub(crate) fn set(&self, end: End) {
        lock(&self.end).get_or_insert(end);
        // It fails only if four billion were written and none was read.
        drop(self.event.write(1));
    }

    pub(crate) fn get(&self) -> Option<End> {
        lock(&self.end).clone()
    }

    pub(crate) fn event(&self) -> &EventFd {
        &self.event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_writes_end_a_machine() {
        for port in 0..=u16::MAX {
            for value in 0..=u8::MAX {
                let expected = match (port, value) {
                    (0x600, 0x34) => Some(End::PowerOff),
                    (0x602, 1) | (0x64, 0xfe) => Some(End::Reset),
                    _ => None,
                };
                assert_eq!(end_of(port, value), expected);
            }
        }
    }
}
