//! Who may open a file: a stanza for each, in which its key is wrapped, and a MAC over all of them by that key.

use super::{DecryptError, EncryptError, FILE_KEY_BYTES, Identity, RECIPIENTS_MAX, Recipient, cipher, derive, random};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use ring::{
    aead::{Aad, Nonce},
    hmac,
};
use x25519_dalek::{PublicKey, StaticSecret};

const VERSION: &[u8] = b"age-encryption.org/v1\n";
const WRAPPING: &[u8] = b"age-encryption.org/v1/X25519";
const MAC_LINE: &str = "---";

/// A stanza's body has lines of this many characters, the last one of fewer.
const COLUMNS: usize = 64;

/// A wrapped key and its tag.
const WRAPPED_BYTES: usize = FILE_KEY_BYTES + 16;

/// Bytes of a line; nobody writes any as long.
const LINE_BYTES_MAX: usize = 4096;

type FileKey = [u8; FILE_KEY_BYTES];

/// A header that was read.
pub(super) struct Header<'a> {
    /// Those stanzas that an X25519 identity may open: what the sender drew for it, and the wrapped key.
    stanzas: Vec<([u8; 32], [u8; WRAPPED_BYTES])>,
    /// Everything that the MAC is over.
    signed: &'a [u8],
    mac: Vec<u8>,
}

/// The header of a file for `recipients`.
pub(super) fn write(recipients: &[Recipient], key: &FileKey) -> Result<Vec<u8>, EncryptError> {
    let mut file = VERSION.to_vec();
    for recipient in recipients {
        let secret = StaticSecret::from(random::<32>()?);
        let share = PublicKey::from(&secret).to_bytes();
        let shared = secret.diffie_hellman(&PublicKey::from(recipient.0));
        if !shared.was_contributory() {
            return Err(EncryptError::Weak(*recipient));
        }
        let mut body = key.to_vec();
        let wrapping = wrapping(shared.as_bytes(), &share, recipient);
        // The key is used once, so the nonce may be fixed.
        let sealed = cipher(&wrapping).seal_in_place_append_tag(once(), Aad::empty(), &mut body);
        sealed.expect("16 bytes can be sealed");
        file.extend(format!("-> X25519 {}\n{}\n", BASE64.encode(share), BASE64.encode(body)).bytes());
    }
    file.extend(MAC_LINE.bytes());
    let mac = hmac::sign(&mac_key(key), &file);
    file.extend(format!(" {}\n", BASE64.encode(mac)).bytes());
    Ok(file)
}

/// Reads a file's header, and says where its content begins.
pub(super) fn read(file: &[u8]) -> Result<(Header<'_>, &[u8]), DecryptError> {
    let mut rest = file.strip_prefix(VERSION).ok_or(DecryptError::Header("it doesn't begin as one"))?;
    let (mut stanzas, mut count) = (Vec::new(), 0);
    loop {
        let begins = file.len() - rest.len();
        let line = line(&mut rest)?;
        if let Some(mac) = line.strip_prefix("--- ") {
            if count == 0 {
                return Err(DecryptError::Header("it is for nobody"));
            }
            let mac = BASE64.decode(mac).map_err(|_| DecryptError::Header("its MAC is not base64"))?;
            return Ok((Header { stanzas, signed: &file[..begins + MAC_LINE.len()], mac }, rest));
        }
        count += 1;
        if count > RECIPIENTS_MAX {
            return Err(DecryptError::Header("it is for too many"));
        }
        let arguments = line.strip_prefix("-> ").ok_or(DecryptError::Header("a line that is none of a header"))?;
        let arguments: Vec<&str> = arguments.split(' ').collect();
        if arguments.iter().any(|argument| argument.is_empty() || !argument.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(DecryptError::Header("an empty word, or one that is not ASCII"));
        }
        let body = body(&mut rest)?;
        // Others are for others: there may be any.
        if arguments[0] == "X25519" {
            stanzas.push(x25519(&arguments, &body)?);
        }
    }
}

fn x25519(arguments: &[&str], body: &[u8]) -> Result<([u8; 32], [u8; WRAPPED_BYTES]), DecryptError> {
    let bad = || DecryptError::Header("a stanza of X25519 that is none");
    let [_, share] = arguments else { return Err(bad()) };
    let share = BASE64.decode(share).ok().and_then(|share| share.try_into().ok());
    Ok((share.ok_or_else(bad)?, body.try_into().map_err(|_| bad())?))
}

impl Header<'_> {
    /// The file's key, if it is for `identity` and nobody changed the header.
    pub(super) fn open(&self, identity: &Identity) -> Result<FileKey, DecryptError> {
        let recipient = identity.recipient();
        for (share, wrapped) in &self.stanzas {
            let shared = identity.0.diffie_hellman(&PublicKey::from(*share));
            if !shared.was_contributory() {
                return Err(DecryptError::Header("a share of X25519 that hides nothing"));
            }
            let mut wrapped = *wrapped;
            let cipher = cipher(&wrapping(shared.as_bytes(), share, &recipient));
            if let Ok(key) = cipher.open_in_place(once(), Aad::empty(), &mut wrapped) {
                let mut opened = FileKey::default();
                opened.copy_from_slice(key);
                hmac::verify(&mac_key(&opened), self.signed, &self.mac).map_err(|_| DecryptError::Forged)?;
                return Ok(opened);
            }
        }
        Err(DecryptError::NotForUs(recipient))
    }
}

fn wrapping(shared: &[u8; 32], share: &[u8; 32], recipient: &Recipient) -> [u8; 32] {
    derive(shared, &[share.as_slice(), &recipient.0].concat(), WRAPPING)
}

fn mac_key(key: &FileKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &derive(key, &[], b"header"))
}

fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, DecryptError> {
    let end = rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n');
    let end = end.ok_or(DecryptError::Header("it ends within its header"))?;
    let line = std::str::from_utf8(&rest[..end]).map_err(|_| DecryptError::Header("a line that is no text"))?;
    *rest = &rest[end + 1..];
    Ok(line)
}

/// A stanza's body ends with a line that is shorter than the others, and may be empty.
fn body(rest: &mut &[u8]) -> Result<Vec<u8>, DecryptError> {
    let bad = || DecryptError::Header("a stanza's body that is none");
    let mut body = Vec::new();
    loop {
        let line = line(rest)?;
        if line.len() > COLUMNS || body.len() > LINE_BYTES_MAX {
            return Err(bad());
        }
        body.extend(BASE64.decode(line).map_err(|_| bad())?);
        if line.len() < COLUMNS {
            return Ok(body);
        }
    }
}
