//! The sockets: who may ask what, and who can't hold up whom.

use crate::rig::{Conversation, Rig, containers, preview, refusal};
use abide_agent::api::{Reply, Request, Verdict};
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixStream,
        process::CommandExt,
    },
    path::PathBuf,
    process::Command,
};

const OWNER: u32 = 4001;
const STRANGER: u32 = 4003;

/// Not a test of its own: what [`ask_as`] runs as another user.
#[test]
fn ask_for_another() {
    let (Some(socket), Some(request)) = (env::var_os("ABIDE_TEST_SOCKET"), env::var("ABIDE_TEST_REQUEST").ok()) else {
        return;
    };
    match UnixStream::connect(PathBuf::from(socket)) {
        Ok(stream) => {
            let request = serde_json::from_str(&request).unwrap();
            Conversation::begin(stream, request)
                .for_each(|reply| println!("\n{}", serde_json::to_string(&reply).unwrap()));
        }
        Err(error) => println!("\nno: {:?}", error.kind()),
    }
}

/// Asks as another user, in a process of its own: the kernel tells the agent who connects.
fn ask_as(rig: &Rig, user: u32, socket: &str, request: &Request) -> Result<Vec<Reply>, String> {
    // The test's own program may be where nobody else gets.
    let program = rig.path("ask");
    fs::copy("/proc/self/exe", &program).unwrap();
    fs::set_permissions(rig.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    let output = Command::new(&program)
        .args(["--exact", "doors::ask_for_another", "--nocapture"])
        .env("ABIDE_TEST_SOCKET", rig.path("run").join(socket))
        .env("ABIDE_TEST_REQUEST", serde_json::to_string(request).unwrap())
        .uid(user)
        .gid(user)
        .current_dir("/")
        .output()
        .expect("becoming somebody else needs root");
    let text = String::from_utf8(output.stdout).unwrap();
    if let Some(why) = text.lines().find_map(|line| line.strip_prefix("no: ")) {
        return Err(why.to_owned());
    }
    Ok(text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn hooks_ask_about_repositories_that_are_theirs() {
    let rig = Rig::started();
    let repository = rig.path("infra.git");
    fs::create_dir(&repository).unwrap();
    chown(&repository, Some(OWNER), Some(OWNER)).expect("giving a folder away needs root");
    let url = repository.to_str().unwrap();
    rig.follow("infra", url);
    let commit = rig.settle("infra", url, &(containers(&[("a", "a:1"), ("b", "b:1")])));

    let ask = |user, request: &Request| ask_as(&rig, user, "hook.sock", request).unwrap();
    let about = preview("infra", &containers(&[("a", "a:1")]));
    let follow = Request::Follow { source: Some("infra".to_owned()), commit };
    assert!(matches!(&ask(OWNER, &about)[..], [Reply::Preview(found)] if found.changes[0].action == "remove"));
    assert!(matches!(&ask(OWNER, &follow)[..], [Reply::Outcome(outcome)] if outcome.result == Verdict::Settled));
    assert!(matches!(&ask(OWNER, &Request::Wake { source: "infra".to_owned() })[..], [Reply::Done { .. }]));
    let sources = Request::SourcesOf { repository: url.to_owned() };
    assert!(matches!(&ask(OWNER, &sources)[..], [Reply::Sources { sources }] if sources[0].name == "infra"));
    let [Reply::Preview(emptied)] = &ask(OWNER, &preview("infra", ""))[..] else { panic!("no preview") };
    let allow = Request::Allow { plan: emptied.held.clone().unwrap().plan, source: Some("infra".to_owned()) };
    assert!(matches!(&ask(OWNER, &allow)[..], [Reply::Done { .. }]));

    for request in [&about, &follow, &allow, &sources] {
        let why = refusal(&ask(STRANGER, request));
        assert!(why.contains("yours to push to"), "{why}");
    }
    for request in [Request::Get, Request::Down, Request::SourceRemove { name: "infra".to_owned() }] {
        assert!(refusal(&ask(OWNER, &request)).contains("for all else use `abide` as root"));
    }
    assert!(matches!(&ask(0, &about)[..], [Reply::Preview(_)]));
    assert_eq!(ask_as(&rig, OWNER, "agent.sock", &Request::Get).unwrap_err(), "PermissionDenied");
}

#[test]
fn who_reads_nothing_holds_up_nobody() {
    let rig = Rig::started();
    rig.follow("infra", "/srv/infra.git");
    let asleep: Vec<Conversation> = (0..8).map(|_| rig.begin(Request::Events { follow: true })).collect();
    let idle: Vec<Conversation> = (0..8).map(|_| rig.begin_at("hook.sock", Request::Events { follow: true })).collect();
    let names: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    let wished = |n: usize| {
        let image = format!("image:{n}");
        containers(&names.iter().map(|name| (name.as_str(), image.as_str())).collect::<Vec<_>>())
    };
    for n in 0..17 {
        rig.settle("infra", "/srv/infra.git", &wished(n));
    }
    let kept = rig.ask(Request::Events { follow: false });
    assert_eq!(kept.len(), 1000, "the last ones are kept, of more than ten thousand");
    assert_eq!(rig.world.live().len(), 100);
    drop((asleep, idle));
    rig.get();
}

#[test]
fn what_is_no_request_is_told_so() {
    let rig = Rig::started();
    let answer = |line: &[u8]| {
        let mut stream = UnixStream::connect(rig.path("run/agent.sock")).unwrap();
        stream.write_all(line).unwrap();
        let mut text = String::new();
        BufReader::new(stream).read_line(&mut text).unwrap();
        text
    };
    assert!(answer(b"GET / HTTP/1.1\r\n\n").contains("no request"));
    assert!(answer(b"{\"version\":1,\"request\":{\"verb\":\"dance\"}}\n").contains("unknown variant"));
    assert!(answer(b"{\"version\":2,\"request\":{\"verb\":\"get\"}}\n").contains("speaks version 1"));
    assert!(answer(b"{\"version\":1,\"request\":{\"verb\":\"get\"}}\n").contains("\"settled\":true"));
}

#[test]
fn sockets_are_taken_over_from_an_agent_that_was_killed() {
    let mut rig = Rig::started();
    rig.stop();
    assert!(rig.path("run/agent.sock").exists());
    rig.start();
    assert!(rig.get().settled);
    let mode = |name: &str| fs::metadata(rig.path("run").join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("agent.sock"), mode("hook.sock")), (0o600, 0o666));
}
