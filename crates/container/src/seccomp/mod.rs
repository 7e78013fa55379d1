//! Which system calls a container may make, as a program that the kernel runs before each (seccomp(2)).
//!
//! [`table`] is the list; here it becomes one classic BPF program:
//!
//! ```text
//! architecture ours? ──no──► kill           (32-bit programs don't run)
//!   │
//! number ──binary search over ranges of equal answers──► allow │ EPERM │ ENOSYS │ look at an argument
//! ```
//!
//! `ENOSYS` is for calls that are newer than the list, and for `clone3`, whose arguments can't be seen from here: C
//! libraries then fall back on what can be judged. The C library of a container must find a refusal it can handle.

// One call a line would be 400 lines.
#[rustfmt::skip]
mod table;

use std::collections::BTreeMap;

/// An instruction of classic BPF, as the kernel reads it (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Allow,
    /// Refused with this error number.
    Error(i32),
    /// `clone`: allowed unless it makes namespaces.
    Clone,
    /// `personality`: allowed for the usual ones.
    Personality,
    /// `socket`: allowed but for families that reach the kernel's cryptography or the hypervisor.
    Socket,
}

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Where `struct seccomp_data` has what the program looks at. Of an argument only the lower half counts: all that are
/// judged here are `int`s to the kernel.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const FIRST_ARGUMENT_AT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();

/// Flags of `clone` that make a namespace: mount, cgroup, uts, ipc, user, pid, net.
const NAMESPACES: u32 = 0x7e02_0000;
/// Linux, and short inodes for 32-bit programs, each with and without address space randomisation; and "only tell me".
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Kernel cryptography, and sockets to the hypervisor.
const FAMILIES_REFUSED: [u32; 2] = [libc::AF_ALG.cast_unsigned(), libc::AF_VSOCK.cast_unsigned()];

/// The program for a container with these capabilities, in the bytes that the kernel takes (`struct sock_filter[]`).
pub(crate) fn program(has_capability: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for instruction in compile(&answers(has_capability)) {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.if_true, instruction.if_false]);
        bytes.extend(instruction.value.to_ne_bytes());
    }
    bytes
}

/// The answers by number: each holds from its number up to the next.
fn answers(has_capability: impl Fn(&str) -> bool) -> BTreeMap<u32, Answer> {
    let mut of_calls = BTreeMap::from([
        (libc::SYS_clone, Answer::Clone),
        (libc::SYS_clone3, Answer::Error(libc::ENOSYS)),
        (libc::SYS_personality, Answer::Personality),
        (libc::SYS_socket, Answer::Socket),
    ]);
    let granted = table::WITH.iter().filter(|(capability, _)| has_capability(capability)).map(|(_, calls)| *calls);
    let allowed = table::ALWAYS.iter().copied().chain(granted).flatten();
    of_calls.extend(allowed.map(|call| (*call, Answer::Allow)));

    let mut answers = BTreeMap::new();
    let mut last = None;
    for number in 0..=table::NEWEST {
        let answer = of_calls.get(&number).copied().unwrap_or(Answer::Error(libc::EPERM));
        if last != Some(answer) {
            answers.insert(from_call(number), answer);
        }
        last = Some(answer);
    }
    // Also the numbers of the x32 interface of x86_64, which start at 2^30.
    answers.insert(from_call(table::NEWEST + 1), Answer::Error(libc::ENOSYS));
    answers
}

fn from_call(number: libc::c_long) -> u32 {
    u32::try_from(number).expect("numbers of system calls are small and not negative")
}

fn compile(answers: &BTreeMap<u32, Answer>) -> Vec<Instruction> {
    let ranges: Vec<_> = answers.iter().map(|(from, answer)| (*from, *answer)).collect();
    let mut program = vec![
        load(ARCHITECTURE_AT),
        jump(JUMP_IF_EQUAL, ARCHITECTURE, 1, 0),
        done(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_AT),
    ];
    program.extend(search(&ranges));
    program
}

