//! Objects of Git on the wire: kind (one byte), length (four, big-endian), content. Whoever gets one computes its name.

use std::io::{self, Read, Write};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// A folder.
    Tree,
    /// A file.
    Blob,
    /// A tag with a message.
    Tag,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: ObjectKind,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Why frames can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// They end early, or can't be inflated.
    #[error("reading objects")]
    Read(#[from] io::Error),
    /// There is no such kind.
    #[error("an object of kind {0}, which is none")]
    Kind(u8),
    /// There are more of them than anybody asks for.
    #[error("more than {FRAMES_MAX} objects in one answer")]
    TooMany,
    /// They are bigger than agreed.
    #[error("objects of more than {0} bytes in one answer")]
    TooMuch(usize),
}

/// Objects in one answer: of those without content there could be millions within any size.
const FRAMES_MAX: usize = super::CHAIN_MAX;

/// Writes one.
pub fn write_frame(to: &mut impl Write, kind: ObjectKind, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&[kind as u8])?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(content)
}

/// Reads all there are, of at most `bytes_max` together.
pub fn read_frames(mut from: impl Read, bytes_max: usize) -> Result<Vec<Frame>, FrameError> {
    let mut frames = Vec::new();
    let mut room = bytes_max;
    loop {
        let mut kind = [0];
        if from.read(&mut kind)? == 0 {
            return Ok(frames);
        }
        if frames.len() == FRAMES_MAX {
            return Err(FrameError::TooMany);
        }
        let kind = match kind[0] {
            0 => ObjectKind::Commit,
            1 => ObjectKind::Tree,
            2 => ObjectKind::Blob,
            3 => ObjectKind::Tag,
            other => return Err(FrameError::Kind(other)),
        };
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        room = room.checked_sub(length).ok_or(FrameError::TooMuch(bytes_max))?;
        // Grows with what really comes, not with what is announced.
        let mut content = Vec::new();
        from.by_ref().take(length as u64).read_to_end(&mut content)?;
        if content.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        frames.push(Frame { kind, content });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..5)) {
            let mut wire = Vec::new();
            for content in &contents {
                write_frame(&mut wire, ObjectKind::Tree, content).unwrap();
            }
            let read = read_frames(&wire[..], 1000).unwrap();
            prop_assert_eq!(read.into_iter().map(|frame| frame.content).collect::<Vec<_>>(), contents);
        }

        #[test]
        fn no_bytes_can_hurt(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read_frames(&wire[..], 1000));
        }
    }

    #[test]
    fn the_bound_holds() {
        let mut wire = Vec::new();
        write_frame(&mut wire, ObjectKind::Blob, &[0; 600]).unwrap();
        write_frame(&mut wire, ObjectKind::Blob, &[0; 600]).unwrap();
        assert!(matches!(read_frames(&wire[..], 1000), Err(FrameError::TooMuch(1000))));
        assert!(matches!(read_frames(&wire[..700], 2000), Err(FrameError::Read(_))), "it ends within the second");
    }

    #[test]
    fn many_of_nothing_are_too_many() {
        let wire = [3, 0, 0, 0, 0].repeat(FRAMES_MAX + 1);
        assert_eq!(read_frames(&wire[5..], 0).unwrap().len(), FRAMES_MAX);
        assert!(matches!(read_frames(&wire[..], 0), Err(FrameError::TooMany)));
    }
}
