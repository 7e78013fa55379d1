//! A PostgreSQL server of Debian's, with an authority of its own.

use crate::{
    certificates,
    ports::{HostPort, host_port},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown},
};
use std::{
    fs::{self, File, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The user that the server runs as, and its database user: with all rights there.
const USER: &str = "postgres";
const PASSWORD: &str = "not so secret";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A server, until it is dropped.
pub struct Postgres {
    folder: TempDir,
    port: HostPort,
    server: Mutex<Option<Child>>,
    fsync: &'static str,
    databases: AtomicUsize,
}

impl Postgres {
    /// Makes one, starts it, and returns when it answers. What it confirms is on the disk, as in production.
    pub fn start() -> Self {
        Self::make("on")
    }

    fn make(fsync: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let postgres =
            Self { folder, port: host_port(), server: Mutex::default(), fsync, databases: AtomicUsize::new(0) };
        postgres.back();
        postgres
    }

    /// That of tests which run at the same time. It is gone with the last of them, so it doesn't wait for the disk.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let postgres = Arc::new(Self::make("off"));
            *shared = Arc::downgrade(&postgres);
            postgres
        })
    }

    /// A new and empty database: its name.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.query("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// How a database is reached through the server's socket.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@/{database}?host={}&port={}", self.folder.path().display(), self.port.number)
    }

    /// How it is reached over the network, by a password; the server shows a certificate for `localhost`.
    pub fn tcp_url(&self, database: &str, host: &str, settings: &str) -> String {
        format!("postgres://{USER}:{}@{host}:{}/{database}?{settings}", PASSWORD.replace(' ', "%20"), self.port.number)
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What `psql` prints for a query.
    pub fn query(&self, database: &str, query: &str) -> String {
        let mut psql = self.command("psql");
        psql.args(["--no-psqlrc", "-qtA", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query]);
        let output = psql.output().unwrap();
        assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// As when it is shut down: connections are closed.
    pub fn stop(&self) {
        self.end(Signal::SIGINT);
    }

    /// As when it crashes.
    pub fn kill(&self) {
        self.end(Signal::SIGKILL);
    }

    /// Stops all of it where it is, connections and all, or lets it go on.
    pub fn freeze(&self, is_frozen: bool) {
        let signal = if is_frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        let postmaster = self.server.lock().unwrap().as_ref().unwrap().id().to_string();
        let output = Command::new("pgrep").args(["-P", &postmaster]).output().unwrap();
        let children = String::from_utf8(output.stdout).unwrap();
        for pid in children.split_whitespace().chain([postmaster.as_str()]) {
            // One may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid.parse().unwrap()), signal);
        }
    }

    /// Starts it again, and returns when it answers.
    pub fn back(&self) {
        let end = Instant::now() + PATIENCE;
        let mut server = self.server.lock().unwrap();
        loop {
            let is_running = server.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none());
            // Right after a crash, what is left of it may be in the way for a moment.
            if !is_running {
                *server = Some(self.spawn());
            }
            if self.command("pg_isready").arg("-q").status().unwrap().success() {
                return;
            }
            assert!(Instant::now() < end, "PostgreSQL doesn't start: {}", self.log());
            thread::sleep(PAUSE);
        }
    }

    fn spawn(&self) -> Child {
        let folder = self.folder.path();
        let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        let settings = [
            format!("port={}", self.port.number),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", folder.display()),
            format!("fsync={}", self.fsync),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", at("server.pem")),
            format!("ssl_key_file={}", at("server.key")),
        ];
        let mut command = as_user(&program("postgres"));
        command.arg("-D").arg(folder.join("data"));
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap_or_else(|error| panic!("starting PostgreSQL: {error}"))
    }

    fn command(&self, name: &str) -> Command {
        let mut command = as_user(&program(name));
        command.arg("-h").arg(self.folder.path()).args(["-p", &self.port.number.to_string(), "-U", USER]);
        command
    }

    fn end(&self, signal: Signal) {
        let Some(mut child) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // It isn't waited for yet, so it is still this one.
        let _ = kill(Pid::from_raw(child.id().try_into().unwrap()), signal);
        let _ = child.wait();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An end in order takes its own processes along.
        self.end(Signal::SIGINT);
    }
}

fn prepare(folder: &Path) {
    let user = User::from_name(USER).unwrap().expect("this test needs Debian's postgresql: there is no user for it");
    certificates::authority(folder, "ca");
    certificates::server(folder, "DNS:localhost");
    fs::write(folder.join("password"), PASSWORD).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    for path in ["", "server.pem", "server.key", "password"] {
        chown(&folder.join(path), Some(user.uid), Some(user.gid)).unwrap();
    }
    let mut initdb = as_user(&program("initdb"));
    initdb.arg("-D").arg(folder.join("data")).arg("--pwfile").arg(folder.join("password"));
    initdb.args(["-E", "UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]);
    let output = initdb.output().unwrap();
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
}

/// A command of the server's user.
fn as_user(program: &Path) -> Command {
    let user = User::from_name(USER).unwrap().expect("this test needs Debian's postgresql: there is no user for it");
    let mut command = Command::new(program);
    command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir("/");
    command
}

/// Of the newest release that is installed: Debian has them side by side.
fn program(name: &str) -> PathBuf {
    let releases = fs::read_dir("/usr/lib/postgresql").expect("this test needs Debian's postgresql");
    let release = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = releases.map(|entry| entry.unwrap().path()).filter(|path| path.join("bin/initdb").exists());
    newest.max_by_key(release).expect("this test needs Debian's postgresql").join("bin").join(name)
}
