//! Git behind https, as users have it: nginx with `git http-backend`, a certificate of an authority of one's own, and a token.

use crate::{
    certificates,
    ports::{HostPort, host_port},
};
use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What the server wants to be told.
pub const TOKEN: &str = "s3cret";

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// What nginx is told. `/v0/` hides the header that asks for version 2; `/moved/` redirects on this host.
const NGINX: &str = r#"
daemon off; master_process off; pid @PLACE@/nginx.pid; error_log @PLACE@/nginx.log;
events { worker_connections 64; }
http {
  access_log off; client_max_body_size 64m;
  client_body_temp_path @PLACE@/body; proxy_temp_path @PLACE@/proxy; fastcgi_temp_path @PLACE@/fastcgi;
  uwsgi_temp_path @PLACE@/uwsgi; scgi_temp_path @PLACE@/scgi;
  server {
    listen 127.0.0.1:@PORT@ ssl; server_name localhost;
    ssl_certificate @PLACE@/server.pem; ssl_certificate_key @PLACE@/server.key;
    auth_basic git; auth_basic_user_file @PLACE@/users;
    location ^~ /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }
    location ^~ /away/ { return 302 https://elsewhere.example/x.git/info/refs?service=git-upload-pack; }
    location ^~ /page/ { default_type text/html; return 200 "<html>please log in</html>"; }
    location ~ ^(/v0)?(?<file>/.*)$ {
      fastcgi_pass unix:@PLACE@/cgi; fastcgi_param SCRIPT_FILENAME @CORE@/git-http-backend;
      fastcgi_param PATH_INFO $file; fastcgi_param GIT_PROJECT_ROOT @PLACE@; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string;
      fastcgi_param CONTENT_TYPE $content_type; fastcgi_param REMOTE_USER $remote_user;
      fastcgi_param GIT_PROTOCOL $protocol;
    }
  }
  map $uri $protocol { ~^/v0/ ""; default $http_git_protocol; }
}
"#;

/// A server that runs until this is dropped.
pub struct GitServer {
    folder: PathBuf,
    port: HostPort,
    children: Vec<Child>,
}

impl GitServer {
    /// Serves the repositories in this folder, where its own files are as well: `ca.pem` says who vouches for it, and
    /// `other.pem` is somebody else.
    pub fn start(folder: &Path) -> Self {
        certificates::authority(folder, "ca");
        certificates::authority(folder, "other");
        certificates::server(folder, "DNS:localhost");
        fs::write(folder.join("users"), format!("git:{{PLAIN}}{TOKEN}\n")).unwrap();
        let mut server = Self { folder: folder.to_owned(), port: host_port(), children: Vec::new() };
        server.back();
        server
    }

    /// Where it listens, whether it is there or not.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// The URL of what it has there.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port())
    }

    /// Takes it away.
    pub fn away(&mut self) {
        for mut child in self.children.drain(..) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        // There is none the first time.
        let _ = fs::remove_file(self.folder.join("cgi"));
    }

    /// Has it serve, and returns when it does.
    pub fn back(&mut self) {
        self.away();
        let place = self.folder.to_str().unwrap();
        let core = Command::new("git").arg("--exec-path").output();
        let core = core.unwrap_or_else(|error| panic!("this test needs git: {error}")).stdout;
        let settings = NGINX
            .replace("@CORE@", String::from_utf8(core).unwrap().trim_end())
            .replace("@PLACE@", place)
            .replace("@PORT@", &self.port().to_string());
        fs::write(self.folder.join("nginx.conf"), settings).unwrap();
        let cgi = self.spawn("fcgiwrap", &["-s", &format!("unix:{place}/cgi")]);
        let nginx = self.spawn("nginx", &["-c", &format!("{place}/nginx.conf"), "-p", place]);
        self.children = vec![cgi, nginx];
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port())).is_err() || !self.folder.join("cgi").exists() {
            let is_ended = |child: &mut Child| child.try_wait().unwrap().is_some();
            let is_hopeless = self.children.iter_mut().any(is_ended) || Instant::now() > end;
            assert!(!is_hopeless, "the server doesn't start: {}", self.log());
            thread::sleep(PAUSE);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("nginx.log")).unwrap_or_default()
    }

    fn spawn(&self, program: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", &self.folder).stdin(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap_or_else(|error| panic!("this test needs {program}: {error}"))
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.away();
    }
}
