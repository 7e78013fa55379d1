//! Following a repository behind https.

use crate::{
    server::{misbehave, reply},
    support::{Place, next, said, text},
};
use abide_git::{GitSource, Settings, revision::reopen};
use abide_lab::{GitServer, TOKEN};
use abide_reconcile::Fault;
use abide_spec::quantity::Span;
use std::{
    fs,
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

fn settings(place: &Place, url: &str) -> Settings {
    fs::write(place.path("token"), format!("{TOKEN}\n")).unwrap();
    place.settings(url, |settings| {
        settings.repository.interval = Span(Duration::from_millis(300));
        settings.credentials.token_file = Some(text(&place.path("token")));
        settings.credentials.ca_file = Some(text(&place.path("ca.pem")));
    })
}

fn fault(source: &mut GitSource) -> String {
    match next(source) {
        Err(Fault::Again(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A branch's life as a remote source tells it.
fn follows(place: &Place, url: &str) {
    let settings = settings(place, url);
    let mut source = GitSource::new(settings.clone()).unwrap();
    assert!(said(&next(&mut source).unwrap()).starts_with("refused: there is no branch main yet"));
    for n in 0..300 {
        place.write(&format!("files/{n}"), format!("{n}").repeat(100));
    }
    let a = place.push_volume("a");
    assert_eq!(next(&mut source).unwrap().commit, a);
    place.push_volume("skipped");
    place.git("work", &["push", "-q", "-f", "../bare.git", "HEAD:main2"]);
    let b = place.push_volume("b");
    let mut revision = next(&mut source).unwrap();
    if revision.commit != b {
        revision = next(&mut source).unwrap();
    }
    assert_eq!(said(&revision), "b");
    let packs = fs::read_dir(place.path("state/repo.git/objects/pack")).unwrap().map(|entry| entry.unwrap());
    let smallest = packs.map(|entry| entry.metadata().unwrap().len()).min().unwrap();
    assert!(smallest < 5000, "only what changed comes: {smallest}");

    place.git("work", &["reset", "-q", "--hard", &a]);
    place.push();
    assert_eq!(next(&mut source).unwrap().commit, a);
    place.git("work", &["checkout", "-q", "--orphan", "unrelated"]);
    let c = place.push_volume("c");
    assert_eq!(next(&mut source).unwrap().commit, c);
    place.git("bare.git", &["update-ref", "-d", "refs/heads/main"]);
    assert!(said(&next(&mut source).unwrap()).starts_with("refused: branch main was deleted"));
    place.git("state/repo.git", &["fsck", "--strict", &a, &b, &c]);
    assert_eq!([&a, &b, &c].map(|id| said(&reopen(&settings, id).unwrap())), ["a", "b", "c"]);
    assert!(!place.path("state/repo.git/refs/heads/main").exists(), "no reference is written");
}

#[test]
fn version_2() {
    let place = Place::new();
    let server = GitServer::start(&place.path("."));
    follows(&place, &server.url("bare.git"));
}

#[test]
fn version_0() {
    let place = Place::new();
    let server = GitServer::start(&place.path("."));
    follows(&place, &server.url("v0/bare.git/"));
}

#[test]
fn a_redirect_on_the_same_host_is_followed() {
    let place = Place::new();
    place.push_volume("a");
    let server = GitServer::start(&place.path("."));
    let url = server.url("moved/bare.git");
    assert_eq!(said(&next(&mut GitSource::new(settings(&place, &url)).unwrap()).unwrap()), "a");
}

#[test]
fn what_is_wrong_is_said_and_no_secret_is() {
    let place = Place::new();
    place.push_volume("a");
    place.git(".", &["init", "-q", "--bare", "--object-format=sha256", "sha256.git"]);
    let server = GitServer::start(&place.path("."));
    let port = server.port();
    let try_it = |path: &str, change: fn(&Place, &mut Settings)| {
        let mut settings = settings(&place, &server.url(path));
        change(&place, &mut settings);
        let why = fault(&mut GitSource::new(settings).unwrap());
        assert!(!why.contains(TOKEN) && !why.contains("wr0ng"), "{why}");
        why.replace(&port.to_string(), "PORT").replace(&text(&place.path(".")), "PLACE/")
    };
    let told = [
        try_it("bare.git", |_, settings| settings.credentials.token_file = None),
        try_it("bare.git", |place, _| fs::write(place.path("token"), "wr0ng").unwrap()),
        try_it("bare.git", |_, settings| settings.credentials.token_file = Some("/nowhere".to_owned())),
        try_it("bare.git", |_, settings| settings.credentials.ca_file = None),
        try_it("bare.git", |place, settings| {
            settings.credentials.ca_file = Some(text(&place.path("other.pem")));
        }),
        try_it("bare.git", |place, settings| settings.credentials.ca_file = Some(text(&place.path("token")))),
        try_it("none.git", |_, _| {}),
        try_it("sha256.git", |_, _| {}),
        try_it("away/bare.git", |_, _| {}),
        try_it("page/bare.git", |_, _| {}),
        try_it("bare.git", |_, settings| settings.bounds.pack_bytes = 10),
    ];
    insta::assert_snapshot!(told.join("\n"), @r"
    https://localhost:PORT/bare.git can't be followed: it asks for a token (HTTP 401): name a file with one in `credentials.tokenFile`. What runs, runs on; it is tried again
    https://localhost:PORT/bare.git can't be followed: it refuses the token (HTTP 401): look whether it has expired and may read this repository. What runs, runs on; it is tried again
    reading the token /nowhere: No such file or directory (os error 2); see `credentials` of the source
    https://localhost:PORT/bare.git can't be followed: invalid peer certificate: UnknownIssuer; if it is your own authority's, name its file in `credentials.caFile`. What runs, runs on; it is tried again
    https://localhost:PORT/bare.git can't be followed: invalid peer certificate: UnknownIssuer; if it is your own authority's, name its file in `credentials.caFile`. What runs, runs on; it is tried again
    https://localhost:PORT/bare.git can't be followed: the CA file holds no certificate in PEM. What runs, runs on; it is tried again
    https://localhost:PORT/none.git can't be followed: it has no such repository, or hides it without the right token (HTTP 404). What runs, runs on; it is tried again
    https://localhost:PORT/sha256.git can't be followed: it is a SHA-256 repository, which abide can't read yet; SHA-1 ones work. What runs, runs on; it is tried again
    https://localhost:PORT/away/bare.git can't be followed: it redirects to https://elsewhere.example/x.git/info/refs?service=git-upload-pack: register that URL if you trust it. What runs, runs on; it is tried again
    https://localhost:PORT/page/bare.git can't be followed: it answers with text/html, which is not Git: a login page or a proxy may be in between. What runs, runs on; it is tried again
    https://localhost:PORT/bare.git can't be followed: it sends more than 10 bytes. What runs, runs on; it is tried again
    ");
}

#[test]
fn a_server_that_is_away_changes_nothing_and_is_found_again() {
    let place = Place::new();
    place.push_volume("a");
    let mut server = GitServer::start(&place.path("."));
    let mut source = GitSource::new(settings(&place, &server.url("bare.git"))).unwrap();
    next(&mut source).unwrap();
    server.away();
    assert!(fault(&mut source).contains("can't be followed: "));
    assert!(fault(&mut source).contains("What runs, runs on"));
    place.push_volume("b");
    server.back();
    let found = std::iter::repeat_with(|| next(&mut source)).take(100).find_map(Result::ok).unwrap();
    assert_eq!(said(&found), "b");
}

/// Packets as a server of version 2 begins.
const ABLE: &[u8] = b"001e# service=git-upload-pack\n0000000eversion 2\n0015agent=git/2.47.3\n0000";
const ADVERTISEMENT: &str = "Content-Type: application/x-git-upload-pack-advertisement\r\n";
const RESULT: &str = "Content-Type: application/x-git-upload-pack-result\r\n";

fn line(text: &str) -> Vec<u8> {
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}

/// A server that begins well, tells a tip, and then answers the fetch with `pack`.
fn until_fetch(pack: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> u16 {
    misbehave(move |request, stream| {
        if request.starts_with("GET") {
            return reply(stream, "200 OK", ADVERTISEMENT, ABLE);
        }
        if request.contains("command=fetch") {
            return pack(stream);
        }
        let tip = [line(&format!("{} refs/heads/main\n", "1".repeat(40))), b"0000".to_vec()].concat();
        reply(stream, "200 OK", RESULT, &tip);
    })
}

#[test]
fn servers_that_hang_are_given_up() {
    let trickle = |stream: &mut TcpStream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
        while stream.write_all(b"X").is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    };
    let silent = |stream: &mut TcpStream| drop(stream.peek(&mut [0]).map(|_| thread::park()));
    let ports = [
        misbehave(move |_, stream| silent(stream)),
        misbehave(move |_, stream| trickle(stream)),
        until_fetch(move |stream| silent(stream)),
        until_fetch(move |stream| trickle(stream)),
        until_fetch(move |stream| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n{RESULT}\r\n");
            drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(b"000dpackfile\nfff0\x01PACK")));
            while stream.write_all(b"X").is_ok() {
                thread::sleep(Duration::from_millis(200));
            }
        }),
    ];
    thread::scope(|scope| {
        for port in ports {
            scope.spawn(move || {
                let place = Place::new();
                let mut settings = place.settings(&format!("http://127.0.0.1:{port}/x.git"), |_| {});
                settings.bounds.ask = Duration::from_secs(1);
                settings.bounds.fetch = Duration::from_secs(1);
                let start = Instant::now();
                let why = fault(&mut GitSource::new(settings).unwrap());
                assert!(why.contains("nothing complete came within 1 s"), "{why}");
                assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
                assert!(!place.path("state/repo.git").exists());
            });
        }
    });
}

#[test]
fn answers_that_are_cut_or_odd_never_mean_that_the_branch_is_gone() {
    let fetch = |body: Vec<u8>| until_fetch(move |stream| reply(stream, "200 OK", RESULT, &body));
    let ask = |body: &'static [u8]| {
        misbehave(move |request, stream| {
            let (kind, body) = if request.starts_with("GET") { (ADVERTISEMENT, ABLE) } else { (RESULT, body) };
            reply(stream, "200 OK", kind, body);
        })
    };
    let cases = [
        ("empty advertisement", misbehave(|_, stream| reply(stream, "200 OK", ADVERTISEMENT, b""))),
        ("500", misbehave(|_, stream| reply(stream, "500 No", "", b""))),
        ("nothing", ask(b"")),
        ("no flush", ask(b"003d1111111111111111111111111111111111111111 refs/heads/other\n")),
        ("HTML in packets' clothes", ask(b"<html>")),
        ("error", ask(b"000fERR not yet")),
        ("no pack", fetch(b"0000".to_vec())),
        ("half a pack", fetch([&b"000dpackfile\n"[..], &line("\u{1}PACK\0\0"), b"0000"].concat())),
        ("error in band", fetch([&b"000dpackfile\n"[..], &line("\u{3}out of \u{1b}[31mmemory"), b"0000"].concat())),
        ("cut pack", fetch(b"000dpackfile\nfff0\x01PACK".to_vec())),
    ];
    let mut told = Vec::new();
    for (name, port) in cases {
        let place = Place::new();
        let settings = place.settings(&format!("http://127.0.0.1:{port}/x.git"), |_| {});
        let why = fault(&mut GitSource::new(settings).unwrap());
        told.push(format!("{name}: {}", why.split("followed: ").nth(1).unwrap()));
        assert!(!place.path("state/repo.git").exists(), "{name}");
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    empty advertisement: the answer ends too early. What runs, runs on; it is tried again
    500: it answers HTTP 500. What runs, runs on; it is tried again
    nothing: the answer ends too early. What runs, runs on; it is tried again
    no flush: the answer ends too early. What runs, runs on; it is tried again
    HTML in packets' clothes: a packet begins with "<htm", which is no length. What runs, runs on; it is tried again
    error: the server says: not yet. What runs, runs on; it is tried again
    no pack: the answer ends too early. What runs, runs on; it is tried again
    half a pack: what it sends is no good: incomplete pack header. What runs, runs on; it is tried again
    error in band: the server says: out of �[31mmemory. What runs, runs on; it is tried again
    cut pack: the answer ends too early. What runs, runs on; it is tried again
    "#);
}
