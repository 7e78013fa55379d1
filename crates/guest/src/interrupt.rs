//! Interrupts: they wake the processor, and say nothing else. What woke it is found by looking.

use crate::port;
use core::{arch::asm, arch::global_asm, mem::size_of_val, ptr::addr_of};

/// The local controller.
pub const LOCAL: usize = 0xfee0_0000;
const IO: usize = 0xfec0_0000;
const SPURIOUS: usize = LOCAL + 0xf0;
const VECTOR: u32 = 0x40;
/// Without the timer's and those of a PC's fixed devices, but for the serial line's.
const WIRED: core::ops::Range<u32> = 4..24;

global_asm!(
    "
wake:
    push rax
    mov eax, 0xfee000b0        // end of interrupt
    mov dword ptr [rax], 0
    pop rax
    iretq
"
);

unsafe extern "C" {
    fn wake();
}

#[repr(C, packed)]
struct Table {
    limit: u16,
    base: u64,
}

static mut GATES: [[u64; 2]; 256] = [[0; 2]; 256];

/// Wires every interrupt to this processor.
pub fn init() {
    let at = wake as *const () as u64;
    // A gate to code segment 8, present, type 14 (Intel SDM 3A, 6.14.1).
    let gate = [at & 0xffff | 8 << 16 | 0x8e << 40 | (at >> 16 & 0xffff) << 48, at >> 32];
    // SAFETY: one processor runs this, once, before interrupts are enabled; registers are those of the two controllers.
    unsafe {
        GATES[VECTOR as usize] = gate;
        let table = Table { limit: size_of_val(&*addr_of!(GATES)) as u16 - 1, base: addr_of!(GATES) as u64 };
        asm!("lidt [{}]", in(reg) &table, options(readonly, nostack));
        port::write(0x21, 0xff);
        port::write(0xa1, 0xff);
        port::write_register(SPURIOUS, 0x1ff);
        for pin in WIRED {
            port::write_register(IO, 0x10 + pin * 2);
            port::write_register(IO + 0x10, VECTOR);
        }
    }
}

/// Sleeps until an interrupt came, also if it came since [`init`] or the last sleep.
pub fn sleep() {
    // SAFETY: the handler changes no register; `sti` takes effect after `hlt`, so that nothing is missed in between.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) }
}

/// Faults without a handler: the processor gives up.
pub fn fault() -> ! {
    let table = Table { limit: 0, base: 0 };
    // SAFETY: that there is no way back is the purpose.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &table, options(noreturn)) }
}
