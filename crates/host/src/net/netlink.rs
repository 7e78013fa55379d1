//! A netlink socket that blocks (netlink(7)): requests go out, answers are read strictly.
//!
//! A socket belongs to the network namespace it was opened in, whichever thread uses it later. Only the kernel is listened to
//! (port id 0), only answers to the request at hand are taken (sequence numbers), an answer that doesn't fit is an error and
//! never a guess, and a refusal comes with the kernel's own words where it has some (`NLMSGERR_ATTR_MSG`).

use super::attribute::Attributes;
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvmsg, sendto, setsockopt,
            socket, sockopt,
        },
        time::{TimeVal, TimeValLike as _},
    },
};
use std::{
    io::{self, IoSliceMut},
    os::fd::{AsRawFd as _, OwnedFd},
};

// linux/netlink.h
const HEADER_BYTES: usize = 16;
const ACK_CAPPED: u16 = 0x100;
const ACK_ATTRIBUTES: u16 = 0x200;
const DUMP_INTERRUPTED: u16 = 0x10;
const ATTRIBUTE_MESSAGE: u16 = 1;
const OPTION_CAP_ACK: i32 = 10;
const OPTION_EXTENDED_ACK: i32 = 11;

/// What a part of a dump is at most: the kernel makes them of 32 KiB, or of one message.
const ANSWER_BYTES_MAX: usize = 1 << 16;

/// The kernel answers while it is being asked; whoever waits this long would wait for ever.
const PATIENCE_SECONDS: i64 = 10;

/// How often a list that changed while it was read is read again.
const DUMP_TRIES: usize = 8;

/// Why the kernel didn't do, or didn't tell, what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// It was not asked.
    #[error("cannot send {bytes} bytes to the kernel by netlink")]
    Send {
        /// How many.
        bytes: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// It was asked, but what became of it is unknown.
    #[error("cannot read the kernel's answer")]
    Receive(#[source] io::Error),
    /// What it answered makes no sense.
    #[error("the kernel's answer is malformed: {0}")]
    Malformed(&'static str),
    /// A list never stood still.
    #[error("what was to be listed changed again and again")]
    Unsteady,
    /// It said no.
    #[error("the kernel refuses{}", text.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// Its words, where it has some.
        text: Option<String>,
        /// Its error number.
        #[source]
        source: Errno,
    },
}

impl Error {
    /// Whether the kernel refused with this error number.
    pub fn is(&self, errno: Errno) -> bool {
        matches!(self, Self::Refused { source, .. } if *source == errno)
    }
}

/// What an exchange with the kernel gives.
pub(super) type Result<T, E = Error> = std::result::Result<T, E>;

/// A message without its header: what it is, flags (`NLM_F_*`) and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) kind: u16,
    pub(super) flags: i32,
    pub(super) body: Vec<u8>,
}

impl Request {
    fn write(&self, flags: i32, sequence: u32, to: &mut Vec<u8>) {
        let length = u32::try_from(HEADER_BYTES + self.body.len()).expect("a request is built of bounded parts");
        let flags = u16::try_from(self.flags | flags | libc::NLM_F_REQUEST).expect("flags have 16 bits");
        to.extend(length.to_ne_bytes());
        to.extend(self.kind.to_ne_bytes());
        to.extend(flags.to_ne_bytes());
        to.extend(sequence.to_ne_bytes());
        to.extend([0; 4]);
        to.extend(&self.body);
        to.resize(to.len().next_multiple_of(4), 0);
    }
}

/// A socket of one netlink family.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    /// Of the last request.
    sequence: u32,
}

impl Socket {
    /// Opens one in the network namespace of this thread.
    pub(super) fn open(protocol: SockProtocol) -> Result<Self> {
        let open = || -> nix::Result<Self> {
            let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
            setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
            // Words in place of numbers, and not all of what was sent back again with each error.
            enable(&fd, OPTION_EXTENDED_ACK)?;
            enable(&fd, OPTION_CAP_ACK)?;
            Ok(Self { fd, sequence: 0 })
        };
        open().map_err(|errno| Error::Open(errno.into()))
    }

