//! The runtime behind real instances: keeper, control group, bridge and volumes are what they are in an agent.

use crate::rig::PATIENCE;
use abide_host::root::{Paths, Root};
use abide_instance::{Ground, Instances, instance_directory, log_file};
use abide_lab::{Traces, http};
use abide_reconcile::{
    Attend, Backend as _, Fault, Found, InstanceId, Look, Name, Order, Owner, Phase, Progress, Reclaim, Scope,
    SourceId, Step, Ticket, Unit, UnitId, Want,
    spec::{self, Context, MemoryTree, kind::Grants},
};
use abide_vm::VirtualMachines;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

/// A machine with a disk, whose kernel is the guest.
const DOCUMENTS: &str = "
apiVersion: abide.dev/v1alpha1
kind: VirtualMachine
metadata: {name: db}
spec:
  boot: {kernel: {file: images/guest}, cmdline: console=ttyS0}
  resources: {cpu: 2, memory: 32Mi}
  disks: [{volume: db}]
  stopGracePeriod: 60s
---
apiVersion: abide.dev/v1alpha1
kind: Volume
metadata: {name: db}
spec: {form: Disk, size: 1Mi}
";

struct Nobody;

impl Attend for Nobody {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// A root, an agent on it, and the units of some documents.
struct Rig {
    folder: tempfile::TempDir,
    paths: Paths,
    ground: Arc<Ground>,
    instances: Instances<VirtualMachines>,
    hints: mpsc::Receiver<UnitId>,
    machine: Arc<Unit>,
    volume: Option<Arc<Unit>>,
    tickets: u64,
}

impl Rig {
    /// With this file of the repository as `images/guest`.
    fn new(documents: &str, guest: &[u8]) -> Self {
        let folder = tempfile::Builder::new().prefix("vm-").tempdir().unwrap();
        let paths = Paths::of(Some(folder.path())).make().unwrap();
        let (sender, hints) = mpsc::channel();
        let hint = move |unit| drop(sender.send(unit));
        let ground = Ground::open(Root::open(&paths).unwrap(), 1, hint).unwrap();
        let (units, files) = parse(documents, guest);
        let store = paths.state.join("files");
        fs::create_dir(&store).unwrap();
        for (digest, bytes) in files {
            fs::write(store.join(digest), bytes).unwrap();
        }
        let program = Path::new(env!("CARGO_BIN_EXE_abide-vmm"));
        let runtime = VirtualMachines::new(Arc::clone(ground.volumes()), &store, program);
        let instances = Instances::new(Arc::clone(&ground), runtime);
        let of_kind = |kind: &str| units.iter().find(|unit| unit.id.kind.to_string() == kind).cloned();
        let (machine, volume) = (of_kind("VirtualMachine").unwrap(), of_kind("Volume"));
        Self { folder, paths, ground, instances, hints, machine, volume, tickets: 0 }
    }

    fn order(&mut self, unit: &UnitId, step: Step) -> Order {
        self.tickets += 1;
        Order { ticket: Ticket { epoch: 1, n: self.tickets }, unit: unit.clone(), step, stamp: 0 }
    }

    fn run(&mut self, step: Step) -> Result<InstanceId, Fault> {
        let id = self.machine.id.clone();
        let order = self.order(&id, step);
        self.instances.run(&order, &Nobody).map(|()| order.ticket)
    }

    fn make_volume(&mut self) {
        let volume = self.volume.clone().unwrap();
        let start = Step::Start { want: Arc::new(Want::new(Arc::clone(&volume))), owner: owner(), attempt: 0 };
        let order = self.order(&volume.id, start);
        self.ground.volumes().run(&order, &Nobody).unwrap();
    }

    fn want(&self) -> Arc<Want> {
        Arc::new(Want::new(Arc::clone(&self.machine)))
    }

    fn prepare(&mut self) -> Result<InstanceId, Fault> {
        self.run(Step::Prepare { want: self.want() })
    }

    fn start(&mut self) -> Result<InstanceId, Fault> {
        self.run(Step::Start { want: self.want(), owner: owner(), attempt: 0 })
    }

    fn found(&self) -> Option<Found> {
        let id = &self.machine.id;
        self.instances.observe(&Look::Units([id.clone()].into())).unwrap().remove(id)
    }

    /// Waits, hint by hint, for the end of an instance; its exit code.
    fn exit_code(&self, instance: InstanceId) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let instances = self.found().unwrap().instances;
            let seen = instances.iter().find(|seen| seen.instance == instance).unwrap();
            if let Phase::Exited { code, .. } = seen.phase {
                return code;
            }
            self.hints.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap();
        }
    }

    /// Somebody at the console, who waits until a line is said.
    fn console(&self, instance: InstanceId, line: &str) -> UnixStream {
        let path = instance_directory(&self.paths, &self.machine.id, instance).join("console.sock");
        let deadline = Instant::now() + PATIENCE;
        let mut console = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}: {:?}", self.log(instance)),
            }
            // Nothing tells that a socket is there.
            std::thread::sleep(Duration::from_millis(5));
        };
        console.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut said, mut bytes) = (String::new(), [0; 4096]);
        while !said.contains(&format!("{line}\n")) {
            let length = console.read(&mut bytes).unwrap();
            assert_ne!(length, 0, "{said}");
            said.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        console
    }

    fn log(&self, instance: InstanceId) -> Option<String> {
        fs::read_to_string(log_file(&self.paths, &self.machine.id, instance)).ok()
    }

    fn address(&self, instance: InstanceId) -> SocketAddr {
        let inspected = self.ground.inspect(&self.machine.id, instance).unwrap();
        SocketAddr::from((inspected.address.unwrap(), 80))
    }

    fn tear_down(&mut self) {
        self.run(Step::Forget { reclaim: Reclaim::Keep }).unwrap();
        self.ground.tear_down().unwrap();
        let traces = Traces::of(self.folder.path());
        assert!(traces.is_empty(), "{traces:?}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A test that fails leaves nothing running; what can't be stopped is told by the failure itself.
        for seen in self.found().into_iter().flat_map(|found| found.instances) {
            drop(self.run(Step::Kill { instance: seen.instance }));
            drop(self.run(Step::Stop { instance: seen.instance }));
        }
        drop(self.ground.tear_down());
    }
}

