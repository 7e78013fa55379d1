use super::*;
use proptest::prelude::*;

/// A message as the kernel writes it; `length` in place of the true one where it is given.
fn message(kind: i32, flags: u16, sequence: u32, body: &[u8], length: Option<u32>) -> Vec<u8> {
    let length = length.unwrap_or(u32::try_from(HEADER_BYTES + body.len()).unwrap());
    let kind = u16::try_from(kind).unwrap();
    let header = [length.to_ne_bytes().to_vec(), kind.to_ne_bytes().to_vec(), flags.to_ne_bytes().to_vec()].concat();
    let mut bytes = [header, sequence.to_ne_bytes().to_vec(), vec![0; 4], body.to_vec()].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn first(bytes: &[u8]) -> String {
    let mut rest = bytes;
    match Message::read(&mut rest) {
        Ok(None) => "nothing".to_owned(),
        Ok(Some(message)) => match message.judge() {
            Ok(answer) => format!("{answer:?}, {} bytes after it", rest.len()),
            Err(error) => described(&error),
        },
        Err(error) => described(&error),
    }
}

fn described(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Error number, the refused message's header, and the kernel's words.
fn refusal(code: i32, words: &str) -> Vec<u8> {
    let words = super::super::attribute::Writer::new().text(ATTRIBUTE_MESSAGE, words).finish();
    [code.to_ne_bytes().to_vec(), vec![0; HEADER_BYTES], words].concat()
}

#[test]
fn answers_are_read_strictly() {
    let told = ACK_CAPPED | ACK_ATTRIBUTES;
    let ack = message(libc::NLMSG_ERROR, 0, 1, &[0; 20], None);
    let cases = [
        ("nothing", vec![]),
        ("an acknowledgement", ack.clone()),
        ("with another after it", [ack.clone(), ack.clone()].concat()),
        ("half a header", ack[..10].to_vec()),
        ("half a body", ack[..18].to_vec()),
        ("shorter than its header", message(libc::NLMSG_ERROR, 0, 1, &[0; 4], Some(15))),
        ("longer than all there is", message(libc::NLMSG_ERROR, 0, 1, &[0; 4], Some(u32::MAX))),
        ("no padding at the end", message(16, 0, 1, &[1, 2, 3, 4, 5], None)[..21].to_vec()),
        ("an end", message(libc::NLMSG_DONE, 0, 1, &[0; 4], None)),
        ("an end without a number", message(libc::NLMSG_DONE, 0, 1, &[], None)),
        ("an end that tells why", message(libc::NLMSG_DONE, 0, 1, &(-libc::EPERM).to_ne_bytes(), None)),
        ("nothing to say", message(libc::NLMSG_NOOP, 0, 1, &[], None)),
        ("an overrun", message(libc::NLMSG_OVERRUN, 0, 1, &[], None)),
        ("a refusal", message(libc::NLMSG_ERROR, 0, 1, &refusal(-libc::EBUSY, "unread"), None)),
        ("a refusal with words", message(libc::NLMSG_ERROR, told, 1, &refusal(-libc::EBUSY, "Device is busy"), None)),
        ("words cut off", message(libc::NLMSG_ERROR, told, 1, &refusal(-libc::EBUSY, "Device")[..26], None)),
        ("words after all that was sent", message(libc::NLMSG_ERROR, ACK_ATTRIBUTES, 1, &refusal(-1, "x"), None)),
        ("the least number", message(libc::NLMSG_ERROR, 0, 1, &i32::MIN.to_ne_bytes(), None)),
    ];
    let read: Vec<_> = cases.iter().map(|(name, bytes)| format!("{name}: {}", first(bytes))).collect();
    insta::assert_snapshot!(read.join("\n"));
}

#[test]
fn others_cannot_answer_for_the_kernel() {
    let socket = Socket::open(SockProtocol::NetlinkRoute).unwrap();
    let own = nix::sys::socket::getsockname::<NetlinkAddr>(socket.fd.as_raw_fd()).unwrap();
    assert_eq!(own.pid(), 0, "it has no name yet");
    let mut socket = socket;
    socket.call(&Request { kind: 18, flags: 0, body: [vec![0; 16], loopback()].concat() }).unwrap();
    let own = nix::sys::socket::getsockname::<NetlinkAddr>(socket.fd.as_raw_fd()).unwrap();
    // The next answer, as somebody who guesses sends it.
    let forged = message(libc::NLMSG_ERROR, 0, 2, &(-libc::EPERM).to_ne_bytes(), None);
    let stranger = Socket::open(SockProtocol::NetlinkRoute).unwrap();
    sendto(stranger.fd.as_raw_fd(), &forged, &own, MsgFlags::empty()).unwrap();
    let answers = socket.call(&Request { kind: 18, flags: 0, body: [vec![0; 16], loopback()].concat() }).unwrap();
    assert_eq!(answers.len(), 1);
}

fn loopback() -> Vec<u8> {
    super::super::attribute::Writer::new().text(libc::IFLA_IFNAME, "lo").finish()
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let mut rest = bytes.as_slice();
        while let Ok(Some(message)) = Message::read(&mut rest) {
            let _ = message.judge();
        }
        let _ = Attributes::read(&bytes);
    }
}
