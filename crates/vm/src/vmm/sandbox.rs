//! What a VMM gives up before its guest runs: the file system, all capabilities, and all system calls but those listed
//! here. Whoever breaks out of the guest finds a process that can do its disks, its tap and its own memory, and nothing else.
//!
//! Any other call kills the process: it is a mistake of ours, or the break-out.

use nix::{
    errno::Errno,
    sys::prctl,
    unistd::{chdir, chroot},
};
use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
use std::{fs, io};

/// An empty directory, which is all that is left of the file system.
const EMPTY: &str = "empty";

/// More than any kernel knows; those that it doesn't know are refused.
const CAPABILITIES: libc::c_ulong = 64;

/// Of a thread that runs a vCPU.
const OF_VCPU: &[i64] = &[
    libc::SYS_ioctl,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_futex,
    libc::SYS_madvise,
    libc::SYS_munmap,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_brk,
    libc::SYS_close,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Besides, of the thread that has the devices, and makes the machine anew when the guest resets.
const OF_DEVICES: &[i64] = &[
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_fdatasync,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_writev,
    libc::SYS_eventfd2,
    libc::SYS_mremap,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_getrandom,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_tid_address,
    libc::SYS_restart_syscall,
    // A vCPU's thread confines and names itself.
    libc::SYS_prctl,
    libc::SYS_seccomp,
];

/// Gives everything up, for this thread and all it will start.
pub(super) fn enter() -> io::Result<()> {
    match fs::create_dir(EMPTY) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => (),
    }
    chroot(EMPTY)?;
    chdir("/")?;
    drop_capabilities()?;
    prctl::set_no_new_privs()?;
    apply(&[OF_VCPU, OF_DEVICES].concat())
}

/// Gives up what only the devices need.
pub(super) fn confine_vcpu() -> io::Result<()> {
    apply(OF_VCPU)
}

fn apply(calls: &[i64]) -> io::Result<()> {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)
        .map_err(other)?;
    let program: seccompiler::BpfProgram = filter.try_into().map_err(other)?;
    seccompiler::apply_filter(&program).map_err(other)
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

/// The bounding set first, while it may be changed.
fn drop_capabilities() -> io::Result<()> {
    for capability in 0..CAPABILITIES {
        // SAFETY: the call takes numbers.
        let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match Errno::result(dropped) {
            // The kernel knows no more.
            Err(Errno::EINVAL) => break,
            other => other.map(drop)?,
        }
    }
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    // Effective, permitted, inheritable; twice 32 bits.
    let none = [0u32; 6];
    // SAFETY: version 3 reads a header of two words and two structs of three, which is what the pointers are to.
    let set = unsafe { libc::syscall(libc::SYS_capset, &header, none.as_ptr()) };
    Errno::result(set).map(drop).map_err(Into::into)
}
