//! The encoding of what agent and keeper say: numbers in little endian, texts and lists with their length before them.

/// More than any job needs.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Bytes are no message of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A value that can be sent.
pub trait Wire: Sized {
    /// Appends the value.
    fn put(&self, to: &mut Vec<u8>);
    /// Takes the value from the front.
    fn take(from: &mut &[u8]) -> Result<Self, Malformed>;
}

/// All of a message.
pub fn encode(value: &impl Wire) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    bytes
}

/// All of a message, and nothing after it.
pub fn decode<T: Wire>(mut bytes: &[u8]) -> Result<T, Malformed> {
    let value = T::take(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(Malformed) }
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Wire for $type {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
                let (head, rest) = from.split_first_chunk().ok_or(Malformed)?;
                *from = rest;
                Ok(Self::from_le_bytes(*head))
            }
        }
    )* };
}

numbers!(u8, u32, i32, u64);

impl Wire for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl Wire for Vec<u8> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u32).put(to);
        to.extend(self);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        let length = u32::take(from)? as usize;
        let (head, rest) = from.split_at_checked(length).ok_or(Malformed)?;
        *from = rest;
        Ok(head.to_vec())
    }
}

impl Wire for String {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u32).put(to);
        to.extend(self.as_bytes());
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Self::from_utf8(Vec::take(from)?).map_err(|_| Malformed)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

/// Lists of anything but bytes, which have a shorter way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Wire> Wire for List<T> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.0.len() as u32).put(to);
        self.0.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        let length = u32::take(from)?;
        // Not allocated in advance: the length is a claim until the values are there.
        (0..length).map(|_| T::take(from)).collect::<Result<_, _>>().map(Self)
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

/// Makes a struct sendable, field by field, in the order of the list.
macro_rules! wire {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::wire::Wire for $type {
            fn put(&self, to: &mut Vec<u8>) {
                $($crate::wire::Wire::put(&self.$field, to);)*
            }

            fn take(from: &mut &[u8]) -> Result<Self, $crate::wire::Malformed> {
                Ok(Self { $($field: $crate::wire::Wire::take(from)?),* })
            }
        }
    };
}
pub(crate) use wire;
