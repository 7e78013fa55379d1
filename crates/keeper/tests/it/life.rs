//! Start, exit, kill, signals, exec, ports.

use crate::rig::{PATIENCE, Rig, program, until};
use abide_keeper::{
    message::{Exec, Forward, Making, Reply, Request, Window},
    record::{Exit, Life},
};
use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
};

#[test]
fn output_and_exit_code_are_kept() {
    let (code, printed) = Rig::new("echo out; echo err >&2; exit 3").run();
    assert_eq!(code, 3);
    assert!(
        printed.contains(&"stdout F out".to_owned()) && printed.contains(&"stderr F err".to_owned()),
        "{printed:?}"
    );
}

#[test]
fn a_signal_is_an_exit_code() {
    let (code, _) = Rig::new("kill -9 $$; kill -KILL -1; sleep 1; exit 7").run();
    // Process 1 of a namespace can't kill itself, so it goes on.
    assert_eq!(code, 7);
    let mut rig = Rig::new("echo up; sleep 100");
    rig.start().unwrap();
    rig.wait_for_line("stdout F up");
    assert_eq!(rig.connect().ask(&Request::Signal(libc::SIGKILL)), Reply::Done);
    rig.wait();
    assert_eq!(Exit::read(&rig.path("run")).unwrap().unwrap().code, 137);
}

#[test]
fn it_is_asked_to_stop_as_the_job_says() {
    let mut rig = Rig::new("trap 'echo bye; exit 0' USR1; echo up; while :; do sleep 1 & wait; done");
    rig.job.stop_signal = libc::SIGUSR1;
    rig.start().unwrap();
    rig.wait_for_line("stdout F up");
    assert_eq!(rig.connect().ask(&Request::Stop), Reply::Done);
    rig.wait();
    assert_eq!(Exit::read(&rig.path("run")).unwrap().unwrap().code, 0);
    assert_eq!(rig.printed(), ["stdout F up", "stdout F bye"]);
}

#[test]
fn what_can_not_start_says_why() {
    let mut rig = Rig::new("");
    rig.job.program = program(&["nosuch"]);
    assert_eq!(
        rig.start().unwrap_err().to_string(),
        "could not execute nosuch: No such file or directory (os error 2)"
    );
    let mut rig = Rig::new("");
    rig.job.program = program(&["/etc"]);
    assert_eq!(rig.start().unwrap_err().errno, libc::EACCES);
    let mut rig = Rig::new("");
    rig.root().base.lowers.0[0] = "/nosuch".to_owned();
    let failure = rig.start().unwrap_err();
    assert!(failure.doing.starts_with("mount the layers at"), "{failure}");
}

#[test]
fn it_is_gone_with_the_agent_unless_it_was_told_to_go() {
    let mut rig = Rig::new("echo up; sleep 100");
    rig.begin();
    let Making::Created { pid } = rig.said() else { panic!() };
    let first = Life::of(pid).unwrap();
    rig.agent = None;
    rig.wait();
    until(|| !first.is_alive());
    let mut rig = Rig::new("echo up; sleep 1; echo still");
    rig.start().unwrap();
    rig.agent = None;
    rig.wait_for_line("stdout F still");
}

#[test]
fn it_is_gone_with_its_keeper() {
    let mut rig = Rig::new("sleep 100 & echo up; sleep 100");
    rig.start().unwrap();
    rig.wait_for_line("stdout F up");
    let process = rig.process();
    assert!(process.started > 0 && process.first.is_alive());
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::kill(process.keeper.pid, libc::SIGKILL) }, 0);
    rig.wait();
    until(|| !process.first.is_alive());
    assert_eq!(Exit::read(&rig.path("run")).unwrap(), None);
}

#[test]
fn a_program_can_be_run_in_there() {
    let mut rig = Rig::new("echo up; touch /made; sleep 100; exit 1");
    rig.start().unwrap();
    rig.wait_for_line("stdout F up");
    until(|| rig.path("upper/made").exists());
    assert_eq!(rig.exec(&["sh", "-c", "ls /made; exit 4"]), ("/made\n".to_owned(), Reply::Exited(4)));
    let (_, reply) = rig.exec(&["nosuch"]);
    assert!(matches!(reply, Reply::Failed(ref failure) if failure.errno == libc::ENOENT), "{reply:?}");
    // Process ids are those of the instance.
    assert_eq!(rig.exec(&["sh", "-c", "cat /proc/1/comm"]).0, "sh\n");
}

#[test]
fn a_program_is_killed_when_its_client_goes() {
    let mut rig = Rig::new("echo up; sleep 100");
    rig.start().unwrap();
    rig.wait_for_line("stdout F up");
    let client = rig.connect();
    let null = File::open("/dev/null").unwrap();
    let exec = Exec { program: program(&["sleep", "77"]), terminal: None };
    client.send(&Request::Exec(exec), &[null.as_raw_fd(); 3]);
    assert_eq!(client.receive().0, Reply::Started);
    let count = || rig.exec(&["sh", "-c", "grep -c ^sleep.77 /proc/[0-9]*/cmdline | grep -c ':1$'"]).0;
    // One is the grep itself, whose arguments say so too.
    let before = count();
    drop(client);
    until(|| count() != before);
}

#[test]
fn a_program_can_have_a_terminal() {
    let mut rig = Rig::new("echo up; sleep 100");
    rig.start().unwrap();
    rig.wait_for_line("stdout F up");
    let client = rig.connect();
    let script = "tty; echo $TERM; stat -c %u:%g $(tty)";
    let terminal = Some(Window { rows: 24, columns: 80 });
    let exec = Exec { program: program(&["sh", "-c", script]), terminal };
    client.send(&Request::Exec(exec), &[]);
    let (reply, master) = client.receive();
    assert_eq!(reply, Reply::Here);
    assert_eq!(client.receive().0, Reply::Started);
    assert_eq!(client.receive().0, Reply::Exited(0));
    let mut text = String::new();
    // The end of a terminal is an error, not an end.
    drop(File::from(master.unwrap()).read_to_string(&mut text));
    assert_eq!(text, "/dev/pts/0\r\nxterm\r\n0:0\r\n");
}

#[test]
fn a_port_is_forwarded_and_lent() {
    let mut rig = Rig::new("sleep 100");
    rig.start().unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = u32::from(target.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in target.incoming() {
            stream.unwrap().write_all(b"hello").unwrap();
        }
    });
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = host.local_addr().unwrap();
    let client = rig.connect();
    let forward = Forward { port: 80, address: std::net::Ipv4Addr::LOCALHOST.to_bits(), to };
    client.send(&Request::Listen(forward), &[host.as_raw_fd()]);
    assert_eq!(client.receive().0, Reply::Done);
    drop(host);
    let get = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    assert_eq!(get().unwrap(), "hello");
    client.send(&Request::Lend(80), &[]);
    let (reply, socket) = client.receive();
    assert!(reply == Reply::Here && socket.is_some());
    assert!(matches!(client.ask(&Request::Lend(81)), Reply::Failed(_)));
    assert_eq!(client.ask(&Request::Unlisten(80)), Reply::Done);
    drop(socket);
    assert!(get().is_err());
}

#[test]
fn a_request_of_another_release_is_refused() {
    let mut rig = Rig::new("sleep 100");
    rig.start().unwrap();
    let client = rig.connect();
    client.send(&Request::Stop, &[]);
    assert_eq!(client.receive().0, Reply::Done);
    client.send_bytes(&[9, 9, 9, 9, 0]);
    assert!(matches!(client.receive().0, Reply::Failed(ref failure) if failure.errno == libc::EPROTO));
}
