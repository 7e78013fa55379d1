use crate::rig::{Rig, layer, parts, small, whole};
use abide_image::{Limits, Login, Options, Patience, PrepareError};
use abide_lab::{
    oci::{Parts, gzip},
    server::{Request, Server, reply, serve},
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What a server makes of an image.
type Answer = Box<dyn Fn(&Parts) -> Vec<u8> + Send + Sync>;

fn impatient() -> Options {
    Options { patience: Patience { window: Duration::from_millis(400), bytes_min: 1000 }, ..Options::default() }
}

fn is_blob(request: &Request) -> bool {
    request.path.contains("/blobs/")
}

fn fails(options: Options, server: &Server) -> (PrepareError, Duration) {
    let rig = Rig::with(options);
    let began = Instant::now();
    let error = rig.prepare(&format!("{}/a:1", server.address)).unwrap_err();
    assert_eq!(rig.leftovers(), 0);
    (error, began.elapsed())
}

/// Waits for the other side to go.
fn hang(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}

#[test]
fn servers_that_hang_or_trickle_are_given_up() {
    let image = Arc::new(small());
    let hangs = Server::start(|_, stream| hang(stream));
    let hangs_in_the_middle = {
        let image = Arc::clone(&image);
        Server::start(move |request, stream| {
            if !is_blob(request) {
                return serve(&image, request, stream);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{");
            hang(stream);
        })
    };
    let trickles = Server::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for server in [hangs, hangs_in_the_middle, trickles] {
        let (error, took) = fails(impatient(), &server);
        assert!(error.can_retry(), "{}", whole(&error));
        assert!(took < Duration::from_secs(10), "{took:?}: {}", whole(&error));
    }
}

#[test]
fn a_pull_that_nobody_wants_any_more_ends_at_once() {
    let server = Server::start(|_, stream| hang(stream));
    let rig = Rig::new();
    let image = format!("{}/a:1", server.address);
    let is_cancelled = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        let pull = scope.spawn(|| {
            let (insecure, files) = ([server.address.clone()], Default::default());
            let wanted = abide_image::Wanted { image: &image, files: &files, insecure_registries: &insecure };
            let error = rig.images.prepare(&wanted, &|_| {}, &|| is_cancelled.load(Ordering::Relaxed)).unwrap_err();
            assert!(matches!(error, PrepareError::Cancelled));
        });
        while server.requests.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        let began = Instant::now();
        is_cancelled.store(true, Ordering::Relaxed);
        pull.join().unwrap();
        began.elapsed()
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn answers_that_are_no_images_are_refused() {
    let cases: Vec<(&str, Answer)> = vec![
        ("no JSON", Box::new(|_| b"<html>".to_vec())),
        ("endless", Box::new(|_| vec![b' '; 5 << 20])),
        ("schema 1", Box::new(|_| br#"{"schemaVersion":1}"#.to_vec())),
        (
            "both",
            Box::new(|image| {
                let manifest = String::from_utf8(image.blobs[&image.manifest].clone()).unwrap();
                manifest.replacen('{', r#"{"manifests":[],"#, 1).into_bytes()
            }),
        ),
        ("no platform", Box::new(|_| br#"{"schemaVersion":2,"manifests":[]}"#.to_vec())),
        (
            "a path as digest",
            Box::new(|image| {
                let manifest = String::from_utf8(image.blobs[&image.manifest].clone()).unwrap();
                manifest.replace("sha256:", "sha256:../../").into_bytes()
            }),
        ),
        (
            "a foreign layer",
            Box::new(|image| {
                let manifest = String::from_utf8(image.blobs[&image.manifest].clone()).unwrap();
                manifest.replace("image.layer.v1.tar", "image.layer.nondistributable.v1.tar").into_bytes()
            }),
        ),
    ];
    for (what, document) in cases {
        let image = small();
        let server = Server::start(move |request, stream| match request.path.contains("/manifests/") {
            true => reply(stream, "200 OK", "", &document(&image)),
            false => serve(&image, request, stream),
        });
        let (error, _) = fails(Options::default(), &server);
        assert!(!error.can_retry(), "{what}: {}", whole(&error));
    }
}

#[test]
fn bytes_that_differ_from_their_digest_are_refused() {
    let changed = |change: fn(&mut Vec<u8>), is_mended_by_retry| {
        let image = small();
        let server = Server::start(move |request, stream| {
            let name = request.path.rsplit('/').next().unwrap();
            let digest = name.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
            match digest.and_then(|digest| image.blobs.get(&digest)).filter(|bytes| !bytes.starts_with(b"{")) {
                Some(bytes) => {
                    let mut bytes = bytes.clone();
                    change(&mut bytes);
                    reply(stream, "200 OK", "", &bytes);
                }
                None => serve(&image, request, stream),
            }
        });
        let (error, _) = fails(Options::default(), &server);
        assert_eq!(error.can_retry(), is_mended_by_retry, "{}", whole(&error));
    };
    changed(|bytes| *bytes.last_mut().unwrap() ^= 1, false);
    changed(|bytes| bytes.push(0), false);
    // The rest may come another time.
    changed(|bytes| bytes.truncate(30), true);
}

#[test]
fn hostile_layers_leave_nothing() {
    let bomb = layer(&[("zeros", &[0; 2_000_000])]);
    let mut escape = layer(&[("x", b"")]);
    // The name's field is rewritten, as no honest writer takes such a name.
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..10].copy_from_slice(b"../../evil");
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    escape.splice(0..0, header.as_bytes().iter().copied());
    let limits = Limits { bytes_max: 1_000_000, ..Limits::default() };
    for (plain, said) in [(bomb, "more than"), (escape, "`..`")] {
        let image = parts(&[(plain.clone(), gzip(&plain))]);
        let server = Server::start(move |request, stream| serve(&image, request, stream));
        let (error, _) = fails(Options { limits, ..Options::default() }, &server);
        assert!(!error.can_retry() && whole(&error).contains(said), "{}", whole(&error));
    }
}

#[test]
fn secrets_go_to_the_registry_alone() {
    let image = Arc::new(small());
    let elsewhere = {
        let image = Arc::clone(&image);
        Server::start(move |request, stream| serve(&image, request, stream))
    };
    let (there, blobs) = (elsewhere.address.clone(), Arc::clone(&image));
    let registry = Server::start(move |request, stream| match &request.authorization {
        None => reply(stream, "401 Unauthorized", "www-authenticate: Basic realm=\"x\"\r\n", b""),
        Some(_) if is_blob(request) => {
            reply(stream, "307 Temporary Redirect", &format!("location: http://{there}{}\r\n", request.path), b"");
        }
        Some(_) => serve(&blobs, request, stream),
    });
    let login = |_: &str| Ok(Some(Login { user: "user".into(), password: "secret".into() }));
    let rig = Rig::with(Options { credentials: Box::new(login), ..Options::default() });
    rig.prepare(&format!("{}/a:1", registry.address)).map_err(|error| whole(&error)).unwrap();
    let seen = elsewhere.requests.lock().unwrap();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.authorization.is_none()));

    // A service for tokens that is somebody else's.
    let realm = format!("www-authenticate: Bearer realm=\"http://{}/token\"\r\n", Server::start(|_, _| {}).address);
    let registry = Server::start(move |_, stream| reply(stream, "401 Unauthorized", &realm, b""));
    let error = rig.prepare(&format!("{}/a:1", registry.address)).unwrap_err();
    assert!(whole(&error).contains("they were not sent"), "{}", whole(&error));
}

#[test]
fn a_token_is_got_and_shown() {
    let image = small();
    let registry = Server::start(move |request, stream| match request.authorization.as_deref() {
        _ if request.path.starts_with("/token?scope=repository%3Aa%3Apull&service=s") => {
            reply(stream, "200 OK", "", br#"{"token":"abc"}"#);
        }
        Some("Bearer abc") => serve(&image, request, stream),
        _ => {
            let own = stream.local_addr().unwrap();
            let realm = format!("www-authenticate: Bearer realm=\"http://{own}/token\",service=\"s\"\r\n");
            reply(stream, "401 Unauthorized", &realm, b"");
        }
    });
    let rig = Rig::new();
    rig.prepare(&format!("{}/a:1", registry.address)).map_err(|error| whole(&error)).unwrap();
}

#[test]
fn two_that_want_the_same_pull_once() {
    let image = small();
    let server = Server::start(move |request, stream| serve(&image, request, stream));
    let rig = Rig::new();
    let name = format!("{}/a:1", server.address);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| rig.prepare(&name).unwrap());
        }
    });
    // A manifest, a config, two layers.
    assert_eq!(server.requests.lock().unwrap().len(), 4);
}
