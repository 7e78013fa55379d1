//! What precedes an entry and says more about it than its header can: pax records, and GNU's long names.

use super::TarError;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

/// Extended attributes, as GNU tar, bsdtar and Go write them.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// What is known of the next entry.
#[derive(Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<(i64, u32)>,
    pub(super) attributes: Vec<(OsString, Vec<u8>)>,
    pub(super) is_sparse: bool,
}

impl Records {
    /// GNU's long name. A pax record of the same entry wins.
    pub(super) fn set_gnu_path(&mut self, text: Vec<u8>) {
        self.path.get_or_insert(until_zero(text));
    }

    /// GNU's long target of a link.
    pub(super) fn set_gnu_target(&mut self, text: Vec<u8>) {
        self.target.get_or_insert(until_zero(text));
    }

    /// Reads records of the form `LENGTH KEY=VALUE\n`, whose length is of all of it.
    pub(super) fn read_pax(&mut self, mut bytes: &[u8]) -> Result<(), TarError> {
        let malformed = || TarError::Malformed("an extended header is broken");
        while !bytes.is_empty() {
            let space = bytes.iter().take(8).position(|byte| *byte == b' ').ok_or_else(malformed)?;
            let length = usize::try_from(decimal(&bytes[..space])?).map_err(|_| malformed())?;
            if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
                return Err(malformed());
            }
            let record = &bytes[space + 1..length - 1];
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        if let Some(name) = key.strip_prefix(ATTRIBUTE) {
            self.attributes.push((OsStr::from_bytes(name).to_owned(), value.to_vec()));
            return Ok(());
        }
        // An empty value takes back what was said before.
        let number = || if value.is_empty() { Ok(None) } else { decimal(value).map(Some) };
        let text = (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text,
            b"linkpath" => self.target = text,
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => self.modified = if value.is_empty() { None } else { Some(time(value)?) },
            key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ => {}
        }
        Ok(())
    }
}

fn until_zero(mut text: Vec<u8>) -> Vec<u8> {
    let length = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(length);
    text
}

fn decimal(text: &[u8]) -> Result<u64, TarError> {
    let number = text.iter().try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    });
    number.filter(|_| !text.is_empty()).ok_or(TarError::Malformed("a number of an extended header is none"))
}

/// `[-]SECONDS[.FRACTION]`
fn time(text: &[u8]) -> Result<(i64, u32), TarError> {
    let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let seconds = i64::try_from(decimal(whole)?).map_err(|_| TarError::Malformed("a time is too far away"))?;
    let mut nanoseconds = 0;
    for n in 0..9 {
        let digit = match fraction.get(n) {
            Some(digit @ b'0'..=b'9') => u32::from(digit - b'0'),
            None => 0,
            Some(_) => return Err(TarError::Malformed("a time is none")),
        };
        nanoseconds = nanoseconds * 10 + digit;
    }
    Ok(match (is_negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_fractions() {
        for (text, wanted) in [
            ("12", (12, 0)),
            ("12.5", (12, 500_000_000)),
            ("12.1234567899", (12, 123_456_789)),
            ("-1.25", (-2, 750_000_000)),
            ("-3", (-3, 0)),
        ] {
            assert_eq!(time(text.as_bytes()).unwrap(), wanted, "{text}");
        }
        for text in ["", ".5", "1.x", "x", "99999999999999999999"] {
            assert!(time(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn records_are_read_to_the_last_byte_or_not_at_all() {
        let mut records = Records::default();
        records.read_pax(b"14 path=a\nb=c\n12 uid=1234\n29 SCHILY.xattr.user.x=\0=\n\xff\n\n").unwrap();
        assert_eq!((records.path.as_deref(), records.uid), (Some(&b"a\nb=c"[..]), Some(1234)));
        assert_eq!(records.attributes, [(OsString::from("user.x"), b"\0=\n\xff\n".to_vec())]);
        for broken in
            ["x", "5 a=b", "5 a=b\nx", "6 a=b\n0", "4 ab\n", "0 a=b\n", "99 a=b\n", "9 size=-1\n", "12345678 a"]
        {
            assert!(Records::default().read_pax(broken.as_bytes()).is_err(), "{broken:?}");
        }
    }
}
