//! Repositories that this machine follows: several at once, given up and taken up, and not as they should be.

use crate::{
    documents::{volume, web},
    started,
    support::greeting,
};
use abide_lab::{GitServer, Repository, Rig, Snapshot, TOKEN, host_port, oci, rig::Unit, server::Server};
use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Lands a container that says `greeting`, by a commit of that name.
fn say(repository: &Repository, greeting: &str, port: u16) -> String {
    repository.image("hello", &oci::hello());
    repository.write("web.yaml", &web("web", greeting, port, ""));
    repository.land(greeting)
}

/// Waits until it is told of a source that it is so, and why.
fn told(rig: &Rig, source: &str, state: &str, why: &str) -> Snapshot {
    let is = |now: &Snapshot| {
        let found = now.source(source);
        found.state == state && found.message.contains(why)
    };
    rig.wait(&format!("{source} is {state}: {why}"), is)
}

/// A source's container.
fn web_of<'a>(snapshot: &'a Snapshot, source: &str) -> &'a Unit {
    let found = snapshot.units.iter().find(|unit| unit.scope == source && unit.name == "web");
    found.unwrap_or_else(|| panic!("{source} has no container in {snapshot:#?}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A server that has the repository `infra`, and the files that a source of it needs.
struct Served {
    server: GitServer,
    repository: Repository,
    token: String,
    authority: String,
}

impl Served {
    fn start(rig: &Rig) -> Self {
        let folder = rig.path("served");
        let repository = rig.plain("served/infra");
        let server = GitServer::start(&folder);
        let [token, authority] = ["token", "ca.pem"].map(|name| text(&folder.join(name)).to_owned());
        fs::write(&token, format!("{TOKEN}\n")).unwrap();
        Self { server, repository, token, authority }
    }

    fn add(&self, rig: &Rig, flags: &[&str]) {
        let url = self.server.url("infra.git");
        rig.must(&[&["source", "add", url.as_str(), "--interval", "500ms"], flags].concat());
    }
}

#[test]
fn several_are_followed_at_once_and_know_nothing_of_each_other() {
    let rig = started();
    let ports = [host_port(), host_port(), host_port()];
    let served = Served::start(&rig);
    let (path, file) = (rig.plain("path"), rig.plain("file"));
    let first = say(&path, "by-path", ports[0].number);
    let second = say(&file, "by-file", ports[1].number);
    let third = say(&served.repository, "by-https", ports[2].number);
    // What somebody left locked is read all the same.
    fs::write(path.bare.join("refs/heads/main.lock"), "").unwrap();
    fs::write(path.bare.join("packed-refs.lock"), "").unwrap();
    rig.must(&["source", "add", text(&path.bare)]);
    rig.must(&["source", "add", &format!("file://{}", file.bare.display())]);
    served.add(&rig, &["--token-file", &served.token, "--ca-file", &served.authority]);
    for (source, commit) in [("path", &first), ("file", &second), ("infra", &third)] {
        rig.in_force(source, commit);
    }
    let before = rig.settled();
    let greetings = ["by-path", "by-file", "by-https"];
    assert_eq!([0, 1, 2].map(|number| greeting(ports[number].number)), greetings);
    let list = rig.must(&["source", "list"]);
    for word in [&first[..7], &second[..7], &third[..7], text(&path.bare)].into_iter().chain(greetings) {
        assert!(list.contains(word), "{word} is missing in\n{list}");
    }

    let cache = rig.root().join("state/sources/file/repo.git");
    for lock in ["HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock"] {
        fs::write(cache.join(lock), "").unwrap();
    }
    let changed = say(&file, "changed", ports[1].number);
    let followed = rig.abide(&["follow", "--source", "file", &changed]);
    assert_eq!(followed.code, 0, "{followed}");
    let after = rig.in_force("file", &changed);
    assert_eq!(greeting(ports[1].number), "changed");
    for source in ["path", "infra"] {
        assert_eq!(web_of(&after, source), web_of(&before, source), "another source's commit is not theirs");
    }
    rig.end();
}

#[test]
fn a_port_that_another_source_has_is_waited_for() {
    let rig = started();
    let port = host_port();
    let [first, second] = ["first", "second"].map(|name| rig.plain(name));
    // With a unit that stays: the guard is asked before everything goes.
    first.write("volume.yaml", &volume("data"));
    let commit = say(&first, "first", port.number);
    rig.must(&["source", "add", text(&first.bare)]);
    let alone = rig.in_force("first", &commit);
    let commit = say(&second, "second", port.number);
    rig.must(&["source", "add", text(&second.bare)]);
    let why = format!("waits for host port {}, which first:Container/web has", port.number);
    let is_waiting = |now: &Snapshot| now.units.len() == 3 && web_of(now, "second").waiting.as_deref() == Some(&why);
    let both = rig.wait("the second waits", is_waiting);
    assert_eq!(web_of(&both, "first"), web_of(&alone, "first"));
    assert_eq!(greeting(port.number), "first");

    first.remove("web.yaml");
    first.land("no container any more");
    rig.in_force("second", &commit);
    assert_eq!(greeting(port.number), "second");
    rig.end();
}

#[test]
fn a_source_is_suspended_resumed_given_up_and_taken_up() {
    let rig = started();
    let port = host_port();
    let [infra, other] = ["infra", "other"].map(|name| rig.plain(name));
    let first = say(&infra, "one", port.number);
    rig.must(&["source", "add", text(&infra.bare)]);
    let one = rig.in_force("infra", &first);

    rig.must(&["source", "suspend", "infra"]);
    let second = say(&infra, "two", port.number);
    // That another source's commit is in force shows that there was time for this one's.
    other.write("volume.yaml", &volume("data"));
    let later = other.land("later");
    rig.must(&["source", "add", text(&other.bare)]);
    let suspended = rig.in_force("other", &later);
    assert_eq!(suspended.source("infra").state, "suspended");
    assert_eq!(suspended.source("infra").commit, first);
    assert_eq!(web_of(&suspended, "infra"), web_of(&one, "infra"));
    rig.must(&["source", "resume", "infra"]);
    let two = rig.in_force("infra", &second);
    assert_eq!(greeting(port.number), "two");

    // Given up: what it owns runs on, and is taken up again as it is.
    rig.must(&["source", "remove", "infra"]);
    let alone = told(&rig, "infra", "withdrawn", "runs on");
    assert_eq!(web_of(&alone, "infra").message, "no source wants it any more: it is left alone");
    assert_eq!(web_of(&alone, "infra").instances, web_of(&two, "infra").instances);
    assert_eq!(greeting(port.number), "two");
    rig.must(&["source", "add", text(&infra.bare)]);
    let again = rig.wait("it is as before", |now| web_of(now, "infra") == web_of(&two, "infra"));
    assert_eq!(again.source("infra").state, "following");
    rig.end();
}

#[test]
fn https_asks_for_a_token_and_an_authority_and_may_be_away() {
    let mut rig = started();
    let port = host_port();
    let mut served = Served::start(&rig);
    let first = say(&served.repository, "one", port.number);
    let [wrong, other] = ["wrong", "other.pem"].map(|name| text(&rig.path("served").join(name)).to_owned());
    fs::write(&wrong, "wr0ng\n").unwrap();
    let authority = served.authority.clone();
    let cases = [
        (vec!["--ca-file", &authority], "it asks for a token (HTTP 401): name a file with one"),
        (vec!["--token-file", &served.token], "if it is your own authority's, name its file in `credentials.caFile`"),
        (vec!["--token-file", &served.token, "--ca-file", &other], "invalid peer certificate: UnknownIssuer"),
        (vec!["--ca-file", &authority, "--token-file", &wrong], "it refuses the token (HTTP 401)"),
    ];
    for (flags, why) in cases {
        served.add(&rig, &flags);
        let now = told(&rig, "infra", "unreachable", why);
        assert!(now.units.is_empty(), "{now:#?}");
    }
    // A token that was renewed is read without anybody being told.
    fs::write(&wrong, format!("git:{TOKEN}")).unwrap();
    let one = rig.in_force("infra", &first);
    assert_eq!(one.source("infra").state, "following");
    assert_eq!(greeting(port.number), "one");

    served.server.away();
    let second = say(&served.repository, "two", port.number);
    assert_eq!(told(&rig, "infra", "unreachable", "What runs, runs on").units, one.units);
    rig.kill();
    rig.start();
    assert_eq!(told(&rig, "infra", "unreachable", "What runs, runs on").units, one.units);
    assert_eq!(rig.settled().source("infra").commit, first, "what was accepted stays in force");
    served.server.back();
    rig.in_force("infra", &second);
    assert_eq!(greeting(port.number), "two");

    let said = [rig.log(), rig.must(&["events"]), rig.must(&["source", "list", "-o", "json"])].concat();
    for secret in [TOKEN, "wr0ng"] {
        assert!(!said.contains(secret), "{secret} is told: {said}");
    }
    rig.end();
}

#[test]
fn a_server_that_hangs_is_given_up_and_holds_up_nobody() {
    let mut rig = started();
    let silent = Server::start(|_, _| thread::park());
    let trickle = Server::start(|_, stream: &mut TcpStream| {
        let begun = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while begun.is_ok() && stream.write_all(b"X").is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    for (name, server) in [("silent", &silent), ("trickle", &trickle)] {
        rig.must(&["source", "add", "--name", name, &format!("http://{}/x.git", server.address)]);
    }
    let is_asked = |server: &Server| !server.requests.lock().unwrap().is_empty();
    rig.until("both are asked", || (is_asked(&silent) && is_asked(&trickle)).then_some(()));
    // Nobody waits for them: neither another source nor whoever ends the agent.
    let repository = rig.plain("infra");
    repository.write("volume.yaml", &volume("data"));
    repository.land("a volume");
    rig.must(&["source", "add", text(&repository.bare)]);
    let is_made = |now: &Snapshot| now.find("Volume/data").is_some_and(|data| data.state == "settled");
    let now = rig.wait("another source's volume is made", is_made);
    assert!(!now.settled, "what the two wish is not known: {now:#?}");
    let start = Instant::now();
    rig.stop();
    assert!(start.elapsed() < Duration::from_secs(15), "the agent ended after {:?}", start.elapsed());

    rig.start();
    for name in ["silent", "trickle"] {
        told(&rig, name, "unreachable", "nothing complete came within 30 s. What runs, runs on");
    }
    assert!(is_made(&rig.get()));
    rig.end();
}

#[test]
fn what_is_not_there_is_said_and_found_when_it_comes() {
    let rig = started();
    let [empty, branch, folder] = ["empty", "branch", "folder"].map(|name| rig.plain(name));
    for repository in [&branch, &folder] {
        repository.write("volume.yaml", &volume("everybodys"));
        repository.land("of no use here");
    }
    let cases: [(_, &[&str], _); 3] = [
        ("empty", &[], "there is no branch main yet; push it"),
        ("branch", &["--branch", "live"], "there is no branch live yet; push it"),
        ("folder", &["--path", "hosts/edge"], "the path `hosts/edge` is not a folder of it"),
    ];
    for (source, flags, why) in cases {
        let bare = rig.path(&format!("{source}.git"));
        rig.must(&[&["source", "add", text(&bare)], flags].concat());
        let now = told(&rig, source, "refused", why);
        assert!(now.units.is_empty(), "{now:#?}");
        assert!(rig.must(&["source", "list"]).contains(why));
    }

    empty.write("volume.yaml", &volume("data"));
    branch.write("volume.yaml", &volume("data"));
    folder.write("hosts/edge/volume.yaml", &volume("data"));
    let commits = [empty.land("main"), branch.commit("live"), folder.land("the folder")];
    branch.git(&["push", "-q", "origin", "HEAD:live"]);
    for (source, commit) in ["empty", "branch", "folder"].into_iter().zip(&commits) {
        assert_eq!(rig.in_force(source, commit).source(source).state, "following");
    }
    let before = rig.settled();
    let of = |unit: &Unit| format!("{}:{}", unit.scope, unit.name);
    assert_eq!(before.units.iter().map(of).collect::<Vec<_>>(), ["branch:data", "empty:data", "folder:data"]);

    // What goes away is no wish that everything goes.
    branch.git(&["push", "-q", "origin", ":live"]);
    folder.remove("hosts");
    let gone = folder.land("no folder any more");
    fs::rename(&empty.bare, rig.path("elsewhere.git")).unwrap();
    told(&rig, "empty", "unreachable", "What runs, runs on");
    told(&rig, "branch", "refused", "branch live was deleted; what runs, runs on");
    let after = told(&rig, "folder", "refused", "the path `hosts/edge` is not a folder of it");
    assert!(after.source("folder").message.contains(&gone[..12]), "{after:#?}");
    assert_eq!(after.units, before.units);
    rig.end();
}

#[test]
fn what_cant_be_followed_is_refused_and_nothing_is_registered() {
    let rig = started();
    let url = "https://git.example.org/infra.git";
    let cases: [(&[&str], _, _); 11] = [
        (&["http://git.example.org/infra.git"], 3, "is not encrypted"),
        (&["https://me:secret@git.example.org/infra.git"], 3, "put the token into a file"),
        (&["ssh://git@git.example.org/infra.git"], 3, "use an absolute path, file:// or https://"),
        (&["git@git.example.org:infra.git"], 3, "use an absolute path, file:// or https://"),
        (&["/nowhere/infra.git"], 1, "finding the repository /nowhere/infra.git"),
        (&["https://git.example.org/My_Infra.git"], 3, "say how the source is called with --name NAME"),
        (&[url, "--branch", "a..b"], 3, "can't be the name of a branch"),
        (&[url, "--path", "hosts/../../edge"], 3, "leads out of the repository"),
        (&[url, "--token-file", "/nowhere"], 1, "finding /nowhere"),
        (&[url, "--interval", "soon"], 64, "--interval"),
        (&[], 64, "<URL|PATH>"),
    ];
    for (arguments, code, why) in cases {
        let said = rig.abide(&[&["source", "add"], arguments].concat());
        assert_eq!(said.code, code, "{arguments:?}: {said}");
        assert!(said.err.contains(why), "{arguments:?}: {said}");
    }
    for action in ["remove", "suspend", "resume"] {
        let said = rig.abide(&["source", action, "nobody"]);
        assert_eq!(said.code, 3, "{action}: {said}");
        assert!(said.err.contains("there is no source nobody"), "{action}: {said}");
    }
    assert_eq!(rig.get().sources, []);
    rig.end();
}
