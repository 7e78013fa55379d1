//! Packet lines, the framing of Git's protocols (gitprotocol-common(5)): four hexadecimal digits of length, then data.

use std::io::{self, Read};

/// The longest data a packet may carry (gitprotocol-common(5): 65520 with its four digits).
const DATA_BYTES_MAX: usize = 65516;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// Some bytes.
    Data(Vec<u8>),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of a response.
    End,
}

/// Why there is no next packet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PacketError {
    /// Not four digits, or a length that no packet has.
    #[error("a packet begins with {0:?}, which is no length")]
    Length(String),
    /// The sender gave up, in its words.
    #[error("the server says: {0}")]
    Remote(String),
    /// The stream ended where a packet has more.
    #[error("the answer ends too early")]
    Short,
    /// The stream broke off, or took too long.
    #[error("the answer broke off: {0}")]
    Broken(#[source] io::Error),
}

impl From<io::Error> for PacketError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Short } else { Self::Broken(error) }
    }
}

/// Reads the next packet.
pub(crate) fn read(from: &mut dyn Read) -> Result<Packet, PacketError> {
    let mut digits = [0; 4];
    from.read_exact(&mut digits)?;
    let length = digits.iter().try_fold(0, |length, digit| Some(length * 16 + char::from(*digit).to_digit(16)?));
    match length.and_then(|length| usize::try_from(length).ok()) {
        Some(0) => Ok(Packet::Flush),
        Some(1) => Ok(Packet::Delimiter),
        Some(2) => Ok(Packet::End),
        Some(length @ 4..) if length - 4 <= DATA_BYTES_MAX => {
            let mut data = vec![0; length - 4];
            from.read_exact(&mut data)?;
            match data.strip_prefix(b"ERR ") {
                Some(text) => Err(PacketError::Remote(printable(text))),
                None => Ok(Packet::Data(data)),
            }
        }
        _ => Err(PacketError::Length(printable(&digits))),
    }
}

/// A line as a packet.
pub(crate) fn line(text: &str) -> String {
    debug_assert!(text.len() < DATA_BYTES_MAX, "requests are short");
    format!("{:04x}{text}\n", text.len() + 5)
}

/// What a server, or a commit, says, fit for a terminal: at most a few lines' worth, nothing that steers.
pub(crate) fn printable(bytes: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 300;
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().take(CHARACTERS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_kind() {
        let mut bytes: &[u8] = b"0006a\n000000010002000b00040008ERR no";
        assert_eq!(read(&mut bytes).unwrap(), Packet::Data(b"a\n".to_vec()));
        assert_eq!(read(&mut bytes).unwrap(), Packet::Flush);
        assert_eq!(read(&mut bytes).unwrap(), Packet::Delimiter);
        assert_eq!(read(&mut bytes).unwrap(), Packet::End);
        assert_eq!(read(&mut bytes).unwrap(), Packet::Data(b"0004000".to_vec()));
        assert!(matches!(read(&mut bytes), Err(PacketError::Length(text)) if text == "8ERR"));
        assert!(matches!(read(&mut &b"000aERR no"[..]), Err(PacketError::Remote(text)) if text == "no"));
        for bad in ["0003", "+004", "fff5", "ffff", "<htm"] {
            assert!(matches!(read(&mut bad.as_bytes()), Err(PacketError::Length(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &bytes[..];
            while !rest.is_empty() && read(&mut rest).is_ok() {}
        }

        #[test]
        fn what_is_written_is_read(text in "[ -~]{0,300}") {
            prop_assume!(!text.starts_with("ERR "));
            let packet = read(&mut line(&text).as_bytes()).unwrap();
            prop_assert_eq!(packet, Packet::Data(format!("{text}\n").into_bytes()));
        }
    }
}
