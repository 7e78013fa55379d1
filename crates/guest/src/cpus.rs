//! The other processors: started, counted, put to sleep.

use crate::{interrupt::LOCAL, port};
use core::{
    arch::global_asm,
    ptr::{addr_of, copy_nonoverlapping, read_volatile},
};

/// A page below 1 MiB, where processors start in real mode.
const START: usize = 0x8000;
const COUNTER: usize = START + 0xff0;
const COMMAND: usize = LOCAL + 0x300;
/// INIT, and start at page 8, to all but this one.
const INIT: u32 = 0xc_4500;
const STARTUP: u32 = 0xc_4600 | (START >> 12) as u32;
/// They come within a fraction of that.
const PATIENCE: u32 = 1_000_000;

global_asm!(
    "
    .section .rodata
    .code16
ap_start:
    lock inc word ptr cs:[0xff0]
    cli
1:  hlt
    jmp 1b
ap_end:
    .code64
"
);

unsafe extern "C" {
    static ap_start: u8;
    static ap_end: u8;
}

/// Starts all processors that ACPI lists. Says how many run, this one included.
pub fn start() -> usize {
    let listed = listed();
    // SAFETY: the page is ours (the memory map has it, and the image is elsewhere), and the register is the controller's.
    unsafe {
        let length = addr_of!(ap_end) as usize - addr_of!(ap_start) as usize;
        copy_nonoverlapping(addr_of!(ap_start), START as *mut u8, length);
        *(COUNTER as *mut u16) = 0;
        if listed > 1 {
            port::write_register(COMMAND, INIT);
            port::write_register(COMMAND, STARTUP);
        }
        let running = || 1 + usize::from(read_volatile(COUNTER as *const u16));
        for _ in 0..PATIENCE {
            if running() >= listed {
                break;
            }
            core::hint::spin_loop();
        }
        running()
    }
}

/// Processors in ACPI's MADT, which is somewhere in the firmware's place.
fn listed() -> usize {
    const HEADER: usize = 44;
    // SAFETY: the place is mapped memory that nobody writes any more.
    let firmware = unsafe { core::slice::from_raw_parts(0xe_0000 as *const u8, 0x2_0000) };
    let Some(at) = (0..firmware.len()).step_by(16).find(|at| &firmware[*at..*at + 4] == b"APIC") else { return 1 };
    let word = |at: usize| u32::from_le_bytes([firmware[at], firmware[at + 1], firmware[at + 2], firmware[at + 3]]);
    let (mut count, mut entry, end) = (0, at + HEADER, at + word(at + 4) as usize);
    while entry + 1 < end {
        count += usize::from(firmware[entry] == 0);
        entry += usize::from(firmware[entry + 1]).max(2);
    }
    count
}
