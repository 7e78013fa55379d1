//! Sockets that reserve a port of the host and answer where address translation doesn't reach: localhost, and IPv6.

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind, listen as listen_on,
    setsockopt, socket, sockopt,
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
};

/// A socket that listens on a TCP port of every address, of both IPv4 and IPv6 where there is IPv6.
pub fn listen(port: u16) -> io::Result<OwnedFd> {
    let both = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
    match open(AddressFamily::Inet6, &both) {
        Err(error) if has_no_ipv6(&error) => {
            open(AddressFamily::Inet, &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))
        }
        opened => opened,
    }
}

/// Whether a UDP port is free. It can't be kept so: a socket would swallow what is sent to localhost.
pub fn check_udp(port: u16) -> io::Result<()> {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop)
}

fn open(family: AddressFamily, address: &dyn SockaddrLike) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, None)?;
    // Connections of before that linger must not keep the port.
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if family == AddressFamily::Inet6 {
        setsockopt(&fd, sockopt::Ipv6V6Only, &false)?;
    }
    bind(fd.as_raw_fd(), address)?;
    listen_on(&fd, Backlog::MAXCONN)?;
    Ok(fd)
}

fn has_no_ipv6(error: &io::Error) -> bool {
    [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL].map(Some).contains(&error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_port_is_reserved_and_answers() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let socket = TcpListener::from(listen(port).unwrap());
        for host in ["127.0.0.1", "localhost"] {
            TcpStream::connect((host, port)).unwrap();
        }
        assert_eq!(listen(port).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(TcpListener::bind(("127.0.0.1", port)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        // What was connected lingers.
        listen(port).unwrap();
    }

    #[test]
    fn a_udp_port_that_somebody_has_is_told() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        assert_eq!(check_udp(port).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(other);
        check_udp(port).unwrap();
    }
}
