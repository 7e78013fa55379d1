//! The system calls, each as a function that is safe to call: descriptors are owned or borrowed, errors are results.

pub(crate) mod mount;
pub(crate) mod socket;

use libc::{c_int, c_long, c_ulong};
use std::{
    ffi::CString,
    fs::File,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// Turns -1 into the error that it stands for.
fn check(result: c_long) -> io::Result<c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A new descriptor out of a system call's result.
fn owned(result: c_long) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// A text as the kernel takes it.
pub(crate) fn text(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Both ends of a pipe: to read, to write.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors into the array.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: both were just made for us alone.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Reading and writing don't wait any more.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_SETFL takes an integer and touches no memory.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }.into()).map(drop)
}

/// Splits the process in two like fork(2), the child in new namespaces if `flags` say so (clone(2)). None in the child.
pub(crate) fn clone(flags: u64) -> io::Result<Option<i32>> {
    // SAFETY: without CLONE_VM, and without a stack of its own, the child is a copy that goes on from here, as after
    // fork(2). The keeper has one thread, so no lock is held by another that the copy lacks.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD as u64, 0, 0, 0, 0) })?;
    Ok((pid != 0).then_some(pid as i32))
}

/// Moves the process into new namespaces.
pub(crate) fn unshare(flags: u64) -> io::Result<()> {
    // SAFETY: takes an integer; CLONE_FILES and CLONE_VM, which a Rust program could notice, are never asked for.
    check(unsafe { libc::unshare(flags as c_int) }.into()).map(drop)
}

/// A descriptor of a process, for as long as that process is our child and was not waited for.
pub(crate) fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes integers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Moves the process into namespaces of another. Of the process namespace, only children to come are moved.
pub(crate) fn enter_namespaces(of: BorrowedFd<'_>, flags: u64) -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::setns(of.as_raw_fd(), flags as c_int) }.into()).map(drop)
}

/// A child that ended, and how (wait(2)).
pub(crate) fn reap() -> Option<(i32, c_int)> {
    let mut status = 0;
    // SAFETY: the kernel writes the status.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

/// Sends a signal to a process that is our child.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Blocks the signals that the keeper hears of by descriptor, ignores those that are not for it, and returns the
/// descriptor, which says that a child ended.
pub(crate) fn listen_to_children() -> io::Result<OwnedFd> {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGPIPE] {
        // SAFETY: ignoring a signal installs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let mut set = empty_set();
    // SAFETY: the set is initialised, and both calls only read or write it.
    unsafe {
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        owned(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())
    }
}

/// Puts all signals back to what a program expects.
pub(crate) fn reset_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGPIPE] {
        // SAFETY: the default action is no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let set = empty_set();
    // SAFETY: the set is initialised and only read.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: all zeros is a valid value of this plain C struct, and sigemptyset makes it the empty set.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        set
    }
}

/// Waits until one of them is ready.
pub(crate) fn poll(fds: &mut [libc::pollfd]) -> io::Result<()> {
    loop {
        // SAFETY: pointer and length are of one slice.
        let result = check(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, -1) }.into());
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(drop),
        }
    }
}

/// prctl(2) with plain numbers.
pub(crate) fn prctl(option: c_int, argument: c_ulong) -> io::Result<()> {
    // SAFETY: only called with options whose arguments are numbers.
    check(unsafe { libc::prctl(option, argument, 0, 0, 0) }.into()).map(drop)
}

/// What `ps` shows.
pub(crate) fn set_name(name: &str) -> io::Result<()> {
    let name = text(name)?;
    // SAFETY: PR_SET_NAME reads a text that ends with NUL.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) }.into()).map(drop)
}

/// A session of its own, out of reach of anybody's terminal.
pub(crate) fn set_session() -> io::Result<()> {
    // SAFETY: takes nothing.
    check(unsafe { libc::setsid() }.into()).map(drop)
}

/// Makes a terminal the controlling one of our session.
pub(crate) fn set_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY as _, 0) }.into()).map(drop)
}

/// Sets a terminal's size, in characters.
pub(crate) fn set_window(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<()> {
    let window = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const window) }.into()).map(drop)
}

