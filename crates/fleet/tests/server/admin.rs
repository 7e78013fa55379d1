//! What people ask.

use crate::{
    client::{Http, Keys},
    rig::{Rig, poll},
};
use abide_fleet::{
    admin::{
        detail::{Detail, Labels},
        machine::{Machines, State},
        rollout::Look,
        token::{Created, NewToken, Tokens},
    },
    link::Address,
    protocol::{Enrolled, RefusalCode},
    server::authority::Authority,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, path::PathBuf};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

/// The admin socket of a hub.
struct People(TempDir);

impl People {
    fn of(rig: &Rig) -> Self {
        let people = Self(tempfile::tempdir().unwrap());
        let (server, listener) = (rig.server.clone(), UnixListener::bind(people.socket()).unwrap());
        let reached = Address::of("localhost", rig.address.port()).unwrap();
        tokio::spawn(async move { server.serve_admin(listener, &reached).await });
        people
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("hub.sock")
    }

    /// The status and the text.
    async fn ask(&self, method: &str, path: &str, body: &impl Serialize) -> (u16, String) {
        let body = serde_json::to_string(body).unwrap();
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.ask("GET", path, &()).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_and_lets_in_and_is_removed() {
    let rig = Rig::new().await;
    let people = People::of(&rig);
    let labels = BTreeMap::from([("site".to_owned(), "berlin".to_owned())]);
    let asked = NewToken { uses: 2, seconds: 60, names: Some("till-*".to_owned()), labels };
    let (status, body) = people.ask("POST", "/admin/tokens", &asked).await;
    assert_eq!(status, 200, "{body}");
    let created: Created = serde_json::from_str(&body).unwrap();
    assert_eq!(created.url, format!("https://localhost:{}", rig.address.port()));
    let (token, root) = created.token.rsplit_once('.').unwrap();
    assert_eq!(root, rig.server.authority().root_sha256());
    let mut client = rig.stranger(Http::One).await;
    client.post("/v1/enroll", &Keys::new().enroll(token, "till-1")).await.json::<Enrolled>();
    assert_eq!(client.post("/v1/enroll", &Keys::new().enroll(token, "desk-1")).await.code(), RefusalCode::Token);
    let tokens: Tokens = people.get("/admin/tokens").await;
    assert_eq!((tokens.tokens[0].id.as_str(), tokens.tokens[0].uses_left), (created.id.as_str(), 1));
    let path = format!("/admin/tokens/{}", created.id);
    assert_eq!(people.ask("DELETE", &path, &()).await.0, 204);
    assert_eq!(people.ask("DELETE", &path, &()).await.0, 404);
    assert_eq!(client.post("/v1/enroll", &Keys::new().enroll(token, "till-2")).await.code(), RefusalCode::Token);
    let useless = NewToken { uses: 0, ..asked };
    assert_eq!(people.ask("POST", "/admin/tokens", &useless).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_shown_labelled_and_revoked() {
    let rig = Rig::new().await;
    let people = People::of(&rig);
    let keys = rig.enrolled("till-1").await;
    rig.enrolled("till-2").await;
    rig.client(&keys, Http::One).await.post("/v1/poll", &poll("a", None, 0)).await;
    let ring = |value: Option<&str>| Labels { labels: BTreeMap::from([("ring".to_owned(), value.map(str::to_owned))]) };
    let (status, body) = people.ask("PATCH", "/admin/machines/till-1", &ring(Some("früh"))).await;
    assert_eq!(status, 200, "{body}");
    let names = async |query: &str, number: usize| loop {
        // The list is what this process has seen of its database, which it looks at several times a second.
        let machines: Machines = people.get(&format!("/admin/machines?{query}")).await;
        if machines.machines.len() == number {
            break machines.machines.into_iter().map(|machine| machine.name).collect::<Vec<_>>();
        }
    };
    assert_eq!(names("", 2).await, ["till-1", "till-2"]);
    assert_eq!(names("label=ring%3Dfr%C3%BCh", 1).await, ["till-1"]);
    assert_eq!(names("state=waiting", 1).await, ["till-1"]);
    let detail: Detail = people.get("/admin/machines/till-1").await;
    assert_eq!((detail.machine.state, detail.recipient.as_str()), (State::Waiting, crate::client::RECIPIENT));
    assert!(detail.hub.is_some());
    assert_eq!(people.ask("PATCH", "/admin/machines/till-1", &ring(None)).await.0, 200);
    assert_eq!(people.ask("PATCH", "/admin/machines/till-1", &ring(Some(""))).await.0, 400);
    let (_, body) = people.ask("DELETE", "/admin/machines/till-1", &()).await;
    assert_eq!(serde_json::from_str::<Detail>(&body).unwrap().machine.state, State::Revoked);
    assert_eq!(names("state=revoked", 1).await, ["till-1"]);
    let retry = "/admin/machines/till-2/retry";
    assert_eq!(people.ask("POST", retry, &()).await.0, 200);
    assert_eq!(rig.store.retries().unwrap().len(), 1);
    let (status, looked) = people.ask("POST", "/admin/repository/look", &()).await;
    assert_eq!((status, looked.as_str()), (200, r#"{"commit":"","trouble":"nobody answers"}"#));
    for (commit, is_passed) in [("e4", true), ("e5", false)] {
        let asked = Look { commit: Some(commit.to_owned()) };
        let (_, looked) = people.ask("POST", "/admin/repository/look", &asked).await;
        assert_eq!(looked.contains("isPassed"), is_passed, "{looked}");
    }
    for (method, path) in [
        ("GET", "/admin/machines/none"),
        ("DELETE", "/admin/machines/none"),
        ("POST", "/admin/machines/none/retry"),
        ("GET", "/admin/none"),
    ] {
        assert_eq!(people.ask(method, path, &()).await.0, 404, "{path}");
    }
    assert_eq!(people.ask("GET", "/admin/machines?state=odd", &()).await.0, 400);
    assert_eq!(people.ask("GET", "/admin/machines?%zz=1", &()).await.0, 400);
    assert!(people.ask("GET", "/metrics", &()).await.1.contains("abide_hub_machines{state=\"revoked\"} 1\n"));
}

/// A new issuing key is taken while the hub serves: who comes gets a certificate by it, and who has one by the key before is
/// known as well.
#[tokio::test(flavor = "multi_thread")]
async fn another_issuing_key_is_taken_at_once() {
    let rig = Rig::new().await;
    let people = People::of(&rig);
    let old = rig.enrolled("till-1").await;
    let folder = rig.authority();
    Authority::renew_issuing(&folder, &folder.join("root.key"), rig.clock().now()).unwrap();
    assert_eq!(people.ask("POST", "/admin/authority", &()).await.0, 204);
    let new = rig.enrolled("till-2").await;
    let issuing = |keys: &Keys| keys.chain.split("BEGIN CERTIFICATE").nth(2).unwrap().to_owned();
    assert_ne!(issuing(&old), issuing(&new));
    for keys in [&old, &new] {
        let mut client = rig.client(keys, Http::One).await;
        assert_eq!(client.post("/v1/poll", &poll("a", None, 0)).await.status, 204);
    }
    std::fs::remove_file(folder.join("hub.json")).unwrap();
    let (status, body) = people.ask("POST", "/admin/authority", &()).await;
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("abide hub init"), "{body}");
    rig.enrolled("till-3").await;
}
