//! From the PVH entry (32 bits, no paging) to Rust in long mode.
//!
//! The page tables are part of the image: computing them would cost more than all the rest of the way. They map the first
//! GiB (memory) and the fourth (devices) where they are.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a"
    .align 4
    .long 4, 4, 18             // name, description, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start32

    .section .text.start, "ax"
    .code32
    .global start32
start32:
    mov esp, offset stack_end
    mov edi, ebx               // the start info: first argument of `main`
    mov eax, offset page_root
    mov cr3, eax
    mov eax, 0x20              // PAE
    mov cr4, eax
    mov ecx, 0xc0000080        // EFER
    mov eax, 0x100             // LME
    xor edx, edx
    wrmsr
    mov eax, 0x80000011        // paging, protected mode
    mov cr0, eax
    lgdt [descriptors]
    push 8
    mov eax, offset start64
    push eax
    retf

    .code64
start64:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    call main
stop:
    cli
    hlt
    jmp stop

    .section .rodata
    .align 8
table:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
descriptors:
    .word 23
    .quad table

    .section .data
    .align 4096
page_root:
    .quad page_pointers + 3
    .fill 511, 8, 0
page_pointers:
    .quad page_memory + 3, 0, 0, page_devices + 3
    .fill 508, 8, 0
page_memory:
    .set page, 0
    .rept 512
    .quad page * 0x200000 + 0x83
    .set page, page + 1
    .endr
page_devices:
    .set page, 0
    .rept 512
    .quad 0xc0000000 + page * 0x200000 + 0x9b
    .set page, page + 1
    .endr

    .section .bss
    .align 16
    .skip 65536
stack_end:
"#
);

/// What the loader says (Xen's `hvm_start_info`): only what is used here.
#[repr(C)]
pub struct StartInfo {
    _magic: u32,
    _version: u32,
    _flags: u32,
    _module_count: u32,
    _modules: u64,
    command_line: u64,
}

/// The command line.
///
/// # Safety
///
/// `start` must be what the loader passed.
pub unsafe fn command_line(start: *const StartInfo) -> &'static str {
    // SAFETY: the caller says that it is the loader's, which gives a NUL-terminated text that nobody changes.
    let text = unsafe { core::ffi::CStr::from_ptr((*start).command_line as *const _) };
    text.to_str().unwrap_or_default()
}
