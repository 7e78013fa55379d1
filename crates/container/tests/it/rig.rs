//! What an agent does around a runtime: a root, an instance's directory, control group and log, a keeper.

use crate::image;
use abide_container::Containers;
use abide_host::{
    cgroup::{Group, Hierarchies},
    fs::Dir,
    keeper::{Client, Ended, Exec, Exit, Keepers, List, Log, Process, Program, Streams},
    mount,
    process::Exits,
    root::Paths,
};
use abide_image::{Images, Options};
use abide_instance::{Launch, Place, Runtime as _, Volumes};
use abide_lab::oci::{Config, Files, Layer};
use abide_reconcile::{
    Attend, Backend as _, Fault, InstanceId, Kind, Order, Owner, Progress, Reclaim, Scope, SourceId, Step, Ticket,
    Unit, Want,
    spec::{self, Context, MemoryTree, kind::Grants},
};
use serde_json::json;
use std::{
    cell::Cell,
    fs::{self, File},
    io::Read as _,
    net::Ipv4Addr,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

const EPOCH: u64 = 1;
/// Nothing here takes long, but the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A root with a runtime.
pub(crate) struct Rig {
    folder: tempfile::TempDir,
    pub(crate) paths: Paths,
    pub(crate) containers: Containers,
    volumes: Arc<Volumes>,
    keepers: Keepers,
    /// As a spec names it, with a shell in it.
    pub(crate) image: String,
    count: Cell<u64>,
}

/// A container that was launched, and lives as long as this.
pub(crate) struct Running<'a> {
    rig: &'a Rig,
    pub(crate) place: Place,
    pub(crate) unit: Unit,
    log: PathBuf,
    group: Group,
    hierarchies: Hierarchies,
    pub(crate) process: Process,
}

/// Somebody who waits patiently, and nobody who does.
pub(crate) struct Waiting(pub(crate) bool);

impl Attend for Waiting {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        !self.0
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("container-").tempdir().unwrap();
        let paths = Paths::of(Some(folder.path())).make().unwrap();
        fs::create_dir(paths.state.join("files")).unwrap();
        let image = write(&folder.path().join("image"), &[image::base()], &Config::default());
        let ((containers, volumes), keepers) = (open(&paths), Keepers::new().unwrap());
        Self { folder, paths, containers, volumes, keepers, image, count: Cell::new(0) }
    }

    /// What another start of the agent has, once the one before is gone.
    pub(crate) fn again(self) -> Self {
        let Self { folder, paths, containers, keepers, image, count, .. } = self;
        drop(containers);
        let (containers, volumes) = open(&paths);
        Self { folder, paths, containers, volumes, keepers, image, count }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An image with a shell, and this over it.
    pub(crate) fn image_with(&self, files: Files, config: &Config) -> String {
        self.image_of(&[image::base(), files.layer()], config)
    }

    pub(crate) fn image_of(&self, layers: &[Layer], config: &Config) -> String {
        write(&self.path(&format!("image-{}", self.next())), layers, config)
    }

    fn next(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// A container that runs a script, with more fields of its spec as YAML, and more documents.
    pub(crate) fn script(&self, script: &str, fields: &str) -> Unit {
        let (fields, documents) = fields.split_once("\n---\n").unwrap_or((fields, ""));
        let command = json!(["/bin/sh", "-c", script]);
        self.unit(&format!("command: {command}\n{fields}"), documents)
    }

    pub(crate) fn unit(&self, fields: &str, documents: &str) -> Unit {
        let image = if fields.contains("image:") { String::new() } else { format!("\n  image: \"{}\"", self.image) };
        let fields: String = fields.lines().flat_map(|line| ["\n  ", line]).collect();
        let head = "apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {name: web}\nspec:";
        let grants = Grants {
            host_paths: vec!["/".to_owned()],
            host_network: true,
            privileged: true,
            insecure_registries: insecure(&fields),
            ..Grants::default()
        };
        let scope = Scope::new("test").unwrap();
        let context = Context::plain(&scope, &grants);
        let text = format!("{head}{image}{fields}\n---\n{documents}");
        let tree = MemoryTree([("all.yaml".to_owned(), Arc::from(text.as_bytes()))].into());
        let parsed = spec::parse(&tree, context).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:#?}"));
        let of_kind = |kind| parsed.units.iter().filter(move |unit| unit.kind() == kind);
        of_kind(Kind::Volume).for_each(|volume| self.take_up(volume));
        Unit::clone(of_kind(Kind::Container).next().unwrap())
    }

    fn take_up(&self, volume: &Arc<Unit>) {
        let owner = Owner { source: SourceId(volume.id.scope.clone()), reclaim: Reclaim::Keep };
        let step = Step::Start { want: Arc::new(Want::new(Arc::clone(volume))), owner, attempt: 0 };
        let ticket = Ticket { epoch: EPOCH, n: self.next() };
        self.volumes.run(&Order { ticket, unit: volume.id.clone(), step, stamp: 0 }, &Waiting(true)).unwrap();
    }

    pub(crate) fn place(&self, unit: &Unit) -> Place {
        let instance = InstanceId { epoch: EPOCH, n: self.next() };
        let dir = self.paths.units().join(format!("unit/{instance}"));
        fs::create_dir_all(&dir).unwrap();
        let address = Some(Ipv4Addr::new(10, 9, 8, 7));
        Place { unit: unit.id.clone(), instance, dir, address, gateway: Ipv4Addr::new(10, 9, 8, 1), prefix: 24 }
    }

    /// Prepares and launches it.
    pub(crate) fn start(&self, unit: Unit) -> Result<Running<'_>, Fault> {
        self.containers.prepare(&unit, &Waiting(true))?;
        let place = self.place(&unit);
        let Launch { mut job, .. } = self.containers.launch(&place, &unit)?;
        let hierarchies = Hierarchies::detect().unwrap();
        let name = self.folder.path().file_name().unwrap().to_str().unwrap();
        let group = hierarchies.create(name, &place.instance.to_string()).unwrap();
        group.allow_devices(&self.containers.devices()).unwrap();
        group.set(&self.containers.limits(&unit)).unwrap();
        let procs = group.folders().into_iter().map(|folder| folder.join("cgroup.procs").to_str().unwrap().to_owned());
        job.cgroups = procs.collect::<Vec<_>>().into();
        let log = place.dir.join("log");
        job.log = Log { path: log.to_str().unwrap().to_owned(), bytes_max: 1 << 20, files_max: 2 };
        job.directory = place.dir.to_str().unwrap().to_owned();
        let mut running = Running { rig: self, place, unit, log, group, hierarchies, process: Process::default() };
        let again = |error: abide_host::keeper::SpawnError| Fault::Again(error.to_string().into());
        self.keepers.create(&job, &[]).and_then(abide_host::keeper::Created::go).map_err(again)?;
        running.process = Process::read(&running.place.dir).unwrap().unwrap();
        Ok(running)
    }

    /// Runs it to its end: the exit code, and what it printed.
    pub(crate) fn run(&self, unit: Unit) -> (i32, Vec<String>) {
        let running = self.start(unit).unwrap_or_else(|fault| panic!("{fault}"));
        (running.wait(), running.printed())
    }

    /// Runs a script in a container with these fields, whose lines are compared.
    pub(crate) fn check(&self, script: &str, fields: &str, expected: &[&str]) {
        let (code, printed) = self.run(self.script(script, fields));
        assert_eq!((code, printed), (0, expected.iter().map(ToString::to_string).collect()), "{script}");
    }

    /// What is said about a container that can't be.
    pub(crate) fn refused(&self, unit: Unit) -> Fault {
        match self.start(unit) {
            Ok(_) => panic!("it was started"),
            Err(fault) => fault,
        }
    }
}

