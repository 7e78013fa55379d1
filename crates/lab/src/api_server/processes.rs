//! The two programs, and the folder that they work in.

use super::assets;
use crate::{
    certificates,
    ports::{HostPort, host_port},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Processes {
    folder: TempDir,
    port: HostPort,
    etcd_ports: [HostPort; 2],
    etcd: Option<Child>,
    server: Option<Child>,
}

impl Processes {
    /// With the lines of `--token-auth-file`.
    pub(super) fn start(tokens: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates::authority(folder.path(), "ca");
        certificates::server(folder.path(), "IP:127.0.0.1,DNS:localhost");
        // What tokens of service accounts are signed with.
        let key = folder.path().join("accounts.key");
        crate::run("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key.to_str().unwrap()]);
        fs::write(folder.path().join("tokens.csv"), tokens).unwrap();
        let etcd_ports = [host_port(), host_port()];
        let mut processes = Self { folder, port: host_port(), etcd_ports, etcd: None, server: None };
        processes.back();
        processes
    }

    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port.number)
    }

    /// A file in its folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn stop(&mut self) {
        end(&mut self.server, Signal::SIGTERM);
    }

    pub(super) fn kill(&mut self) {
        end(&mut self.server, Signal::SIGKILL);
    }

    /// Starts what doesn't run, and returns when the server is ready.
    pub(super) fn back(&mut self) {
        if self.etcd.is_none() {
            self.etcd = Some(self.start_etcd());
        }
        if self.server.is_none() {
            self.server = Some(self.start_server());
        }
        let end = Instant::now() + PATIENCE;
        while !self.is_ready() {
            let is_ended = |child: &mut Option<Child>| child.as_mut().unwrap().try_wait().unwrap().is_some();
            let is_hopeless = is_ended(&mut self.server) || is_ended(&mut self.etcd) || Instant::now() > end;
            assert!(!is_hopeless, "the API server doesn't start: {}{}", self.log("etcd"), self.log("kube-apiserver"));
            thread::sleep(PAUSE);
        }
    }

    /// Does something to etcd's folder.
    pub(super) fn while_stopped(&mut self, work: impl FnOnce(&Path)) {
        self.stop();
        end(&mut self.etcd, Signal::SIGTERM);
        work(&self.data());
        self.back();
    }

    /// Has etcd forget what was before its present revision.
    pub(super) fn compact(&self) {
        let status = self.ask_etcd("maintenance/status", &json!({}));
        let revision = &status["header"]["revision"];
        assert!(revision.is_string(), "etcd says {status}");
        self.ask_etcd("kv/compaction", &json!({ "revision": revision, "physical": true }));
    }

    fn ask_etcd(&self, what: &str, question: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}/v3/{what}", self.etcd_ports[0].number);
        let output =
            Command::new("curl").args(["--silent", "--fail-with-body", "--data", &question.to_string(), &url]).output();
        let Output { status, stdout, .. } = output.unwrap_or_else(|error| panic!("this test needs curl: {error}"));
        let said = String::from_utf8_lossy(&stdout);
        assert!(status.success(), "asking etcd for {what}: {said}{}", self.log("etcd"));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("asking etcd for {what}: {error}: {said}"))
    }

    /// The end of what a program of it logged.
    fn log(&self, program: &str) -> String {
        let text = fs::read_to_string(self.folder.path().join(program).with_extension("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        format!("\n{program}: {}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start_etcd(&self) -> Child {
        let [clients, peers] = self.etcd_ports.each_ref().map(|port| format!("http://127.0.0.1:{}", port.number));
        let data = self.data();
        let arguments = [
            ["--name", "lab"],
            ["--data-dir", data.to_str().unwrap()],
            ["--listen-client-urls", &clients],
            ["--advertise-client-urls", &clients],
            ["--listen-peer-urls", &peers],
            ["--initial-advertise-peer-urls", &peers],
            ["--initial-cluster", &format!("lab={peers}")],
            // It needn't survive a power cut.
            ["--unsafe-no-fsync", "--log-level=warn"],
        ];
        self.spawn("etcd", arguments.as_flattened())
    }

    fn start_server(&self) -> Child {
        let at = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let arguments = [
            ("etcd-servers", format!("http://127.0.0.1:{}", self.etcd_ports[0].number)),
            ("bind-address", "127.0.0.1".into()),
            ("secure-port", self.port.number.to_string()),
            ("tls-cert-file", at("server.pem")),
            ("tls-private-key-file", at("server.key")),
            ("token-auth-file", at("tokens.csv")),
            ("service-account-signing-key-file", at("accounts.key")),
            ("service-account-key-file", at("accounts.key")),
            ("service-account-issuer", "https://kubernetes.default.svc".into()),
            ("service-cluster-ip-range", "10.96.0.0/16".into()),
            ("authorization-mode", "RBAC".into()),
            ("disable-admission-plugins", "ServiceAccount".into()),
            // Or it would wait for them to end by themselves.
            ("shutdown-watch-termination-grace-period", "1s".into()),
            ("cert-dir", at("certificates")),
        ];
        let arguments = arguments.map(|(name, value)| format!("--{name}={value}"));
        self.spawn("kube-apiserver", &arguments.each_ref().map(String::as_str))
    }

    fn spawn(&self, program: &str, arguments: &[&str]) -> Child {
        let log =
            File::options().create(true).append(true).open(self.folder.path().join(program).with_extension("log"));
        let log = log.unwrap();
        let mut command = Command::new(assets().join(program));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command.spawn().unwrap_or_else(|error| panic!("starting {program}: {error}"))
    }

    fn is_ready(&self) -> bool {
        let authority = self.folder.path().join("ca.pem");
        let url = format!("{}/readyz", self.url());
        let output =
            Command::new("curl").args(["--silent", "--max-time", "10", "--cacert"]).arg(authority).arg(url).output();
        output.unwrap_or_else(|error| panic!("this test needs curl: {error}")).stdout == b"ok"
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // The data goes as well, so that nothing need be put in order.
        end(&mut self.server, Signal::SIGKILL);
        end(&mut self.etcd, Signal::SIGKILL);
    }
}

/// Gives up children that have ended by themselves just as well.
fn end(child: &mut Option<Child>, signal: Signal) {
    let Some(mut child) = child.take() else { return };
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    // It isn't waited for yet, so it is still this one.
    let _ = kill(pid, signal);
    let _ = child.wait();
}
