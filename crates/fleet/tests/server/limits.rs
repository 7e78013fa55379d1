//! What the hub doesn't put up with.

use crate::{
    client::Http,
    rig::{Rig, poll},
};
use abide_fleet::protocol::RefusalCode;
use hyper::{Method, StatusCode};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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
