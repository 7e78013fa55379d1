//! Ports and model specific addresses.

use core::arch::asm;

/// Writes a byte to a port.
pub fn write(port: u16, value: u8) {
    // SAFETY: no port of this machine writes memory.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) }
}

/// Reads a byte from a port.
pub fn read(port: u16) -> u8 {
    let value;
    // SAFETY: no port of this machine writes memory.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack)) }
    value
}

/// Writes a device's register.
///
/// # Safety
///
/// The address must be a device's.
pub unsafe fn write_register(address: usize, value: u32) {
    // SAFETY: the caller says that it is a register; all of them are mapped.
    unsafe { core::ptr::write_volatile(address as *mut u32, value) }
}
