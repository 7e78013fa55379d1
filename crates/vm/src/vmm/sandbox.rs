//! What a VMM gives up before its guest runs: the file system, all capabilities, and most system calls (`calls`). Whoever
//! breaks out of the guest finds a process that can do its disks, its tap and its own memory, and nothing else. Its
//! namespaces are its keeper's work. Landlock would add nothing: no file can be opened at all.

use super::calls::{self, Thread};
use nix::{
    errno::Errno,
    sys::prctl,
    unistd::{chdir, chroot},
};
use std::{fs, io};

/// An empty directory, which is all that is left of the file system.
pub(crate) const EMPTY: &str = "empty";

/// More than any kernel knows; those that it doesn't know are refused.
const CAPABILITIES: libc::c_ulong = 64;

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
    calls::confine(Thread::Devices)
}

/// Gives up what only the devices need.
pub(super) fn confine_vcpu() -> io::Result<()> {
    calls::confine(Thread::Vcpu)
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
