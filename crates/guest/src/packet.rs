//! Answers to ARP, ping and HTTP, out of the question alone: nothing is kept between two packets, so a TCP connection is only
//! what its peer says of it. That serves one request a connection.

use core::fmt::{self, Write as _};

const ETHERNET: usize = 14;
const IP: usize = 20;
const TCP: usize = 20;

const ARP_TYPE: u16 = 0x806;
const IP_TYPE: u16 = 0x800;
const ICMP: u8 = 1;
const TCP_PROTOCOL: u8 = 6;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Where our side of each connection starts to count.
const SEQUENCE: u32 = 0x0abd_0000;
const WINDOW: u16 = 8192;

/// Who answers.
pub struct Host {
    /// Hardware address.
    pub mac: [u8; 6],
    /// Address.
    pub ip: [u8; 4],
    /// Name.
    pub name: &'static str,
}

/// A frame that is being written.
pub struct Frame<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a> Frame<'a> {
    /// An empty one.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, length: 0 }
    }

    /// Bytes written.
    pub fn length(&self) -> usize {
        self.length
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.length..self.length + bytes.len())?.copy_from_slice(bytes);
        self.length += bytes.len();
        Some(())
    }

    fn put_word(&mut self, word: u16) -> Option<()> {
        self.put(&word.to_be_bytes())
    }

    fn set_word(&mut self, at: usize, word: u16) {
        self.bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
    }
}

impl fmt::Write for Frame<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes()).ok_or(fmt::Error)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Writes the answer, if there is one.
pub fn answer(host: &Host, frame: &[u8], to: &mut Frame<'_>) -> Option<()> {
    let kind = word(frame, 12)?;
    to.put(frame.get(6..12)?)?;
    to.put(&host.mac)?;
    to.put_word(kind)?;
    match kind {
        ARP_TYPE => arp(host, frame.get(ETHERNET..ETHERNET + 28)?, to),
        IP_TYPE => ip(host, &frame[ETHERNET..], to),
        _ => None,
    }
}

fn arp(host: &Host, question: &[u8], to: &mut Frame<'_>) -> Option<()> {
    if word(question, 6)? != 1 || question[24..28] != host.ip {
        return None;
    }
    to.put(&question[..6])?;
    to.put_word(2)?;
    to.put(&host.mac)?;
    to.put(&host.ip)?;
    to.put(&question[8..18])
}

fn ip(host: &Host, packet: &[u8], to: &mut Frame<'_>) -> Option<()> {
    // No options, and the frame may be padded.
    if *packet.first()? != 0x45 || packet.get(16..20)? != host.ip {
        return None;
    }
    let content = packet.get(IP..usize::from(word(packet, 2)?))?;
    let start = to.length;
    to.put(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, packet[9], 0, 0])?;
    to.put(&host.ip)?;
    to.put(&packet[12..16])?;
    match packet[9] {
        ICMP => ping(content, to)?,
        TCP_PROTOCOL => tcp(host, content, to)?,
        _ => return None,
    }
    to.set_word(start + 2, (to.length - start) as u16);
    let sum = checksum(0, &to.bytes[start..start + IP]);
    to.set_word(start + 10, sum);
    Some(())
}

fn ping(question: &[u8], to: &mut Frame<'_>) -> Option<()> {
    const REQUEST: u8 = 8;
    if *question.first()? != REQUEST {
        return None;
    }
    let start = to.length;
    to.put(&[0; 4])?;
    to.put(question.get(4..)?)?;
    let sum = checksum(0, &to.bytes[start..to.length]);
    to.set_word(start + 2, sum);
    Some(())
}

fn tcp(host: &Host, segment: &[u8], to: &mut Frame<'_>) -> Option<()> {
    let flags = *segment.get(13)?;
    let data = segment.get(usize::from(segment[12] >> 4) * 4..)?;
    let (theirs, ours) = (long(segment, 4)?, long(segment, 8)?);
    let complete = data.ends_with(b"\r\n\r\n");
    let (sequence, taken, flags) = match flags & (SYN | FIN | RST) {
        SYN => (SEQUENCE, 1, SYN | ACK),
        FIN => (ours, data.len() as u32 + 1, if complete { PSH | FIN | ACK } else { ACK }),
        0 if complete => (ours, data.len() as u32, PSH | FIN | ACK),
        0 if !data.is_empty() => (ours, data.len() as u32, ACK),
        _ => return None,
    };
    let start = to.length;
    to.put(&segment[2..4])?;
    to.put(&segment[..2])?;
    to.put(&sequence.to_be_bytes())?;
    to.put(&theirs.wrapping_add(taken).to_be_bytes())?;
    to.put(&[((TCP / 4) << 4) as u8, flags])?;
    to.put_word(WINDOW)?;
    to.put(&[0; 4])?;
    if flags & PSH != 0 {
        let length = "hello from \n".len() + host.name.len();
        write!(
            to,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\nhello from {}\n",
            host.name
        )
        .ok()?;
    }
    let segment = &to.bytes[start..to.length];
    // The pseudo header: addresses, protocol, length.
    let addresses = &to.bytes[start - 8..start];
    let sum = checksum(u32::from(TCP_PROTOCOL) + segment.len() as u32 + sum(addresses), segment);
    to.set_word(start + 16, sum);
    Some(())
}

/// Of words, as of RFC 1071, not yet folded.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
}

fn checksum(before: u32, bytes: &[u8]) -> u16 {
    let mut sum = before + sum(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
