//! Requests and answers.

use crate::{
    drain::Open,
    settings::{Ready, Settings},
};
use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpStream, UdpSocket},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// A request that is longer is nobody's.
const LINE_BYTES_MAX: u64 = 8 << 10;
const LINES_MAX: usize = 100;

pub(crate) struct Server {
    settings: Settings,
    starts: Option<u64>,
    requests: AtomicU64,
    began: Instant,
}

/// As far as it matters here.
struct Request {
    path: String,
    is_last: bool,
}

impl Server {
    pub(crate) fn new(settings: Settings, starts: Option<u64>) -> Self {
        Self { settings, starts, requests: AtomicU64::new(0), began: Instant::now() }
    }

    /// Answers until one of both sides wants to end.
    pub(crate) fn connection(&self, stream: &TcpStream, open: &Open) {
        let mut reader = BufReader::new(stream);
        while let Ok(Some(request)) = read(&mut reader) {
            let (status, body) = self.answer(&request.path);
            let is_last = request.is_last || open.is_last();
            if reply(stream, status, &body, is_last).is_err() || is_last {
                return;
            }
        }
    }

    fn answer(&self, path: &str) -> (&'static str, Vec<u8>) {
        match path {
            "/" => ("200 OK", self.greet().into_bytes()),
            "/healthz" if self.is_ready() => ("200 OK", b"ready\n".to_vec()),
            "/healthz" => ("503 Service Unavailable", b"not ready\n".to_vec()),
            "/env" => ("200 OK", self.settings.all.clone().into_bytes()),
            "/fail" => {
                eprintln!("hello: told to fail");
                process::exit(1)
            }
            _ => match path.strip_prefix("/file").map(fs::read) {
                Some(Ok(bytes)) => ("200 OK", bytes),
                Some(Err(error)) => ("404 Not Found", format!("{error}\n").into_bytes()),
                None => ("404 Not Found", b"nothing is here\n".to_vec()),
            },
        }
    }

    fn greet(&self) -> String {
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let starts = self.starts.map(|starts| format!("starts: {starts}\n")).unwrap_or_default();
        format!("{}\nhost: {host}\nrequests: {requests}\n{starts}", self.settings.greeting)
    }

    fn is_ready(&self) -> bool {
        match self.settings.ready {
            Ready::Never => false,
            Ready::After(delay) => self.began.elapsed() >= delay,
        }
    }
}

/// `None` is the end of the connection.
fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (Some(_), Some(path), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Ok(None);
    };
    let mut request = Request { path: path.to_owned(), is_last: version == "HTTP/1.0" };
    for _ in 0..LINES_MAX {
        let header = line(reader)?.to_ascii_lowercase();
        match header.as_str() {
            "" => return Ok(Some(request)),
            "connection: close" => request.is_last = true,
            _ => (),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn line(reader: &mut BufReader<&TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    io::Read::take(reader, LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// In one write, so that nobody sees half of it.
fn reply(mut stream: &TcpStream, status: &str, body: &[u8], is_last: bool) -> io::Result<()> {
    let connection = if is_last { "close" } else { "keep-alive" };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: {connection}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// Each packet is answered with the greeting.
pub(crate) fn packets(socket: &UdpSocket, greeting: &[u8]) {
    let mut buffer = [0; 2048];
    while let Ok((_, from)) = socket.recv_from(&mut buffer) {
        // Who asked may have gone.
        let _ = socket.send_to(greeting, from);
    }
}