/// A binary search over ranges, of which there is at least one.
fn search(ranges: &[(u32, Answer)]) -> Vec<Instruction> {
    if let [(_, answer)] = ranges {
        return leaf(*answer);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (from, low) = (high[0].0, search(low));
    let mut program = match u8::try_from(low.len()) {
        Ok(length) => vec![jump(JUMP_IF_AT_LEAST, from, length, 0)],
        // Conditional jumps have 8 bits for the distance; unconditional ones have 32.
        Err(_) => {
            let length = u32::try_from(low.len()).expect("a program has at most 4096 instructions");
            vec![jump(JUMP_IF_AT_LEAST, from, 0, 1), Instruction { code: JUMP, if_true: 0, if_false: 0, value: length }]
        }
    };
    program.extend(low);
    program.extend(search(high));
    program
}

fn leaf(answer: Answer) -> Vec<Instruction> {
    match answer {
        Answer::Allow => vec![done(ALLOW)],
        Answer::Error(error) => vec![done(libc::SECCOMP_RET_ERRNO | error.cast_unsigned())],
        Answer::Clone => {
            vec![load(FIRST_ARGUMENT_AT), jump(JUMP_IF_ANY_BIT, NAMESPACES, 0, 1), done(REFUSE), done(ALLOW)]
        }
        Answer::Personality => one_of(&PERSONALITIES, ALLOW, REFUSE),
        Answer::Socket => one_of(&FAMILIES_REFUSED, REFUSE, ALLOW),
    }
}

/// What becomes of a call depends on whether its first argument is one of these few.
fn one_of(values: &[u32], then: u32, otherwise: u32) -> Vec<Instruction> {
    let mut program = vec![load(FIRST_ARGUMENT_AT)];
    for (value, left) in values.iter().zip((1..=values.len()).rev()) {
        program.push(jump(JUMP_IF_EQUAL, *value, u8::try_from(left).expect("there are few values"), 0));
    }
    program.extend([done(otherwise), done(then)]);
    program
}

const fn load(at: u32) -> Instruction {
    Instruction { code: LOAD, if_true: 0, if_false: 0, value: at }
}

const fn jump(code: u16, value: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, value }
}

const fn done(action: u32) -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, value: action }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would, which refuses one that could run on beyond its end.
    fn run(program: &[Instruction], architecture: u32, number: u32, argument: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, value } = program[at];
            let is_true = match code {
                RETURN => return value,
                JUMP => {
                    at += value as usize + 1;
                    continue;
                }
                LOAD => {
                    loaded = match value {
                        NUMBER_AT => number,
                        ARCHITECTURE_AT => architecture,
                        FIRST_ARGUMENT_AT => argument,
                        other => panic!("nothing is at {other}"),
                    };
                    at += 1;
                    continue;
                }
                JUMP_IF_EQUAL => loaded == value,
                JUMP_IF_AT_LEAST => loaded >= value,
                JUMP_IF_ANY_BIT => loaded & value != 0,
                other => panic!("{other} is no instruction of ours"),
            };
            at += 1 + usize::from(if is_true { if_true } else { if_false });
        }
    }

    fn judge(capabilities: &[&str], number: libc::c_long, argument: u32) -> u32 {
        let program = compile(&answers(|name| capabilities.contains(&name)));
        run(&program, ARCHITECTURE, from_call(number), argument)
    }

    #[test]
    fn every_number_gets_its_answer() {
        let answers = answers(|_| false);
        let program = compile(&answers);
        for number in 0..600 {
            let (_, answer) = answers.range(..=number).next_back().unwrap();
            let leaf = run(&leaf(*answer), ARCHITECTURE, number, 0);
            assert_eq!(run(&program, ARCHITECTURE, number, 0), leaf, "call {number}");
        }
        assert!(program.len() < 4096);
    }

    #[test]
    fn calls_are_judged() {
        const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        let newer = table::NEWEST + 1;
        let cases = [
            (&[][..], libc::SYS_read, 0, ALLOW),
            (&[], libc::SYS_mount, 0, REFUSE),
            (&[], libc::SYS_keyctl, 0, REFUSE),
            (&[], libc::SYS_io_uring_setup, 0, REFUSE),
            (&[], libc::SYS_userfaultfd, 0, REFUSE),
            (&[], libc::SYS_unshare, 0, REFUSE),
            (&["SYS_ADMIN"], libc::SYS_unshare, 0, ALLOW),
            (&["SYS_ADMIN"], libc::SYS_io_uring_setup, 0, REFUSE),
            (&[], libc::SYS_clone, libc::SIGCHLD as u32, ALLOW),
            (&[], libc::SYS_clone, libc::CLONE_NEWUSER as u32, REFUSE),
            (&["SYS_ADMIN"], libc::SYS_clone, libc::CLONE_NEWUSER as u32, ALLOW),
            (&[], libc::SYS_clone3, 0, UNKNOWN),
            (&["SYS_ADMIN"], libc::SYS_clone3, 0, ALLOW),
            (&[], newer, 0, UNKNOWN),
            (&[], 0x4000_0000, 0, UNKNOWN),
            (&[], libc::SYS_socket, libc::AF_INET as u32, ALLOW),
            (&[], libc::SYS_socket, libc::AF_ALG as u32, REFUSE),
            (&[], libc::SYS_socket, libc::AF_VSOCK as u32, REFUSE),
            (&[], libc::SYS_socket, 39, ALLOW),
            (&[], libc::SYS_personality, 0xffff_ffff, ALLOW),
            (&[], libc::SYS_personality, 0x0040_0000, REFUSE),
            (&[], libc::SYS_chroot, 0, REFUSE),
            (&["SYS_CHROOT"], libc::SYS_chroot, 0, ALLOW),
        ];
        for (capabilities, call, argument, action) in cases {
            assert_eq!(judge(capabilities, call, argument), action, "{capabilities:?} {call} {argument:#x}");
        }
    }

    #[test]
    fn another_architecture_is_killed() {
        let program = compile(&answers(|_| true));
        assert_eq!(run(&program, 0x4000_0003, 3, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
