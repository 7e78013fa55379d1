//! One try of a probe: a connection, a request or a command, with one deadline over all of it.

use super::Try;
use crate::port::Inspector;
use abide_reconcile::spec::kind::{HttpProbe, Probe};
use std::{
    fmt,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// Longer than any status line (RFC 9112 section 4); a server may send what it likes.
const STATUS_LINE_MAX: usize = 512;

/// Why an instance isn't well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwell {
    #[error("it has no address")]
    NoAddress,
    #[error("connecting to port {port}: {source}")]
    Connect { port: u16, source: io::Error },
    #[error("asking port {port}: {source}")]
    Ask { port: u16, source: io::Error },
    #[error("the answer of port {port} is no HTTP: {begins:?}")]
    NotHttp { port: u16, begins: String },
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("the command ended with {0}")]
    Code(i32),
    #[error("the command: {0}")]
    Exec(abide_reconcile::Fault),
    #[error("the probe says neither exec nor http nor tcp")]
    Nothing,
}

/// Carries out a try. It takes the probe's timeout at most, and a little.
pub(crate) fn check(tried: &Try, inspector: &dyn Inspector) -> Result<(), Unwell> {
    let (instance, _) = tried.which;
    let Probe { exec, http, tcp, timeout, .. } = &tried.probe;
    if let Some(exec) = exec {
        return match inspector.exec(&tried.unit, instance, &exec.command, timeout.0) {
            Ok(0) => Ok(()),
            Ok(code) => Err(Unwell::Code(code)),
            Err(fault) => Err(Unwell::Exec(fault)),
        };
    }
    let address = || inspector.inspect(&tried.unit, instance).and_then(|details| details.address);
    let deadline = Instant::now() + timeout.0;
    match (http, tcp) {
        (Some(probe), _) => get(address().ok_or(Unwell::NoAddress)?, probe, deadline),
        (None, Some(tcp)) => connect(address().ok_or(Unwell::NoAddress)?, tcp.port, deadline).map(drop),
        (None, None) => Err(Unwell::Nothing),
    }
}

fn connect(address: Ipv4Addr, port: u16, deadline: Instant) -> Result<TcpStream, Unwell> {
    let failed = |source| Unwell::Connect { port, source };
    let left = left(deadline).map_err(failed)?;
    TcpStream::connect_timeout(&SocketAddr::from((address, port)), left).map_err(failed)
}

/// A GET, of whose answer the status alone is read.
fn get(address: Ipv4Addr, probe: &HttpProbe, deadline: Instant) -> Result<(), Unwell> {
    let port = probe.port;
    let mut stream = connect(address, port, deadline)?;
    let failed = |source| Unwell::Ask { port, source };
    let request = Request { host: address, port, path: &probe.path }.to_string();
    stream.set_write_timeout(Some(left(deadline).map_err(failed)?)).map_err(failed)?;
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < STATUS_LINE_MAX {
        stream.set_read_timeout(Some(left(deadline).map_err(failed)?)).map_err(failed)?;
        let mut some = [0; STATUS_LINE_MAX];
        match stream.read(&mut some).map_err(failed)? {
            0 => break,
            n => answer.extend(&some[..n]),
        }
    }
    match status(&answer) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(Unwell::Status(status)),
        None => Err(Unwell::NotHttp { port, begins: answer.iter().take(40).map(|byte| char::from(*byte)).collect() }),
    }
}

struct Request<'a> {
    host: Ipv4Addr,
    port: u16,
    path: &'a str,
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A line end in the path would begin another header.
        let path: String = self.path.chars().filter(|c| !c.is_control() && *c != ' ').collect();
        write!(f, "GET {path} HTTP/1.1\r\nHost: {}:{}\r\n", self.host, self.port)?;
        f.write_str("User-Agent: abide\r\nAccept: */*\r\nConnection: close\r\n\r\n")
    }
}

/// `HTTP/1.1 200 OK` (RFC 9112 section 4).
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    line.split(' ').nth(1)?.trim_end().parse().ok().filter(|status| (100..=599).contains(status))
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{port::Details, probe::Purpose};
    use abide_reconcile::{Fault, InstanceId, Kind, Name, UnitId};
    use std::{net::TcpListener, thread};

    struct Local;

    impl Inspector for Local {
        fn inspect(&self, _: &UnitId, _: InstanceId) -> Option<Details> {
            Some(Details { pid: None, address: Some(Ipv4Addr::LOCALHOST) })
        }

        fn exec(&self, _: &UnitId, _: InstanceId, command: &[String], _: Duration) -> Result<i32, Fault> {
            command[0].parse().map_err(|_| Fault::Again("no such command".into()))
        }
    }

    fn tried(probe: &str) -> Try {
        let name = Name::new("web").unwrap();
        let unit = UnitId { scope: name.clone(), kind: Kind::Container, name, index: 0 };
        let which = (InstanceId::default(), Purpose::Readiness);
        Try { unit, which, probe: serde_json::from_str(probe).unwrap() }
    }

    fn ask(answer: &'static [u8]) -> Result<(), Unwell> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 1000];
            let n = stream.read(&mut request).unwrap();
            assert!(request[..n].starts_with(b"GET /healthz HTTP/1.1\r\nHost: "));
            answer.iter().try_for_each(|byte| stream.write_all(&[*byte])).is_ok()
        });
        let result = check(&tried(&format!(r#"{{"http": {{"port": {port}, "path": "/healthz"}}}}"#)), &Local);
        served.join().unwrap();
        result
    }

    #[test]
    fn a_status_from_200_to_399_is_well() {
        ask(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        ask(b"HTTP/1.0 302 Found\r\n\r\n").unwrap();
        assert!(matches!(ask(b"HTTP/1.1 503 Busy\r\n\r\n"), Err(Unwell::Status(503))));
        assert!(matches!(ask(b"SSH-2.0-x\r\n"), Err(Unwell::NotHttp { .. })));
        assert!(matches!(ask(b""), Err(Unwell::NotHttp { .. })));
        assert!(matches!(ask(&[b'x'; 4000]), Err(Unwell::NotHttp { .. })));
    }

    #[test]
    fn a_connection_is_well() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let probe = tried(&format!(r#"{{"tcp": {{"port": {port}}}}}"#));
        check(&probe, &Local).unwrap();
        drop(listener);
        assert!(matches!(check(&probe, &Local), Err(Unwell::Connect { .. })));
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let probe = tried(&format!(r#"{{"http": {{"port": {port}}}, "timeout": "100ms"}}"#));
        assert!(matches!(check(&probe, &Local), Err(Unwell::Ask { .. })));
    }

    #[test]
    fn a_command_is_well_with_0() {
        check(&tried(r#"{"exec": {"command": ["0"]}}"#), &Local).unwrap();
        assert!(matches!(check(&tried(r#"{"exec": {"command": ["2"]}}"#), &Local), Err(Unwell::Code(2))));
        assert!(matches!(check(&tried(r#"{"exec": {"command": ["x"]}}"#), &Local), Err(Unwell::Exec(_))));
    }
}
