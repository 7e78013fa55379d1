//! The system calls that a VMM may make once its guest runs, by thread. Any other kills the process: it is a mistake of
//! ours, or the break-out.
//!
//! | thread | what it may do |
//! |---|---|
//! | devices | its disks, its tap, its sockets; make the machine anew when the guest resets |
//! | vCPU | run the guest, wake the other threads, say why the guest can't go on |
//!
//! Nobody opens a file, makes a socket, executes anything, or gets memory that can be executed.

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::io;

/// Of which thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thread {
    Devices,
    Vcpu,
}

/// Each thread, besides what is allowed by argument.
const ALL: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_futex,
    // The C library's memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_madvise,
    // The beginning and the end of a thread.
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_exit,
    // A panic, and its message.
    libc::SYS_writev,
    libc::SYS_rt_sigaction,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_tkill,
    libc::SYS_exit_group,
    // Where the kernel's own page doesn't have it.
    libc::SYS_clock_gettime,
    // After a debugger stopped us.
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
];

/// The thread that has the devices, besides.
const DEVICES: &[i64] = &[
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fdatasync,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_eventfd2,
    libc::SYS_mremap,
    libc::SYS_getrandom,
    // vCPUs' threads: made, named, confined, called back.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_sched_getaffinity,
    libc::SYS_prctl,
    libc::SYS_seccomp,
];

/// `_IO(KVMIO, 0x80)`.
const KVM_RUN: u64 = 0xae80;
/// `_IOR(KVMIO, 0x81, struct kvm_regs)`.
const KVM_GET_REGS: u64 = 0x8090_ae81;
/// `_IOR(KVMIO, 0x83, struct kvm_sregs)`.
const KVM_GET_SREGS: u64 = 0x8138_ae83;
/// C libraries differ in its type.
const FIONBIO: u64 = 0x5421;
/// `_IOC_TYPE` of all that KVM can be asked, `KVMIO`.
const KVM_TYPE: u64 = 0xae00;
const TYPE_MASK: u64 = 0xff00;

/// The argument that is which request of `ioctl` and `fcntl`; and the protection of `mmap` and `mprotect`.
const REQUEST: u8 = 1;
const PROTECTION: u8 = 2;

/// Confines the calling thread, and those that it will start.
pub(super) fn confine(thread: Thread) -> io::Result<()> {
    let program = program(thread).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

fn program(thread: Thread) -> Result<BpfProgram, BackendError> {
    let calls = match thread {
        Thread::Devices => [ALL, DEVICES].concat(),
        Thread::Vcpu => ALL.to_vec(),
    };
    let any = calls.into_iter().map(|call| (call, Vec::new()));
    let rules = any.chain(by_argument(thread)?).collect();
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

/// Calls that are allowed for some of what they can do.
fn by_argument(thread: Thread) -> Result<[(i64, Vec<SeccompRule>); 4], BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq};
    let rule = |argument, operator, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let requests = |requests: &[u64]| -> Result<Vec<_>, _> {
        requests.iter().map(|request| rule(REQUEST, Eq, *request)).collect()
    };
    // The standard library looks if what it closes is open, in builds for development.
    let looks = requests(&[libc::F_GETFD as u64])?;
    let (ioctl, fcntl) = match thread {
        Thread::Vcpu => (requests(&[KVM_RUN, KVM_GET_REGS, KVM_GET_SREGS])?, looks),
        Thread::Devices => {
            let kvm = rule(REQUEST, MaskedEq(TYPE_MASK), KVM_TYPE)?;
            // Whoever connects to a socket is not to be waited for; files are shared between a device and its builder, which
            // takes some C libraries two calls.
            let shares = requests(&[libc::F_DUPFD_CLOEXEC as u64, libc::F_SETFD as u64])?;
            ([vec![kvm], requests(&[FIONBIO])?].concat(), [looks, shares].concat())
        }
    };
    let not_executable = vec![rule(PROTECTION, MaskedEq(libc::PROT_EXEC as u64), 0)?];
    Ok([
        (libc::SYS_ioctl, ioctl),
        (libc::SYS_fcntl, fcntl),
        (libc::SYS_mmap, not_executable.clone()),
        (libc::SYS_mprotect, not_executable),
    ])
}
