//! What the hub doesn't put up with.

use crate::{
    client::{Http, Keys},
    rig::{Rig, poll},
};
use abide_fleet::protocol::{Objects, RefusalCode};
use hyper::{Method, StatusCode};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_hung_up_on() {
    let rig = Rig::with(|limits| limits.patience = Duration::from_millis(200)).await;
    let mut silent = TcpStream::connect(rig.address).await.unwrap();
    let mut slow = TcpStream::connect(rig.address).await.unwrap();
    // The head of a handshake that never goes on.
    slow.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        // An end or a reset; a hub that waits for ever hangs this test.
        drop(stream.read_to_end(&mut rest).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_big_or_nothing_is_refused() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    for http in [Http::One, Http::Two] {
        let mut client = rig.client(&keys, http).await;
        let mut status = async |method: Method, path: &str, body: Vec<u8>| {
            let answer = client.send(method, path, body, false).await.unwrap();
            answer.status.as_u16()
        };
        assert_eq!(status(Method::POST, "/v1/objects", b"nonsense".to_vec()).await, 400);
        assert_eq!(status(Method::GET, "/v1/poll", Vec::new()).await, 405);
        assert_eq!(status(Method::POST, "/v1/health", Vec::new()).await, 405);
        assert_eq!(status(Method::GET, "/v2/poll", Vec::new()).await, 404);
        assert_eq!(status(Method::GET, "/v1/health", Vec::new()).await, 200);
        assert_eq!(status(Method::HEAD, "/v1/health", Vec::new()).await, 200);
        assert_eq!(status(Method::GET, "/v1/openapi.json", Vec::new()).await, 200);
    }
    let mut client = rig.client(&keys, Http::Two).await;
    let answer = client.send(Method::POST, "/v1/report", vec![b' '; 300 << 10], false).await.unwrap();
    assert_eq!((answer.status, answer.code()), (StatusCode::PAYLOAD_TOO_LARGE, RefusalCode::BadRequest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_hub_sends_away_before_it_falls() {
    let rig = Rig::with(|limits| limits.connections = 20).await;
    let keys = rig.enrolled("till-1").await;
    let mut clients = Vec::new();
    let sent_away = loop {
        let mut client = rig.client(&keys, Http::Two).await;
        let answer = client.post("/v1/poll", &poll("a", None, 0)).await;
        clients.push(client);
        if answer.status != StatusCode::NO_CONTENT {
            break answer;
        }
    };
    assert!((15..20).contains(&clients.len()), "{}", clients.len());
    assert_eq!((sent_away.status, sent_away.code()), (StatusCode::SERVICE_UNAVAILABLE, RefusalCode::Unavailable));
    let seconds: u64 = sent_away.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((2..=15).contains(&seconds));
}

#[tokio::test(flavor = "multi_thread")]
async fn how_it_goes_is_told() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    rig.client(&keys, Http::Two).await.post("/v1/poll", &poll("a", None, 0)).await;
    let metrics = rig.server.metrics();
    for line in [
        "abide_hub_machines{state=",
        "abide_hub_polls_total 1\n",
        "abide_hub_enrolled_total 1\n",
        "abide_hub_healthy 1\n",
    ] {
        assert!(metrics.contains(line), "{line} isn't in\n{metrics}");
    }
}

/// The head of a request whose body is so long, and what comes back before anything of that is sent.
async fn begin(stream: &mut TlsStream<TcpStream>, path: &str, length: usize) -> String {
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_slowly_keeps_nobody_out() {
    let rig = Rig::with(|limits| limits.requests = 2).await;
    let keys = rig.enrolled("till-1").await;
    let other = rig.enrolled("till-2").await;
    let mut slow = Vec::new();
    for (keys, path) in [(None, "/v1/enroll"), (Some(&keys), "/v1/report"), (Some(&keys), "/v1/objects")] {
        for _ in 0..3 {
            let mut stream = rig.by_hand(keys).await;
            let answer = begin(&mut stream, path, 100).await;
            assert!(answer.starts_with("HTTP/1.1 100 Continue"), "{path}: {answer}");
            slow.push(stream);
        }
    }
    let answer = rig.client(&other, Http::Two).await.post("/v1/poll", &poll("a", None, 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let answer = begin(&mut rig.by_hand(None).await, "/v1/poll", 100).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "nothing is read of who shows no certificate: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_its_share_of_requests() {
    let rig = Rig::with(|limits| limits.requests_each = 2).await;
    let keys = rig.enrolled("till-1").await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = rig.by_hand(Some(&keys)).await;
        assert!(begin(&mut stream, "/v1/report", 100).await.starts_with("HTTP/1.1 100"));
        slow.push(stream);
    }
    let mut client = rig.client(&keys, Http::Two).await;
    assert_eq!(client.post("/v1/poll", &poll("a", None, 0)).await.code(), RefusalCode::Busy);
    drop(slow);
    while client.post("/v1/poll", &poll("a", None, 0)).await.status != StatusCode::NO_CONTENT {
        tokio::task::yield_now().await;
    }
}

/// Asks for an object that is much more than fits into the buffers of a connection, and takes nothing of it but the first byte.
async fn takes_nothing(rig: &Rig, keys: &Keys, asked: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = rig.by_hand(Some(keys)).await;
    let head = format!("POST /v1/objects HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", asked.len());
    stream.write_all(&[head.as_bytes(), asked].concat()).await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_what_it_asked_for_is_bounded_and_cut_off() {
    let rig = Rig::with(|limits| {
        (limits.requests, limits.answers, limits.stall) = (1, (49 << 20, 2), Duration::from_secs(5));
    })
    .await;
    let repository = rig.repository();
    let commit = repository.commit(&"x".repeat(16 << 20), &[]);
    let blob = repository.git(&["rev-parse", &format!("{commit}:file.yaml")]);
    let asked = Objects { want: vec![blob.parse().unwrap()] };
    let (keys, other) = (rig.enrolled("till-1").await, rig.enrolled("till-2").await);
    let bytes = serde_json::to_vec(&asked).unwrap();
    let stuck = [takes_nothing(&rig, &keys, &bytes).await, takes_nothing(&rig, &keys, &bytes).await];

    let mut client = rig.client(&keys, Http::Two).await;
    assert_eq!(client.post("/v1/objects", &asked).await.code(), RefusalCode::Busy, "it has two");
    let mut others = rig.client(&other, Http::Two).await;
    let answer = others.post("/v1/poll", &poll("a", None, 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "what is sent takes no place");
    let third = takes_nothing(&rig, &other, &bytes).await;
    assert_eq!(others.post("/v1/objects", &asked).await.code(), RefusalCode::Unavailable, "there is no room for more");

    // They are cut off while their ends here stay open, and then there is room.
    while client.post("/v1/objects", &asked).await.status != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    drop((stuck, third));
}

#[tokio::test(flavor = "multi_thread")]
async fn few_come_without_a_certificate() {
    let rig = Rig::with(|limits| limits.strangers = (10, 2)).await;
    let keys = rig.enrolled("till-1").await;
    // Whoever enrolled has hung up, and may not be gone yet.
    let stranger = async || {
        let mut client = rig.stranger(Http::One).await;
        client.send(Method::GET, "/v1/health", Vec::new(), false).await.map(|_| client)
    };
    let mut strangers = Vec::new();
    while strangers.len() < 2 {
        strangers.extend(stranger().await);
    }
    assert!(stranger().await.is_err());
    let answer = rig.client(&keys, Http::Two).await.post("/v1/poll", &poll("a", None, 0)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}
