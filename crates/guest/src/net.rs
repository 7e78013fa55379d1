//! The network card, and who is meant by a frame.

use crate::{
    device::Memory,
    packet::{self, Frame, Host},
    say,
};
use virtio_drivers::{Result, device::net::VirtIONetRaw, transport::mmio::MmioTransport};

const QUEUE: usize = 16;
const BUFFERS: usize = 8;
const BUFFER: usize = 2048;

/// Who this machine is in its network.
#[derive(Clone, Copy)]
pub struct Address {
    ip: [u8; 4],
    name: &'static str,
}

impl Address {
    /// Out of `ip=ADDRESS:SERVER:GATEWAY:NETMASK:NAME:…` (Linux, Documentation/admin-guide/nfs/nfsroot.rst).
    pub fn of(command_line: &'static str) -> Self {
        let value = command_line.split(' ').find_map(|word| word.strip_prefix("ip=")).unwrap_or_default();
        let mut ip = [0; 4];
        for (byte, text) in ip.iter_mut().zip(value.split(':').next().unwrap_or_default().split('.')) {
            *byte = text.parse().unwrap_or(0);
        }
        Self { ip, name: value.split(':').nth(4).filter(|name| !name.is_empty()).unwrap_or("nobody") }
    }
}

/// The card.
pub struct Card {
    card: VirtIONetRaw<Memory, MmioTransport<'static>, QUEUE>,
    host: Host,
    /// What the card fills, by the token it has for each.
    waiting: [Option<usize>; QUEUE],
}

static mut RECEIVED: [[u8; BUFFER]; BUFFERS] = [[0; BUFFER]; BUFFERS];
static mut SENT: [u8; BUFFER] = [0; BUFFER];

impl Card {
    /// Starts to listen.
    pub fn new(transport: MmioTransport<'static>, address: Address) -> Result<Self> {
        let mut card = VirtIONetRaw::new(transport)?;
        let host = Host { mac: card.mac_address(), ip: address.ip, name: address.name };
        card.enable_interrupts();
        let mut this = Self { card, host, waiting: [None; QUEUE] };
        (0..BUFFERS).try_for_each(|buffer| this.lend(buffer))?;
        let Host { mac: [a, b, c, d, e, f], ip: [i, j, k, l], name } = this.host;
        say!("net: {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} {i}.{j}.{k}.{l} {name}");
        Ok(this)
    }

    fn lend(&mut self, buffer: usize) -> Result {
        // SAFETY: a buffer is lent to the card once at a time (`waiting` has it), and is not touched meanwhile.
        let token = unsafe {
            let bytes = &mut *core::ptr::addr_of_mut!(RECEIVED[buffer]);
            self.card.receive_begin(bytes)?
        };
        self.waiting[usize::from(token)] = Some(buffer);
        Ok(())
    }

    /// Answers all that came.
    pub fn poll(&mut self) {
        self.card.ack_interrupt();
        while let Some(token) = self.card.poll_receive() {
            let Some(buffer) = self.waiting[usize::from(token)].take() else { return };
            if let Err(error) = self.answer(token, buffer).and_then(|()| self.lend(buffer)) {
                say!("net: {error}");
            }
        }
    }

    fn answer(&mut self, token: u16, buffer: usize) -> Result {
        // SAFETY: one processor runs this, and the card is done with the buffer once it is completed.
        let (received, sent) =
            unsafe { (&mut *core::ptr::addr_of_mut!(RECEIVED[buffer]), &mut *core::ptr::addr_of_mut!(SENT)) };
        // SAFETY: it is the buffer that the token was given for.
        let (header, length) = unsafe { self.card.receive_complete(token, received)? };
        let room = self.card.fill_buffer_header(sent)?;
        let mut frame = Frame::new(&mut sent[room..]);
        if packet::answer(&self.host, &received[header..header + length], &mut frame).is_some() {
            let length = frame.length();
            self.card.send(&sent[room..room + length])?;
        }
        Ok(())
    }
}
