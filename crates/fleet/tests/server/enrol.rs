//! Who becomes a machine of the fleet, and who stays one.

use crate::{
    client::{Client, Http, Keys, RECIPIENT},
    rig::{DAY, Rig, poll},
};
use abide_fleet::{
    protocol::{Enrolled, Issued, RefusalCode},
    server::authority::{Authority, Init},
    store::Presence,
};
use abide_reconcile::Name;
use hyper::StatusCode;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_let_in_and_known_from_then_on() {
    for http in [Http::One, Http::Two] {
        let rig = Rig::new().await;
        let token = rig.token("t", |token| drop(token.labels.insert("site".to_owned(), "berlin".to_owned())));
        let mut keys = Keys::new();
        let answer = rig.stranger(http).await.post("/v1/enroll", &keys.enroll(&token, "till-1")).await;
        let enrolled: Enrolled = answer.json();
        let authority = rig.server.authority();
        assert_eq!((enrolled.fleet.as_str(), enrolled.name.as_str()), (authority.fleet(), "till-1"));
        assert_eq!(enrolled.root, authority.root_pem());
        let days = (enrolled.issued.expires_at - enrolled.issued.now) / 86400;
        assert_eq!(days, 30);
        keys.chain = enrolled.issued.chain;
        let answer = rig.client(&keys, http).await.post("/v1/poll", &poll("a", None, 0)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        let machine = rig.machine("till-1");
        assert_eq!((machine.key, machine.recipient.as_str()), (keys.public, RECIPIENT));
        assert_eq!(machine.labels["site"], "berlin");
        assert_eq!(machine.session.as_deref(), Some("a"));
        assert!(matches!(machine.presence, Presence::Here { .. }));
        assert!(answer.headers.contains_key("date"), "who has no clock goes by the hub's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_right_is_not_let_in() {
    let rig = Rig::new().await;
    let good = rig.token("good", |_| {});
    let few = rig.token("few", |token| token.uses_left = 0);
    let late = rig.token("late", |token| token.expires_at = rig.now());
    let tills = rig.token("tills", |token| token.names = Some("till-*".to_owned()));
    rig.enrolled("taken").await;
    let keys = Keys::new();
    let mut unproved = keys.enroll(&good, "a");
    unproved.proof = keys.enroll(&good, "b").proof;
    let mut unencrypted = keys.enroll(&good, "a");
    unencrypted.recipient = "age1".to_owned();
    unencrypted.proof = String::new();
    let table = [
        (keys.enroll("good.AAAA", "a"), RefusalCode::Token),
        (keys.enroll("none.AAAA", "a"), RefusalCode::Token),
        (keys.enroll("nonsense", "a"), RefusalCode::Token),
        (keys.enroll(&few, "a"), RefusalCode::Token),
        (keys.enroll(&late, "a"), RefusalCode::Token),
        (keys.enroll(&tills, "a"), RefusalCode::Token),
        (keys.enroll(&good, "taken"), RefusalCode::NameTaken),
        (keys.enroll(&good, "No.Name"), RefusalCode::BadRequest),
        (unproved, RefusalCode::BadRequest),
        (unencrypted, RefusalCode::BadRequest),
    ];
    let mut client = rig.stranger(Http::One).await;
    for (asked, code) in table {
        assert_eq!(client.post("/v1/enroll", &asked).await.code(), code, "{asked:?}");
    }
    assert!(rig.store.machine(&Name::new("a").unwrap()).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_costs_no_use() {
    let rig = Rig::new().await;
    let token = rig.token("once", |token| token.uses_left = 1);
    let keys = Keys::new();
    let mut client = rig.stranger(Http::Two).await;
    for _ in 0..3 {
        client.post("/v1/enroll", &keys.enroll(&token, "till-1")).await.json::<Enrolled>();
    }
    let other = client.post("/v1/enroll", &Keys::new().enroll(&token, "till-2")).await;
    assert_eq!(other.code(), RefusalCode::Token);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cant_try_for_ever() {
    let rig = Rig::with(|limits| limits.enrolments = (3, 0)).await;
    let mut client = rig.stranger(Http::One).await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(client.post("/v1/enroll", &Keys::new().enroll("a.AAAA", "a")).await.code());
    }
    assert_eq!(codes, [RefusalCode::Token, RefusalCode::Token, RefusalCode::Token, RefusalCode::Busy]);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_in_time_and_for_a_while_after_it() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    rig.pass(20 * DAY);
    let mut renewed = Keys::new();
    let answer = rig.client(&keys, Http::One).await.post("/v1/renew", &renewed.renew("till-1")).await;
    renewed.chain = answer.json::<Issued>().chain;
    for keys in [&keys, &renewed] {
        let answer = rig.client(keys, Http::One).await.post("/v1/poll", &poll("a", None, 0)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "the old one until the new one works");
    }
    rig.pass(31 * DAY);
    let mut client = rig.client(&renewed, Http::Two).await;
    assert_eq!(client.post("/v1/poll", &poll("a", None, 0)).await.code(), RefusalCode::Unknown);
    let mut late = Keys::new();
    late.chain = client.post("/v1/renew", &late.renew("till-1")).await.json::<Issued>().chain;
    let answer = rig.client(&late, Http::One).await.post("/v1/poll", &poll("a", None, 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    rig.pass(61 * DAY);
    assert!(is_shut_out(&rig, &late).await);
}

/// With TLS 1.3 a client hears that it isn't wanted only when it reads.
async fn is_shut_out(rig: &Rig, keys: &Keys) -> bool {
    let authority = rig.server.authority();
    // Even where the hub's own certificate has ended for the client's clock, it is the hub that decides.
    match Client::connect(
        rig.address,
        authority.root(),
        Some(keys),
        Http::One,
        abide_fleet::server::tls::WallClock::system(),
    )
    .await
    {
        Err(_) => true,
        Ok(mut client) => client.send(hyper::Method::GET, "/v1/health", Vec::new(), false).await.is_err(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_is_told_so_at_once() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    assert_eq!(client.post("/v1/poll", &poll("a", None, 0)).await.status, StatusCode::NO_CONTENT);
    let asked = poll("a", None, 60);
    let waiting = client.post("/v1/poll", &asked);
    rig.store.revoke(&Name::new("till-1").unwrap(), rig.now()).unwrap();
    rig.server.wake();
    assert_eq!(waiting.await.code(), RefusalCode::Revoked);
    let mut client = rig.client(&keys, Http::One).await;
    for path in ["/v1/poll", "/v1/renew", "/v1/report", "/v1/objects", "/v1/chain"] {
        assert_eq!(client.post(path, &poll("a", None, 0)).await.code(), RefusalCode::Revoked, "{path}");
    }
    let mut other = Keys::new();
    let token = rig.token("again", |_| {});
    let enrolled = client.post("/v1/enroll", &other.enroll(&token, "till-1")).await;
    other.chain = enrolled.json::<Enrolled>().issued.chain;
    let answer = rig.client(&other, Http::One).await.post("/v1/poll", &poll("b", None, 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(
        client.post("/v1/poll", &poll("a", None, 0)).await.code(),
        RefusalCode::Unknown,
        "the name is another's now"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_backup_forgot_is_proved_by_certificates() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let rig = rig.again("restored.db").await;
    assert!(rig.store.machine(&Name::new("till-1").unwrap()).unwrap().is_none());
    let answer = rig.client(&keys, Http::One).await.post("/v1/poll", &poll("a", None, 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let machine = rig.machine("till-1");
    assert_eq!((machine.key, machine.recipient.as_str()), (keys.public, RECIPIENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_are_met() {
    let rig = Rig::new().await;
    let folder = tempfile::tempdir().unwrap();
    let init = Init { names: vec!["localhost".to_owned()], fleet_name: "shops".to_owned() };
    let (other, _) = Authority::init(folder.path(), &init, rig.now().0).unwrap();
    let mut keys = Keys::new();
    let point = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, &keys.public).unwrap();
    keys.chain = other.issue("till-1", &point, RECIPIENT, rig.now().0, rig.now().0).unwrap().chain;
    assert!(is_shut_out(&rig, &keys).await);
    let stranger = Client::connect(rig.address, other.root(), None, Http::One, rig.clock()).await;
    assert!(stranger.is_err(), "and machines meet only their own hub");
    let mut client = rig.stranger(Http::One).await;
    for path in ["/v1/poll", "/v1/renew", "/v1/report", "/v1/objects", "/v1/chain"] {
        assert_eq!(client.post(path, &poll("a", None, 0)).await.code(), RefusalCode::Unknown, "{path}");
    }
}

/// Who stole an issuing key can make a certificate for every name. Once there is another one, that helps him no more; and the
/// machines go over to it by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stolen_issuing_key_signed_is_taken_no_more() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let stolen = rig.server.authority();
    let folder = rig.authority();
    Authority::renew_issuing(&folder, &folder.join("root.key"), rig.now().0).unwrap();
    // A process that is started takes what is there now.
    let mut rig = rig.again("store.db").await;
    for name in ["till-1", "till-2"] {
        let mut thief = Keys::new();
        let point = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, &thief.public).unwrap();
        thief.chain = stolen.issue(name, &point, RECIPIENT, rig.now().0 + DAY, rig.now().0).unwrap().chain;
        rig.pass(2 * DAY);
        let mut client = rig.client(&thief, Http::Two).await;
        for path in ["/v1/poll", "/v1/renew", "/v1/report", "/v1/objects", "/v1/chain"] {
            assert_eq!(client.post(path, &poll("a", None, 0)).await.code(), RefusalCode::Unknown, "{path} of {name}");
        }
    }
    assert!(rig.store.machine(&Name::new("till-2").unwrap()).unwrap().is_none());
    let serial = rig.machine("till-1").serial;

    let mut client = rig.client(&keys, Http::Two).await;
    assert_eq!(client.post("/v1/poll", &poll("a", None, 0)).await.status, StatusCode::NO_CONTENT, "it has that key");
    let mut renewed = Keys::new();
    client.post("/v1/renew", &renewed.renew("till-1")).await.json::<Issued>();
    // That answer got lost, so it asks again.
    let mut client = rig.client(&keys, Http::Two).await;
    renewed.chain = client.post("/v1/renew", &renewed.renew("till-1")).await.json::<Issued>().chain;
    assert_eq!(rig.machine("till-1").serial, serial);
    let answer = rig.client(&renewed, Http::One).await.post("/v1/poll", &poll("a", None, 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(rig.machine("till-1").key, renewed.public);
    assert_eq!(client.post("/v1/poll", &poll("a", None, 0)).await.code(), RefusalCode::Unknown, "it has a newer one");
    rig.end().await;
}
