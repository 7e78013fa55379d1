//! The server that containers run: what tests of surges count on.

use abide_lab::{Neighbour, run};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
};

struct Hello {
    child: Child,
    port: u16,
    output: BufReader<std::process::ChildStdout>,
}

impl Hello {
    fn start(environment: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(abide_lab::hello());
        command.env_clear().env("PORT", port.to_string()).envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        Self { child, port, output }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head
}

#[test]
fn it_says_who_it_is_and_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for starts in 1..=2 {
        let hello = Hello::start(&[("GREETING", "good day"), ("DATA", data)]);
        let said = hello.get("/");
        assert!(said.contains("good day\nhost: ") && said.contains(&format!("starts: {starts}\n")), "{said}");
        assert!(hello.get("/env").contains("GREETING=good day\n"));
        assert!(hello.get(&format!("/file{data}/starts")).ends_with(&format!("\n{starts}\n")));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"?", ("127.0.0.1", hello.port)).unwrap();
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"good day");
    }
}

#[test]
fn it_drains() {
    let mut hello = Hello::start(&[]);
    let kept = hello.connect();
    (&kept).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(answer(&kept).contains("keep-alive"));
    run("kill", &["-TERM", &hello.child.id().to_string()]);
    // It has heard of it when it says so.
    let mut line = String::new();
    hello.output.read_line(&mut line).unwrap();
    assert_eq!(line, "hello: SIGTERM, draining\n");
    (&kept).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(answer(&kept).contains("connection: close"));
    assert!(hello.get("/").contains("200 OK"));
    assert!(hello.child.wait().unwrap().success());
}

#[test]
fn a_neighbour_counts_every_request() {
    let (hello, neighbour) = (Hello::start(&[]), Neighbour::new());
    let (pid, port) = (hello.child.id().to_string(), hello.port);
    let ((), answers) = neighbour.load(port, || (0..50).for_each(|_| assert!(hello.get("/").contains("200 OK"))));
    assert!(answers.answered["hello"] > 0 && answers.lost.is_empty(), "{answers:?}");
    let ((), answers) = neighbour.load(port, || {
        run("kill", &["-KILL", &pid]);
        while TcpStream::connect(("127.0.0.1", port)).is_ok() {}
    });
    assert!(!answers.lost.is_empty(), "{answers:?}");
}

#[test]
fn it_misbehaves_when_told_to() {
    assert!(Hello::start(&[("READY", "never")]).get("/healthz").contains("503"));
    assert_eq!(Hello::start(&[("EXIT", "7")]).child.wait().unwrap().code(), Some(7));
    let mut hello = Hello::start(&[]);
    assert_eq!(hello.get("/fail"), "");
    assert_eq!(hello.child.wait().unwrap().code(), Some(1));
}