type Files = Vec<(String, Arc<[u8]>)>;

fn parse(documents: &str, guest: &[u8]) -> (Vec<Arc<Unit>>, Files) {
    let tree = [("all.yaml".to_owned(), documents.as_bytes()), ("images/guest".to_owned(), guest)];
    let tree = MemoryTree(tree.map(|(path, bytes)| (path, Arc::from(bytes))).into());
    let grants = Grants { host_paths: vec!["/".to_owned()], ..Grants::default() };
    let scope = Scope::new("test").unwrap();
    let context = Context::plain(&scope, &grants);
    let parsed = spec::parse(&tree, context).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let files = parsed.files.into_iter().map(|(digest, bytes)| (digest.to_string(), bytes));
    (parsed.units, files.collect())
}

fn owner() -> Owner {
    Owner { source: SourceId(Name::new("infra").unwrap()), reclaim: Reclaim::Keep }
}

fn guest() -> Vec<u8> {
    fs::read(abide_lab::guest()).unwrap()
}

#[test]
fn a_machine_from_start_to_nothing() {
    let mut rig = Rig::new(DOCUMENTS, &guest());
    rig.prepare().unwrap();
    let Err(Fault::Again(why)) = rig.start() else { panic!("it started without its disk") };
    assert_eq!(&*why, "Volume/db is not there");
    rig.make_volume();
    let instance = rig.start().unwrap();
    let mut console = rig.console(instance, "ready");
    // On its network, by the name and address that it was told.
    let answer = http::get(rig.address(instance), "/").unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello from db\n"));
    console.write_all(b"echo typed\n").unwrap();
    drop(console);
    drop(rig.console(instance, "typed"));
    rig.run(Step::Stop { instance }).unwrap();
    let log = rig.log(instance).unwrap();
    for line in ["cpus: 2", "disk 0: 2048 sectors, boot 1", "power button", "the guest switched itself off"] {
        assert!(log.contains(line), "{line}: {log}");
    }

    // The disk is a volume's, so the next instance has it.
    let instance = rig.start().unwrap();
    drop(rig.console(instance, "disk 0: 2048 sectors, boot 2"));
    rig.run(Step::Stop { instance }).unwrap();
    rig.tear_down();
}

#[test]
fn a_machine_that_is_killed_leaves_its_tombstone_and_nothing_else() {
    let mut rig = Rig::new(DOCUMENTS, &guest());
    rig.make_volume();
    let instance = rig.start().unwrap();
    drop(rig.console(instance, "ready"));
    let pid = rig.ground.inspect(&rig.machine.id, instance).unwrap().pid.unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(rig.exit_code(instance), 137);
    rig.run(Step::Stop { instance }).unwrap();

    let instance = rig.start().unwrap();
    rig.console(instance, "ready").write_all(b"crash\n").unwrap();
    assert_eq!(rig.exit_code(instance), 2);
    rig.run(Step::Stop { instance }).unwrap();
    rig.tear_down();
}

#[test]
fn a_machine_that_cannot_be_stopped_gently_is_killed() {
    let documents = DOCUMENTS.replace("60s", "100ms");
    let mut rig = Rig::new(&documents, &guest());
    rig.make_volume();
    let instance = rig.start().unwrap();
    rig.console(instance, "ready").write_all(b"spin\n").unwrap();
    rig.run(Step::Stop { instance }).unwrap();
    rig.tear_down();
}

#[test]
fn what_cannot_boot_is_found_while_it_is_prepared() {
    let cases: [(&str, &str, &[u8], &str); 4] = [
        ("", "", b"#!/bin/sh\n", "it is neither an ELF nor a bzImage"),
        ("", "", b"", "the kernel cannot be booted: the file is empty"),
        ("file: images/guest", "hostPath: /proc/self/exe", &guest(), "a symbolic link, which is not followed"),
        ("file: images/guest", "hostPath: /nosuch", &guest(), "cannot open /nosuch: No such file"),
    ];
    for (from, to, guest, expected) in cases {
        let mut rig = Rig::new(&DOCUMENTS.replace(from, to), guest);
        let (Fault::Never(why) | Fault::Again(why)) = rig.prepare().unwrap_err() else { panic!("{expected}") };
        assert!(why.contains(expected), "{expected}: {why}");
    }
}
