//! Tap devices (linux/if_tun.h, kernel: networking/tuntap): a port of the bridge whose other end is a file descriptor, which
//! a virtual machine reads frames from and writes them to.

use super::{
    Result, failed,
    link::{Port, connect, mac_outside, named, new_link, open},
};
use netlink_packet_route::link::LinkAttribute;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open as open_file},
    sys::stat::Mode,
};
use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

const DEVICE: &str = "/dev/net/tun";

/// What stands before each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Nothing.
    None,
    /// The 12 bytes of `struct virtio_net_hdr_v1` (VIRTIO 1.2, 5.1.6), in little endian.
    Virtio,
}

const VIRTIO_HEADER_BYTES: libc::c_int = 12;

/// Makes a tap device as a port of the bridge. It is gone when the last copy of the descriptor is closed. The guest is to
/// call itself [`super::link::mac`] of its address.
pub fn tap(port: &Port<'_>, header: Header) -> Result<OwnedFd> {
    let fd = make(port.name, header).map_err(failed("make the tap device", port.name))?;
    let mut socket = open(port.name)?;
    let mut set = named(port.name);
    set.attributes.extend([LinkAttribute::Address(mac_outside(port.address).to_vec()), LinkAttribute::Mtu(port.mtu)]);
    new_link(&mut socket, set, 0).map_err(failed("configure the tap device", port.name))?;
    connect(&mut socket, port)?;
    Ok(fd)
}

fn make(name: &str, header: Header) -> io::Result<OwnedFd> {
    let fd = open_file(DEVICE, OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty())?;
    let header_flag = if header == Header::Virtio { libc::IFF_VNET_HDR } else { 0 };
    // One that is there already is somebody's, or left over: it isn't shared.
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL | header_flag;
    // SAFETY: `ifreq` is plain numbers and bytes, for which zero is a value.
    let mut interface: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= interface.ifr_name.len() {
        return Err(Errno::ENAMETOOLONG.into());
    }
    for (to, byte) in interface.ifr_name.iter_mut().zip(name.bytes()) {
        *to = byte.cast_signed();
    }
    // As TUNSETIFF takes them: 16 bits, of which the highest is one.
    interface.ifr_ifru.ifru_flags = (flags & 0xffff) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `interface` is, and it outlives the call.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut interface) })?;
    if header == Header::Virtio {
        for (act, value) in [(libc::TUNSETVNETHDRSZ, VIRTIO_HEADER_BYTES), (libc::TUNSETVNETLE, 1)] {
            // SAFETY: both read one integer, which `value` is, and it outlives the call.
            Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), act, &raw const value) })?;
        }
    }
    Ok(fd)
}
