//! As much of an HTTP client as tests need, and no retry in it: what is lost is to be seen.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Whoever doesn't answer for so long doesn't answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// As 200.
    pub status: u16,
    /// All of it.
    pub body: String,
}

/// A connection that is kept while both sides want it.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

/// Asks once, on a connection of its own.
pub fn get(at: SocketAddr, path: &str) -> io::Result<Answer> {
    Connection::open(at)?.get(path, Keep::No).map(|(answer, _)| answer)
}

/// Whether there is to be another request, or can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The connection stays.
    Yes,
    /// This is the last.
    No,
}

impl Connection {
    /// Connects.
    pub fn open(at: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&at, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Asks, and says what is answered and whether the server keeps the connection.
    pub fn get(&mut self, path: &str, keep: Keep) -> io::Result<(Answer, Keep)> {
        let wish = if keep == Keep::Yes { "keep-alive" } else { "close" };
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: {wish}\r\n\r\n");
        self.reader.get_mut().write_all(request.as_bytes())?;
        let wrong = |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("this is no answer: {line:?}"));
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| wrong(&first))?;
        let (mut length, mut kept) = (None, keep);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                _ if line.is_empty() => break,
                Some(("content-length", value)) => length = value.parse().ok(),
                Some(("connection", "close")) => kept = Keep::No,
                _ => (),
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => {
                (&mut self.reader).take(length).read_to_end(&mut body)?;
                if body.len() as u64 != length {
                    return Err(wrong("its end is missing"));
                }
            }
            // Without a length, the end of the connection ends it.
            None => {
                self.reader.read_to_end(&mut body)?;
                kept = Keep::No;
            }
        }
        Ok((Answer { status, body: String::from_utf8_lossy(&body).into_owned() }, kept))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