impl Running<'_> {
    /// Waits for its end; the exit code.
    pub(crate) fn wait(&self) -> i32 {
        let (sender, ended) = mpsc::channel();
        Exits::new().unwrap().watch(self.process.keeper, move || sender.send(()).unwrap()).unwrap();
        ended.recv_timeout(PATIENCE).expect("the container goes on");
        Exit::read(&self.place.dir).unwrap().expect("the keeper left no record").code
    }

    /// Lines of the log, without time and stream.
    pub(crate) fn printed(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap();
        text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned()).collect()
    }

    /// Runs another program in there: what it printed.
    pub(crate) fn exec(&self, args: &[&str]) -> String {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let streams = Streams::Given([null.as_fd(), writer.as_fd(), writer.as_fd()]);
        let args = List(args.iter().map(|arg| arg.as_bytes().to_vec()).collect());
        let exec = Exec { program: Program { args, ..Program::default() }, terminal: None };
        let running = Client::connect(&self.place.dir).unwrap().exec(exec, &streams).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(matches!(running.wait(Some(PATIENCE)).unwrap(), Ended::Code(_)), "it goes on");
        text
    }
}

/// Whatever a test did, nothing of the container is left.
impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.process != Process::default() {
            drop(Client::connect(&self.place.dir).and_then(|client| client.signal(libc::SIGKILL)));
            self.wait();
        }
        self.group.remove().unwrap();
        let name = self.rig.folder.path().file_name().unwrap().to_str().unwrap();
        self.hierarchies.remove_parent(name);
        self.rig.containers.clear_away(&self.place).unwrap();
        assert!(mount::below(&self.rig.paths.run).unwrap().is_empty());
    }
}

fn open(paths: &Paths) -> (Containers, Arc<Volumes>) {
    let options = Options::default();
    let images = Images::open(&paths.state.join("images"), &paths.state.join("files"), options).unwrap();
    let volumes = Arc::new(Volumes::open(&Dir::open(&paths.state).unwrap(), EPOCH).unwrap());
    (Containers::new(Arc::new(images), Arc::clone(&volumes), paths).unwrap(), volumes)
}

/// An image as a layout; its name for a spec.
fn write(at: &Path, layers: &[Layer], config: &Config) -> String {
    abide_lab::oci::image(config, layers).write_layout(at, "test");
    format!("oci:{}", at.display())
}

/// The registry of an image on this machine, which is spoken to by http.
fn insecure(fields: &str) -> Vec<String> {
    let images = fields.lines().filter_map(|line| line.trim_start().strip_prefix("image: 127.0.0.1:"));
    images.filter_map(|image| Some(format!("127.0.0.1:{}", image.split_once('/')?.0))).collect()
}

/// Every file below a folder with this text in it.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() && fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}
