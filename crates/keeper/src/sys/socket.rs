//! Messages with descriptors (unix(7), `SCM_RIGHTS`).

use super::check;
use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{SocketAddrV4, TcpStream},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// The most descriptors of one message.
pub(crate) const DESCRIPTORS_MAX: usize = 64;

/// Room for the control message, aligned as its header must be.
#[repr(C, align(8))]
struct Control([u8; 512]);

/// Sends a message, with a descriptor if there is one.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut part = IoSlice::new(bytes);
    let mut control = Control([0; 512]);
    // SAFETY: all zeros is a valid msghdr; its pointers are set to live values below.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw mut part).cast();
    message.msg_iovlen = 1;
    if let Some(fd) = fd {
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: the buffer has room for a header and one descriptor (24 bytes), which the macros stay within.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(4) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as _;
            libc::CMSG_DATA(header).cast::<i32>().write_unaligned(fd.as_raw_fd());
        }
    }
    // SAFETY: everything the message points at lives until after the call.
    check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) } as _).map(drop)
}

/// Receives a message and its descriptors. No bytes: the other side hung up.
pub(crate) fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut part = IoSliceMut::new(bytes);
    let mut control = Control([0; 512]);
    // SAFETY: all zeros is a valid msghdr; its pointers are set to live values below.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw mut part).cast();
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: computes a size.
    message.msg_controllen = unsafe { libc::CMSG_SPACE((DESCRIPTORS_MAX * 4) as u32) } as _;
    let flags = libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the kernel writes within the lengths given, of buffers that live until after the call.
    let length = check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) } as _)? as usize;
    let mut fds = Vec::new();
    #[allow(clippy::unnecessary_cast, reason = "the C libraries differ in this field's type")]
    // SAFETY: the macros walk what the kernel wrote; each descriptor in it was made for us alone.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(found) = header.as_ref() {
            if (found.cmsg_level, found.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let count = (found.cmsg_len as usize - libc::CMSG_LEN(0) as usize) / 4;
                let first = libc::CMSG_DATA(header).cast::<i32>();
                fds.extend((0..count).map(|index| OwnedFd::from_raw_fd(first.add(index).read_unaligned())));
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    Ok((length, fds))
}

/// Listens for messages at a name in a directory, for root alone. The directory's own path may be longer than what an
/// address has room for.
pub(crate) fn listen(directory: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    // SAFETY: all zeros is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as _;
    if path.len() >= address.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
        *to = from as _;
    }
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes integers, makes a descriptor for us alone.
    let socket = super::owned(unsafe { libc::socket(libc::AF_UNIX, kind, 0) }.into())?;
    let length = size_of::<libc::sockaddr_un>() as u32;
    // SAFETY: the kernel reads an address of the length given. The mask keeps the socket from others from the start.
    unsafe {
        let mask = libc::umask(0o177);
        let bound = check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length).into());
        libc::umask(mask);
        bound?;
        check(libc::listen(socket.as_raw_fd(), 16).into())?;
    }
    Ok(socket)
}

/// The next who connects, if anybody does; for any kind of listening socket. It is made not to wait.
pub(crate) fn accept(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let null = std::ptr::null_mut();
    // SAFETY: no address is asked for; the new descriptor is ours alone.
    match super::owned(unsafe { libc::accept4(socket.as_raw_fd(), null, null.cast(), flags) }.into()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}

/// Who is at the other end (socket(7), `SO_PEERCRED`).
pub(crate) fn peer_uid(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as u32;
    let (socket, to) = (socket.as_raw_fd(), (&raw mut peer).cast());
    // SAFETY: the kernel writes at most `length` bytes into the struct.
    let got = unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, to, &raw mut length) };
    check(got.into())?;
    Ok(peer.uid)
}

/// Begins to connect, without waiting for it: reading and writing say `WouldBlock` until it is done, or why it failed.
pub(crate) fn connect(to: SocketAddrV4) -> io::Result<TcpStream> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes integers, makes a descriptor for us alone.
    let socket = super::owned(unsafe { libc::socket(libc::AF_INET, kind, 0) }.into())?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as _,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    };
    let length = size_of::<libc::sockaddr_in>() as u32;
    // SAFETY: the kernel reads an address of the length given.
    match check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) }.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}
