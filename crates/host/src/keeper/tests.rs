use super::*;
use crate::process::Exits;
use std::{
    fs::{self, File},
    io::Read as _,
    os::fd::AsFd as _,
    sync::mpsc,
    time::Duration,
};

fn job(folder: &tempfile::TempDir, script: &str) -> Job {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(folder.path().join("run")).unwrap();
    let args = ["/bin/sh", "-c", script].map(|arg| arg.as_bytes().to_vec()).to_vec();
    Job {
        program: Program {
            args: args.into(),
            env: vec![b"PATH=/bin:/usr/bin".to_vec()].into(),
            working_dir: "/".into(),
        },
        namespaces: (libc::CLONE_NEWPID | libc::CLONE_NEWNET) as u64,
        open_files: OpenFiles { soft: 64, hard: 64 },
        stop_signal: libc::SIGTERM,
        log: Log { path: at("log"), bytes_max: 1 << 20, files_max: 2 },
        directory: at("run"),
        ..Job::default()
    }
}

#[test]
fn an_instance_lives_on_its_own() {
    assert_eq!(Keepers::origin(), Origin::Embedded, "this test needs the target for static musl");
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let created =
        Keepers::new().unwrap().create(&job(&folder, "trap 'exit 5' TERM; while :; do sleep 0.01; done"), &[]).unwrap();
    let own = File::open("/proc/self/ns/net").unwrap().metadata().unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_ne!(created.network().unwrap().metadata().unwrap().ino(), own.ino());
    created.go().unwrap();
    let process = Process::read(&run).unwrap().unwrap();
    // What parents an instance can't be changed from in there.
    let exe = File::options().write(true).open(format!("/proc/{}/exe", process.keeper.pid));
    assert!(exe.is_err(), "{exe:?}");
    let (sender, ended) = mpsc::channel();
    Exits::new().unwrap().watch(process.keeper, move || sender.send(()).unwrap()).unwrap();
    assert!(ended.recv_timeout(Duration::from_millis(50)).is_err());
    Client::connect(&run).unwrap().stop().unwrap();
    ended.recv().unwrap();
    assert_eq!(Exit::read(&run).unwrap().unwrap().code, 5);
    assert!(matches!(Client::connect(&run), Err(AskError::Gone(_))));
}

#[test]
fn what_fails_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let keepers = Keepers::new().unwrap();
    let mut wrong = job(&folder, "");
    wrong.program.args = vec![b"/nosuch".to_vec()].into();
    let error = keepers.create(&wrong, &[]).unwrap().go().unwrap_err();
    assert_eq!(error.to_string(), "could not execute /nosuch: No such file or directory (os error 2)");
    let mut wrong = job(&folder, "");
    wrong.directory = "/nosuch".to_owned();
    assert!(keepers.create(&wrong, &[]).unwrap_err().to_string().starts_with("could not listen in /nosuch"));
}

#[test]
fn an_instance_that_was_not_let_go_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let created = Keepers::new().unwrap().create(&job(&folder, "sleep 100"), &[]).unwrap();
    let process = Process::read(&folder.path().join("run")).unwrap().unwrap();
    let (sender, ended) = mpsc::channel();
    let exits = Exits::new().unwrap();
    for life in [process.keeper, process.first] {
        let sender = sender.clone();
        exits.watch(life, move || sender.send(()).unwrap()).unwrap();
    }
    drop(created);
    ended.recv().unwrap();
    ended.recv().unwrap();
}

#[test]
fn ports_are_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    Keepers::new().unwrap().create(&job(&folder, "sleep 100"), &[]).unwrap().go().unwrap();
    let client = Client::connect(&folder.path().join("run")).unwrap();
    assert!(client.lend(80).unwrap().is_none());
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = Forward { port: 80, address: 0, to: 1 };
    client.listen(forward, socket.as_fd()).unwrap();
    let lent = std::net::TcpListener::from(client.lend(80).unwrap().unwrap());
    assert_eq!(lent.local_addr().unwrap(), socket.local_addr().unwrap());
    client.unlisten(80).unwrap();
    assert!(client.lend(80).unwrap().is_none());
    client.signal(libc::SIGKILL).unwrap();
}

#[test]
fn another_program_needs_a_root() {
    let folder = tempfile::tempdir().unwrap();
    Keepers::new().unwrap().create(&job(&folder, "sleep 100"), &[]).unwrap().go().unwrap();
    let client = Client::connect(&folder.path().join("run")).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    let streams = Streams::Given([null.as_fd(), writer.as_fd(), writer.as_fd()]);
    let error = client.exec(Exec::default(), &streams).unwrap_err();
    assert!(matches!(error, AskError::Failed(ref failure) if failure.errno == libc::ENOTSUP), "{error}");
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    Client::connect(&folder.path().join("run")).unwrap().signal(libc::SIGKILL).unwrap();
}

#[test]
fn descriptors_are_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let script = "echo three >&3; echo four >&4; ls /proc/self/fd >&4";
    let created = Keepers::new().unwrap().create(&job(&folder, script), &[writer.as_fd(), writer.as_fd()]).unwrap();
    drop(writer);
    created.go().unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    // The fifth is the folder that is listed.
    assert_eq!(text, "three\nfour\n0\n1\n2\n3\n4\n5\n");
}