    /// Has one thing done, or asked; gives what came before the acknowledgement.
    pub(super) fn call(&mut self, request: &Request) -> Result<Vec<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.sequence = self.sequence.wrapping_add(1);
        request.write(libc::NLM_F_ACK, self.sequence, &mut bytes);
        self.send(&bytes)?;
        let mut answers = Vec::new();
        self.collect(self.sequence, |body| {
            answers.push(body.to_owned());
            Ok(())
        })?;
        Ok(answers)
    }

    /// Lists what is of interest. What a list that was changing meanwhile has twice or not at all is not given out.
    pub(super) fn list<T>(&mut self, request: &Request, read: impl Fn(&[u8]) -> Result<Option<T>>) -> Result<Vec<T>> {
        for _ in 0..DUMP_TRIES {
            let mut bytes = Vec::new();
            self.sequence = self.sequence.wrapping_add(1);
            request.write(libc::NLM_F_DUMP, self.sequence, &mut bytes);
            self.send(&bytes)?;
            let mut found = Vec::new();
            let collected = self.collect(self.sequence, |body| {
                found.extend(read(body)?);
                Ok(())
            });
            match collected {
                Ok(Steadiness::Steady) => return Ok(found),
                Ok(Steadiness::Interrupted) => {}
                // Answers were lost.
                Err(Error::Receive(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unsteady)
    }

    /// Sends requests as one, and waits for the first refusal or the acknowledgement of the last one but the end of the
    /// batch, which kernels before 6.10 don't acknowledge.
    pub(super) fn transact(&mut self, requests: &[Request]) -> Result<()> {
        let Some((end, changes)) = requests.split_last() else { return Ok(()) };
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for (n, request) in changes.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let flags = if n + 1 == changes.len() { libc::NLM_F_ACK } else { 0 };
            request.write(flags, self.sequence, &mut bytes);
        }
        end.write(0, self.sequence, &mut bytes);
        // It all has to fit, at the price the kernel puts on it, and only root may go beyond the common limit.
        setsockopt(&self.fd, sockopt::SndBufForce, &(2 * bytes.len() + ANSWER_BYTES_MAX))
            .map_err(|errno| Error::Send { bytes: bytes.len(), source: errno.into() })?;
        self.send(&bytes)?;
        self.collect(first, |_| Ok(())).map(drop)
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        let kernel = NetlinkAddr::new(0, 0);
        loop {
            match sendto(self.fd.as_raw_fd(), bytes, &kernel, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::Send { bytes: bytes.len(), source: errno.into() }),
            }
        }
    }

    /// Takes the answers to the requests `first` to `self.sequence`, up to the end of a list or the last acknowledgement.
    fn collect(&self, first: u32, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<Steadiness> {
        let mut steadiness = Steadiness::Steady;
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        loop {
            let length = self.receive(&mut buffer)?;
            let mut rest = &buffer[..length];
            while let Some(message) = Message::read(&mut rest)? {
                if message.sequence.wrapping_sub(first) > self.sequence.wrapping_sub(first) {
                    continue;
                }
                if message.flags & DUMP_INTERRUPTED != 0 {
                    steadiness = Steadiness::Interrupted;
                }
                match message.judge()? {
                    Answer::Part(body) => take(body)?,
                    Answer::End if message.sequence == self.sequence => return Ok(steadiness),
                    Answer::End | Answer::Nothing => {}
                }
            }
        }
    }

    /// One datagram from the kernel.
    fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let mut parts = [IoSliceMut::new(buffer)];
            match recvmsg::<NetlinkAddr>(self.fd.as_raw_fd(), &mut parts, None, MsgFlags::empty()) {
                // Any process can send to us.
                Ok(message) if message.address.is_none_or(|sender| sender.pid() != 0) => {}
                Ok(message) if message.flags.contains(MsgFlags::MSG_TRUNC) => {
                    return Err(Error::Malformed("it is longer than any should be"));
                }
                Ok(message) => return Ok(message.bytes),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::Receive(errno.into())),
            }
        }
    }
}

fn enable(fd: &OwnedFd, option: i32) -> nix::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).expect("an integer is short");
    // SAFETY: the pointer and the length describe `on`, which outlives the call and is only read.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_NETLINK, option, (&raw const on).cast(), length) };
    Errno::result(result).map(drop)
}

/// Whether what was listed changed meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steadiness {
    Steady,
    Interrupted,
}

/// A message from the kernel (`struct nlmsghdr`).
#[derive(Debug)]
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

/// What a message means.
#[derive(Debug, PartialEq, Eq)]
enum Answer<'a> {
    Part(&'a [u8]),
    End,
    Nothing,
}

impl<'a> Message<'a> {
    /// Takes the first message off a datagram.
    fn read(rest: &mut &'a [u8]) -> Result<Option<Self>> {
        if rest.is_empty() {
            return Ok(None);
        }
        let bytes = *rest;
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Error::Malformed("a header is cut off"))?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let body = bytes.get(HEADER_BYTES..length).ok_or(Error::Malformed("a length doesn't fit"))?;
        *rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Ok(Some(Self {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body,
        }))
    }

    fn judge(&self) -> Result<Answer<'a>> {
        match i32::from(self.kind) {
            libc::NLMSG_NOOP => Ok(Answer::Nothing),
            libc::NLMSG_OVERRUN => Err(Error::Malformed("a part was lost")),
            libc::NLMSG_ERROR | libc::NLMSG_DONE => self.outcome().map(|()| Answer::End),
            _ => Ok(Answer::Part(self.body)),
        }
    }

    /// The negative error number at the beginning of an acknowledgement or of a list's end, with words after it.
    fn outcome(&self) -> Result<()> {
        // A list's end has had the number since 2.6; its absence means there is nothing to complain of.
        let Some((code, rest)) = self.body.split_first_chunk::<4>() else { return Ok(()) };
        let code = i32::from_ne_bytes(*code);
        if code == 0 {
            return Ok(());
        }
        let errno = code.checked_neg().ok_or(Error::Malformed("an error has no number"))?;
        Err(Error::Refused { text: self.words(rest), source: Errno::from_raw(errno) })
    }

    /// What stands after the number, and after the header of what was refused, if that is all that is sent back.
    fn words(&self, rest: &[u8]) -> Option<String> {
        let skip = if i32::from(self.kind) == libc::NLMSG_ERROR { HEADER_BYTES } else { 0 };
        let told = self.flags & ACK_ATTRIBUTES != 0 && (skip == 0 || self.flags & ACK_CAPPED != 0);
        let attributes = told.then(|| rest.get(skip..)).flatten()?;
        let text = Attributes::read(attributes).ok()?.find(ATTRIBUTE_MESSAGE)?;
        Some(String::from_utf8_lossy(text.strip_suffix(b"\0").unwrap_or(text)).into_owned())
    }
}

#[cfg(test)]
mod tests;
