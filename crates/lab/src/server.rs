//! Servers that answer as a test wants.

use crate::oci::Parts;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A request as a server sees it.
#[derive(Clone, Debug)]
pub struct Request {
    /// With what was asked.
    pub path: String,
    /// That header's value.
    pub authorization: Option<String>,
}

/// A server for one test.
pub struct Server {
    /// Its `address:port`.
    pub address: String,
    /// All that was asked.
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` writes the whole answer of one request; the connection is closed after it.
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut stream = stream;
                    if let Some(request) = read_request(&stream) {
                        seen.lock().unwrap().push(request.clone());
                        answer(&request, &mut stream);
                    }
                });
            }
        });
        Self { address, requests }
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut authorization = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some((key, value)) = line.split_once(": ")
            && key.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.to_owned());
        }
    }
    Some(Request { path, authorization })
}

/// A whole answer.
pub fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    // Who asked may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// Answers as a registry that has this image under any tag.
pub fn serve(parts: &Parts, request: &Request, stream: &mut TcpStream) {
    let name = request.path.rsplit('/').next().unwrap();
    let digest = name.strip_prefix("sha256:").map_or(Some(parts.manifest), |hex| hex.parse().ok());
    match digest.and_then(|digest| parts.blobs.get(&digest)) {
        Some(bytes) => reply(stream, "200 OK", "", bytes),
        None => reply(stream, "404 Not Found", "", b""),
    }
}
