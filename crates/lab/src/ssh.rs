//! Other users, who come by ssh. They are users of one server alone: it has its own `/etc/passwd`, in a mount namespace, so the
//! machine's stays as it is.

use crate::{
    ports::{HostPort, host_port},
    run,
};
use std::{
    fs::{self, Permissions},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Belongs to [`GROUP`].
pub const MEMBER: &str = "member";
/// Belongs to nobody's group.
pub const STRANGER: &str = "stranger";
/// A group that every Debian machine has, and its number.
pub const GROUP: &str = "games";
const GROUP_NUMBER: u32 = 60;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server of Debian's openssh-server, until it is dropped.
pub struct Ssh {
    child: Child,
    port: HostPort,
    folder: tempfile::TempDir,
}

impl Ssh {
    /// Starts it, and returns when it listens.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = host_port();
        prepare(folder.path(), port.number);
        let at = folder.path().display();
        let script = format!("mount --bind {at}/passwd /etc/passwd && exec /usr/sbin/sshd -D -e -f {at}/config");
        let child = Command::new("unshare").args(["--mount", "sh", "-c", &script]).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("this test needs unshare: {error}"));
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port.number)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "sshd ended: this test needs openssh-server");
            assert!(Instant::now() < end, "sshd does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, folder }
    }

    /// A repository of this machine, as Git reaches it as this user.
    pub fn url(&self, user: &str, repository: &Path) -> String {
        format!("ssh://{user}@127.0.0.1:{}{}", self.port.number, repository.display())
    }

    /// What Git is to connect with: `GIT_SSH_COMMAND`.
    pub fn command(&self) -> String {
        let key = self.folder.path().join("key");
        format!(
            "ssh -F /dev/null -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            key.display()
        )
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prepare(folder: &Path, port: u16) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    for key in ["host", "key"] {
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]);
    }
    fs::create_dir_all("/run/sshd").unwrap();
    fs::create_dir(folder.join("home")).unwrap();
    // Git asks everybody to say that they trust the repository of another.
    fs::write(folder.join("home/.gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    let mut users = fs::read_to_string("/etc/passwd").unwrap();
    for (user, number, group) in [(MEMBER, 54_321, GROUP_NUMBER), (STRANGER, 54_322, 54_322)] {
        users += &format!("{user}:*:{number}:{group}::{}:/bin/sh\n", at("home"));
    }
    fs::write(folder.join("passwd"), users).unwrap();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nLogLevel FATAL\n",
        at("host"),
        at("key.pub")
    );
    fs::write(folder.join("config"), config).unwrap();
}