/// Unlocks a pseudoterminal's master and opens its other end, without a path (ioctl_tty(2), `TIOCGPTPEER`).
pub(crate) fn open_peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let unlocked: c_int = 0;
    // SAFETY: TIOCSPTLCK reads an integer; TIOCGPTPEER takes one and returns a descriptor.
    unsafe {
        check(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK as _, &raw const unlocked).into())?;
        owned(
            libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC)
                .into(),
        )
    }
}

/// The file mode creation mask.
pub(crate) fn set_umask(mask: u32) {
    // SAFETY: takes an integer and can't fail.
    unsafe { libc::umask(mask) };
}

/// Sets limits of open files, cut to what we may have.
pub(crate) fn limit_open_files(soft: u64, hard: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes, then reads, the struct.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit).into())?;
        limit.rlim_max = limit.rlim_max.min(hard);
        limit.rlim_cur = limit.rlim_max.min(soft);
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit).into()).map(drop)
    }
}

/// Gives a file to somebody.
pub(crate) fn change_owner(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::fchown(fd.as_raw_fd(), uid, gid) }.into()).map(drop)
}

/// Becomes that user, with these groups, for good.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and length are of one slice; the rest takes integers.
    unsafe {
        check(libc::setgroups(groups.len(), groups.as_ptr()).into())?;
        check(libc::setresgid(gid, gid, gid).into())?;
        check(libc::setresuid(uid, uid, uid).into()).map(drop)
    }
}

/// Sets the permitted and effective capabilities, and no inheritable ones (capset(2), version 3).
pub(crate) fn set_capabilities(bits: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |bits: u32| Data { effective: bits, permitted: bits, inheritable: 0 };
    let data = [half(bits as u32), half((bits >> 32) as u32)];
    // SAFETY: version 3 reads a header and two of these structs.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// Installs a program of classic BPF (`struct sock_filter[]`) over all system calls from here on (seccomp(2)).
pub(crate) fn set_seccomp(program: &[u8]) -> io::Result<()> {
    const INSTRUCTION: usize = size_of::<libc::sock_filter>();
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let (chunks, rest) = program.as_chunks::<INSTRUCTION>();
    if !rest.is_empty() {
        return Err(invalid());
    }
    let parse = |bytes: &[u8; INSTRUCTION]| libc::sock_filter {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    let mut instructions: Vec<libc::sock_filter> = chunks.iter().map(parse).collect();
    let length = instructions.len().try_into().map_err(|_| invalid())?;
    let program = libc::sock_fprog { len: length, filter: instructions.as_mut_ptr() };
    // SAFETY: the kernel copies `len` instructions, which live until after the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) }).map(drop)
}

/// All descriptors but the first ones, so many, close when a program is executed.
pub(crate) fn close_on_exec(first: u32) -> io::Result<()> {
    // SAFETY: takes integers; nothing is closed now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// A copy of a descriptor with a number that none of [`set_descriptors`] has.
pub(crate) fn move_up(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an integer and makes a new descriptor.
    owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3 + socket::DESCRIPTORS_MAX as c_int) }.into())
}

/// Makes the first descriptors what is given, in their order: the standard streams, then what else is for the program.
/// Whatever had these numbers is closed, so what is still needed was [`move_up`]'d before.
pub(crate) fn set_descriptors(given: &[BorrowedFd<'_>]) -> io::Result<()> {
    // Out of the way first, or one might be written over before it is used.
    let kept = given.iter().map(|fd| move_up(*fd)).collect::<io::Result<Vec<_>>>()?;
    for (number, fd) in kept.into_iter().enumerate() {
        // SAFETY: nothing that has one of these numbers is used after this.
        check(unsafe { libc::dup2(fd.as_raw_fd(), number as c_int) }.into())?;
    }
    Ok(())
}

/// Becomes another program. Returns only if that fails.
pub(crate) fn execute(program: &str, args: &[CString], env: &[CString]) -> io::Error {
    let Ok(program) = text(program) else { return io::Error::from_raw_os_error(libc::EINVAL) };
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end with a null pointer and point at texts that end with NUL and live until after the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Nanoseconds since the machine was started, suspended time included.
pub(crate) fn boottime() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the struct; this clock exists since Linux 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A file of the host's, as it is opened to be bound or read.
pub(crate) fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// The host name of our namespace.
pub(crate) fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length are of one text.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}
