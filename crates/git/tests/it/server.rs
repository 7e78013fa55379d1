//! Servers: nginx with `git http-backend` behind TLS and a token, and ones that misbehave.

use crate::support::{Place, text};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

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

/// A running server, ended when dropped.
pub(crate) struct Server {
    children: Vec<Child>,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Serves the place's repositories; its CA is in `ca.pem`, the token is `s3cret`.
pub(crate) fn serve(place: &Place) -> Server {
    certificates(place);
    fs::write(place.path("users"), "git:{PLAIN}s3cret\n").unwrap();
    let cgi = Command::new("fcgiwrap")
        .args(["-s", &format!("unix:{}", text(&place.path("cgi")))])
        .env("HOME", place.path("."))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests need fcgiwrap");
    let mut server = Server { children: vec![cgi], port: 0 };
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = NGINX
            .replace("@CORE@", &place.git(".", &["--exec-path"]))
            .replace("@PLACE@", &text(&place.path(".")))
            .replace("@PORT@", &port.to_string());
        fs::write(place.path("nginx.conf"), settings).unwrap();
        let mut nginx = Command::new("nginx")
            .args(["-c", &text(&place.path("nginx.conf")), "-p", &text(&place.path("."))])
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need nginx");
        // Another test may have taken the port meanwhile: then nginx ends, and another port is tried.
        while nginx.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() && place.path("cgi").exists() {
                server.children.push(nginx);
                server.port = port;
                return server;
            }
            thread::sleep(Duration::from_millis(10));
            assert!(Instant::now() < end, "nginx doesn't answer");
        }
    }
    panic!("nginx doesn't start: {}", fs::read_to_string(place.path("nginx.log")).unwrap_or_default());
}

fn certificates(place: &Place) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(place.path(".")).output();
        let output = output.expect("these tests need openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(&format!("{new} -keyout ca.key -out ca.pem -subj /CN=ours -addext basicConstraints=critical,CA:TRUE"));
    openssl(&format!("{new} -keyout other.key -out other.pem -subj /CN=other"));
    openssl(&format!(
        "{new} -keyout server.key -out server.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext \
         basicConstraints=critical,CA:FALSE -CA ca.pem -CAkey ca.key"
    ));
}

/// A server of plain http that answers each request, head and body, with what `answer` does.
/// It serves until the test's process ends.
pub(crate) fn misbehave(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, mut stream) = (answer.clone(), stream.unwrap());
            thread::spawn(move || {
                if let Some(request) = request(&mut stream) {
                    answer(&request, &mut stream);
                }
            });
        }
    });
    port
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let mut request = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
        request += std::str::from_utf8(&bytes[..read]).unwrap();
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(request);
        }
    }
}

/// An answer of HTTP.
pub(crate) fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    // Who was asked may have hung up.
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
}
