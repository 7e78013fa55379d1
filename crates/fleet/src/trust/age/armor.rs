//! A file as text: PEM as age has it, read as strictly as it is written.

use super::{DecryptError, PLAIN_BYTES_MAX};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
const COLUMNS: usize = 64;

/// Base64 is a third longer; a header and the chunks' tags are less than as much again.
const TEXT_BYTES_MAX: usize = 2 * PLAIN_BYTES_MAX;

pub(super) fn write(file: &[u8]) -> String {
    let text = BASE64.encode(file);
    let mut lines = vec![BEGIN];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(COLUMNS));
        lines.push(line);
        rest = after;
    }
    lines.push(END);
    lines.join("\n") + "\n"
}

pub(super) fn read(text: &str) -> Result<Vec<u8>, DecryptError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(DecryptError::TooBig);
    }
    let mut lines = text.trim().lines().map(|line| line.strip_suffix('\r').unwrap_or(line));
    if lines.next() != Some(BEGIN) {
        return Err(DecryptError::Armor("it doesn't begin with -----BEGIN AGE ENCRYPTED FILE-----"));
    }
    let lines: Vec<&str> = lines.collect();
    let Some((&END, body)) = lines.split_last() else {
        return Err(DecryptError::Armor("it doesn't end with -----END AGE ENCRYPTED FILE-----"));
    };
    let full = body.len().saturating_sub(1);
    let is_straight = body.iter().take(full).all(|line| line.len() == COLUMNS);
    if !is_straight || body.last().is_none_or(|line| line.is_empty() || line.len() > COLUMNS) {
        return Err(DecryptError::Armor("its lines have other than 64 characters"));
    }
    BASE64.decode(body.concat()).map_err(|_| DecryptError::Armor("it is not base64"))
}
