//! Asks the hub of this root, by its admin socket: HTTP/1.1 and JSON.

use crate::{
    exit::{Failure, with_causes},
    here::Here,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

/// In the run folder, for root alone.
const SOCKET: &str = "hub.sock";

/// A hub that is alive answers sooner, unless its database is away: then it says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than a fleet of a hundred thousand machines takes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Whether a hub of this root serves.
pub(crate) fn is_there(here: &Here) -> bool {
    UnixStream::connect(here.paths.run.join(SOCKET)).is_ok()
}

/// Asks for something.
pub(crate) fn get<T: DeserializeOwned>(here: &Here, path: &str) -> Result<T, Failure> {
    ask(here, "GET", path, None::<&()>)
}

/// Tells it something, or has it do something.
pub(crate) fn ask<T: DeserializeOwned>(
    here: &Here,
    method: &str,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<T, Failure> {
    let socket = here.paths.run.join(SOCKET);
    let mut stream = UnixStream::connect(&socket).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::failed(format!(
            "no hub runs here: start `{}`, or ask on a machine where one does",
            here.command("hub serve")
        )),
        _ => Failure::file("connecting to the hub by", &socket)(error),
    })?;
    let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let asking = |error| Failure::file("asking the hub by", &socket)(error);
    stream.set_read_timeout(Some(PATIENCE)).map_err(asking)?;
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).map_err(asking)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(asking)?;
    let (status, body) = read(&answer).ok_or_else(|| Failure::failed("the hub's answer makes no sense"))?;
    if (200..300).contains(&status) {
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        return serde_json::from_slice(body)
            .map_err(|error| Failure::failed(format!("the hub's answer is not understood: {}", with_causes(&error))));
    }
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = value.get("message").and_then(Value::as_str);
    let text = message.map_or_else(|| format!("the hub answers with {status}"), str::to_owned);
    Err(if (400..500).contains(&status) { Failure::refused(text) } else { Failure::failed(text) })
}

/// The status and the body of an answer.
fn read(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let is_chunked = head.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    let body = &answer[end + 4..];
    Some((status, if is_chunked { unchunk(body)? } else { body.to_vec() }))
}

/// The content of a body that was sent in parts.
fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let end = body.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?.split(';').next()?.trim(), 16).ok()?;
        let part = body.get(end + 2..)?.get(..size)?;
        if size == 0 {
            return Some(content);
        }
        content.extend(part);
        body = body.get(end + 2 + size + 2..)?;
    }
}

/// A value, fit for a query.
pub(crate) fn quoted(text: &str) -> String {
    let quote = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(quote).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_both_forms() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(read(whole), Some((200, b"{}".to_vec())));
        let parts = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n";
        assert_eq!(read(parts), Some((404, b"{}".to_vec())));
        for length in 0..parts.len() - 5 {
            assert_eq!(read(&parts[..length]), None, "cut at {length}");
        }
    }

    #[test]
    fn queries_are_quoted() {
        assert_eq!(quoted("ring=früh & more"), "ring%3Dfr%C3%BCh%20%26%20more");
    }
}
