//! Servers that misbehave.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// A server of plain http that answers each request, head and body, with what `answer` does.
/// It serves until the test's process ends.
pub(crate) fn misbehave(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, mut stream) = (answer.clone(), stream.unwrap());
            thread::spawn(move || {
                if let Some(request) = request(&mut stream) {
                    answer(&request, &mut stream);
                }
            });
        }
    });
    port
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let mut request = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
        request += std::str::from_utf8(&bytes[..read]).unwrap();
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(request);
        }
    }
}

/// An answer of HTTP.
pub(crate) fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    // Who was asked may have hung up.
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
}
