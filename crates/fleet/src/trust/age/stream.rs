//! The content: chunks of 64 KiB, each sealed with its number and whether it is the last one.

use super::{DecryptError, FILE_KEY_BYTES, PLAIN_BYTES_MAX, cipher, derive};
use ring::aead::{Aad, Nonce};

const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

/// What the payload's key is drawn with; the content's first bytes.
const SALT: usize = 16;

/// Appends the content to a file's header.
pub(super) fn seal(key: &[u8; FILE_KEY_BYTES], salt: [u8; SALT], plain: &[u8], file: &mut Vec<u8>) {
    let cipher = cipher(&derive(key, &salt, b"payload"));
    file.extend(salt);
    let chunks = plain.len().div_ceil(CHUNK).max(1);
    for number in 0..chunks {
        let end = plain.len().min((number + 1) * CHUNK);
        let mut chunk = plain[number * CHUNK..end].to_vec();
        let sealed = cipher.seal_in_place_append_tag(nonce(number, number + 1 == chunks), Aad::empty(), &mut chunk);
        sealed.expect("64 KiB can be sealed");
        file.extend(chunk);
    }
}

/// Opens a content.
pub(super) fn open(key: &[u8; FILE_KEY_BYTES], payload: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let (salt, sealed) = payload.split_at_checked(SALT).ok_or(DecryptError::Damaged)?;
    if sealed.len() > PLAIN_BYTES_MAX.div_ceil(CHUNK) * (CHUNK + TAG) {
        return Err(DecryptError::TooBig);
    }
    let cipher = cipher(&derive(key, salt, b"payload"));
    let mut plain = Vec::with_capacity(sealed.len());
    let chunks = sealed.len().div_ceil(CHUNK + TAG);
    for (number, chunk) in sealed.chunks(CHUNK + TAG).enumerate() {
        let mut chunk = chunk.to_vec();
        let opened = cipher.open_in_place(nonce(number, number + 1 == chunks), Aad::empty(), &mut chunk);
        let opened = opened.map_err(|_| DecryptError::Damaged)?;
        // An empty one is the whole content, or it is none that age writes.
        if opened.is_empty() && number > 0 {
            return Err(DecryptError::Damaged);
        }
        plain.extend_from_slice(opened);
    }
    if chunks == 0 { Err(DecryptError::Damaged) } else { Ok(plain) }
}

fn nonce(number: usize, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&(number as u64).to_be_bytes());
    nonce[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}
