//! A store in a folder of its own, images made byte by byte, and servers.

use abide_image::{Image, Images, Options, PrepareError, Wanted};
use abide_spec::{Digest, FileRef};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) images: Images,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        assert_eq!(fs::metadata("/proc/self").unwrap().uid(), 0, "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        let images = Images::open(&folder.path().join("images"), &folder.path().join("files"), options).unwrap();
        Self { folder, images }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn prepare(&self, image: &str) -> Result<Image, PrepareError> {
        self.prepare_with(image, &BTreeMap::new())
    }

    pub(crate) fn prepare_with(&self, image: &str, files: &BTreeMap<String, FileRef>) -> Result<Image, PrepareError> {
        let insecure = insecure(image);
        let wanted = Wanted { image, files, insecure_registries: &insecure };
        self.images.prepare(&wanted, &|_| {}, &|| false)
    }

    pub(crate) fn find(&self, image: &str) -> Option<Image> {
        let insecure = insecure(image);
        self.images.find(&Wanted { image, files: &BTreeMap::new(), insecure_registries: &insecure }).unwrap()
    }

    /// What is left of work that failed.
    pub(crate) fn leftovers(&self) -> usize {
        ["layers", "tmp", "records"]
            .iter()
            .map(|name| fs::read_dir(self.path("images").join(name)).unwrap().count())
            .sum()
    }
}

/// Registries on this machine are spoken to by http.
fn insecure(image: &str) -> Vec<String> {
    image.split('/').next().filter(|host| host.starts_with("127.0.0.1:")).map(str::to_owned).into_iter().collect()
}

/// All that an error says, from the outside in.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", whole(source)))
}

/// A layer with these files.
pub(crate) fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(1);
        header.set_gid(1);
        header.set_mtime(0);
        builder.append_data(&mut header, path, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// An image in memory: all blobs by digest, and which one the manifest is.
pub(crate) struct Parts {
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
    pub(crate) manifest: Digest,
    pub(crate) manifest_size: usize,
}

/// An image of these layers, each as plain archive and as it is stored.
pub(crate) fn parts(layers: &[(Vec<u8>, Vec<u8>)]) -> Parts {
    let mut blobs = BTreeMap::new();
    let mut put = |bytes: Vec<u8>| {
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        blobs.insert(digest, bytes);
        (digest, size)
    };
    let diff_ids: Vec<_> = layers.iter().map(|(plain, _)| format!("sha256:{}", Digest::of(plain))).collect();
    let stored = layers.iter().map(|(_, stored)| put(stored.clone()));
    let stored: Vec<_> = stored
        .map(|(digest, size)| {
            serde_json::json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": format!("sha256:{digest}"), "size": size })
        })
        .collect();
    let config = serde_json::json!({ "os": "linux", "architecture": "amd64",
        "config": { "Entrypoint": ["/hello"], "Env": ["A=1"] }, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let (config, size) = put(serde_json::to_vec(&config).unwrap());
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{config}"),
            "size": size }, "layers": stored });
    let (manifest, manifest_size) = put(serde_json::to_vec(&manifest).unwrap());
    Parts { blobs, manifest, manifest_size }
}

/// Two small layers, one compressed by gzip and one by zstd.
pub(crate) fn small() -> Parts {
    let (lower, upper) = (layer(&[("hello", b"1"), ("gone", b"1")]), layer(&[("hello", b"2"), (".wh.gone", b"")]));
    parts(&[(lower.clone(), gzip(&lower)), (upper.clone(), zstd(&upper))])
}

/// Writes an image as OCI image layout.
pub(crate) fn write_layout(parts: &Parts, to: &Path, name: &str) {
    fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    for (digest, bytes) in &parts.blobs {
        fs::write(to.join(format!("blobs/sha256/{digest}")), bytes).unwrap();
    }
    fs::write(to.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{}", parts.manifest),
        "size": parts.manifest_size, "annotations": { "org.opencontainers.image.ref.name": name } }] });
    fs::write(to.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
}

/// Runs a program of this machine to its end.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Debian's registry, on a port that the kernel chose.
pub(crate) struct RealRegistry {
    child: Child,
    pub(crate) address: String,
    _folder: tempfile::TempDir,
}

impl RealRegistry {
    /// `more` is appended to its configuration, in which `DIR` stands for a folder of its own.
    pub(crate) fn start(more: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let dir = folder.path().to_str().unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {dir}/data}}}}\nhttp:\n  addr: 127.0.0.1:0\n{}",
            more.replace("DIR", dir)
        );
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("this test needs docker-registry: {error}"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("docker-registry ended: {said}")).unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split([' ', '"', ',']).next().unwrap().to_owned();
            }
            said.push_str(&line);
        };
        // Whoever logs into a pipe that nobody reads hangs some day.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address, _folder: folder }
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A request as a server sees it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
}

/// A server that answers as a test wants.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` writes the whole answer of one request; the connection is closed after it.
    pub(crate) fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut stream = stream;
                    if let Some(request) = read_request(&stream) {
                        seen.lock().unwrap().push(request.clone());
                        answer(&request, &mut stream);
                    }
                });
            }
        });
        Self { address, requests }
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut authorization = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some((key, value)) = line.split_once(": ")
            && key.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.to_owned());
        }
    }
    Some(Request { path, authorization })
}

/// A whole answer.
pub(crate) fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    // Who asked may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// Answers as a registry that has this image under any tag.
pub(crate) fn serve(parts: &Parts, request: &Request, stream: &mut TcpStream) {
    let name = request.path.rsplit('/').next().unwrap();
    let digest = name.strip_prefix("sha256:").map_or(Some(parts.manifest), |hex| hex.parse().ok());
    match digest.and_then(|digest| parts.blobs.get(&digest)) {
        Some(bytes) => reply(stream, "200 OK", "", bytes),
        None => reply(stream, "404 Not Found", "", b""),
    }
}
