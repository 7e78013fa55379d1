//! The program that decides about devices in v2 (BPF_PROG_TYPE_CGROUP_DEVICE; bpf(2), linux/bpf.h).

use super::device::{Access, Device, DeviceKind};
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

/// An instruction as the kernel reads it: opcode, both registers in a byte, offset of a jump, immediate value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    opcode: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// `bpf_cgroup_dev_ctx` is what the program is called with, in r1: three 32-bit words.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

const MAY_MAKE: i32 = 1;
const MAY_READ: i32 = 2;
const MAY_WRITE: i32 = 4;

const fn instruction(opcode: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { opcode, registers: from << 4 | to, offset, immediate }
}

/// Says 1 (yes) if one of the devices matches what is asked, and 0 otherwise.
pub(super) fn program(devices: &[Device]) -> Vec<Instruction> {
    const KIND: u8 = 2;
    const ASKED: u8 = 3;
    const MAJOR: u8 = 4;
    const MINOR: u8 = 5;
    const REST: u8 = 6;
    let mut program = vec![
        instruction(LOAD_WORD, KIND, 1, 0, 0),
        instruction(MOVE_REGISTER, ASKED, KIND, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ASKED, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, 1, 4, 0),
        instruction(LOAD_WORD, MINOR, 1, 8, 0),
    ];
    for device in devices {
        let kind = match device.kind {
            DeviceKind::Block => 1,
            DeviceKind::Character => 2,
        };
        let allowed = match device.access {
            Access::Make => MAY_MAKE,
            Access::Use => MAY_MAKE | MAY_READ | MAY_WRITE,
        };
        // Numbers of devices have at most 20 bits: they fit.
        let number = |register, number: Option<u32>| number.map(|number| (register, number.cast_signed()));
        let tests = [Some((KIND, kind)), number(MAJOR, device.major), number(MINOR, device.minor), Some((REST, 0))];
        let tests: Vec<_> = tests.into_iter().flatten().collect();
        program.push(instruction(MOVE_REGISTER, REST, ASKED, 0, 0));
        program.push(instruction(AND, REST, 0, 0, !allowed));
        for (n, (register, value)) in tests.iter().enumerate() {
            // Over the tests that are left, and the two instructions that say yes.
            let to_next = i16::try_from(tests.len() - n + 1).expect("there are at most four tests");
            program.push(instruction(JUMP_UNLESS_EQUAL, *register, 0, to_next, *value));
        }
        program.extend([instruction(MOVE, 0, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)]);
    }
    program.extend([instruction(MOVE, 0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    program
}

/// The part of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instructions: u32,
    instructions_at: u64,
    license_at: u64,
    log_level: u32,
    log_size: u32,
    log_at: u64,
    kernel_version: u32,
    flags: u32,
}

/// The part of `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    /// None: one program a group, which a new one replaces, and groups below can't loosen.
    flags: u32,
}

/// Makes the program decide for a group.
pub(super) fn attach(folder: &Path, program: &[Instruction]) -> io::Result<()> {
    const PROG_LOAD: libc::c_long = 5;
    const PROG_ATTACH: libc::c_long = 8;
    const TYPE_CGROUP_DEVICE: u32 = 15;
    const ATTACH_CGROUP_DEVICE: u32 = 6;
    let load = Load {
        program_type: TYPE_CGROUP_DEVICE,
        instructions: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions_at: program.as_ptr() as u64,
        license_at: c"Apache-2.0".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: `load` has the layout of the first members of `union bpf_attr` and its size is told; the program and the
    // licence that it points to outlive the call.
    let loaded = unsafe { bpf(PROG_LOAD, &load) }?;
    // SAFETY: the kernel has just made this descriptor (close-on-exec), and nobody else knows it.
    let loaded = unsafe { OwnedFd::from_raw_fd(loaded) };
    let folder = File::open(folder)?;
    let attach = Attach {
        target: folder.as_raw_fd().cast_unsigned(),
        program: loaded.as_raw_fd().cast_unsigned(),
        attach_type: ATTACH_CGROUP_DEVICE,
        ..Attach::default()
    };
    // SAFETY: `attach` has the layout of the first members of `union bpf_attr`, holds no pointers, and its size is told.
    unsafe { bpf(PROG_ATTACH, &attach) }.map(drop)
}

/// # Safety
/// `attributes` must be what `command` reads, and what it points to must be valid.
unsafe fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    let at: *const T = attributes;
    // SAFETY: the caller vouches for what is pointed to; the kernel reads no more than the size given.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, at, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}
