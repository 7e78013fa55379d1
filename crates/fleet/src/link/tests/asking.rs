//! Requests: what a hub, or whoever answers in its place, can't do to a machine.

use super::{
    hub::{Answer, Asked, Http, Hub, document, now, own, refusal},
    passing,
};
use crate::{link::clock::Clock, protocol::ObjectKind};
use crate::{
    link::{client::Client, enroll::client_of, trouble::with_causes},
    protocol::{Objects, Poll, RefusalCode, Report, Target, write_frame},
};
use flate2::{Compression, write::GzEncoder};
use std::{io::Write, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    select,
};

pub(super) fn target(number: u64, digit: char) -> Target {
    Target {
        number,
        commit: digit.to_string().repeat(40).parse().unwrap(),
        tag: None,
        rotations: Vec::new(),
        spread: 4,
    }
}

fn poll(wait: u32) -> Poll {
    Poll { protocol: 1, version: "0.1.0".to_owned(), session: "s".to_owned(), knows: None, wait }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

async fn polled(client: &Client, wait: u32) -> Result<Option<Target>, String> {
    client.poll(&poll(wait)).await.map_err(|trouble| with_causes(&trouble))
}

#[tokio::test]
async fn a_poll_a_report_and_objects_by_either_http() {
    for http in [Http::One, Http::Two] {
        let hub = Hub::start(http).await;
        let (_directory, _, identity) = hub.machine(now());
        let client = hub.client(&identity, own());
        hub.answers(|asked| match asked.path.as_str() {
            "/v1/poll" => document(&target(7, 'a')),
            "/v1/report" => Answer::Nothing(0),
            _ => {
                let mut wire = Vec::new();
                write_frame(&mut wire, ObjectKind::Blob, b"content").unwrap();
                Answer::Bytes(packed(&wire), true)
            }
        });
        assert_eq!(polled(&client, 1).await, Ok(Some(target(7, 'a'))));
        client.report(&Report::default()).await.unwrap();
        let frames = client.objects(&Objects { want: vec![target(7, 'b').commit] }).await.unwrap();
        assert_eq!((frames.len(), frames[0].content.as_slice()), (1, &b"content"[..]));
        assert_eq!(hub.asked("/v1/poll")[0].by.as_ref().unwrap().name.as_str(), "till-1");
    }
}

#[tokio::test]
async fn what_hangs_is_given_up() {
    for http in [Http::One, Http::Two] {
        let hub = Hub::start(http).await;
        let (_directory, _, identity) = hub.machine(now());
        let client = hub.client(&identity, own());
        for (n, answer, text) in [
            (1, Answer::Hang, "the hub's answer took longer than 270 s"),
            (2, Answer::Trickle, "the rest of the hub's answer took longer than "),
        ] {
            hub.answers_each([answer]);
            let arrived = |asked: &[Asked]| (asked.len() == n).then_some(());
            let mut polled = pin!(polled(&client, 240));
            select! { early = &mut polled => panic!("{early:?}"), () = hub.until(arrived) => {} }
            let given_up = passing(polled).await.unwrap_err();
            assert!(given_up.starts_with(text), "{given_up}");
        }
        // And asks by another connection from then on.
        hub.answers_each([Answer::Nothing(0)]);
        assert_eq!(polled(&client, 240).await, Ok(None));
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_is_given_up() {
    let hub = Hub::start(Http::Two).await;
    let (_directory, _, mut identity) = hub.machine(now());
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    identity.hub = format!("https://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let client = hub.client(&identity, own());
    let mut polled = pin!(polled(&client, 1));
    let _accepted = select! { early = &mut polled => panic!("{early:?}"), accepted = silent.accept() => accepted };
    assert_eq!(passing(polled).await, Err("the TLS handshake took longer than 30 s".to_owned()));
}

#[tokio::test]
async fn what_is_too_big_is_not_read() {
    let hub = Hub::start(Http::Two).await;
    let (_directory, _, identity) = hub.machine(now());
    let client = hub.client(&identity, own());
    hub.answers_each([Answer::Flood(1 << 20)]);
    assert_eq!(polled(&client, 1).await, Err("the answer has more than 262144 bytes".to_owned()));
    // 65 MiB of nothing, in 65 KiB.
    let mut bomb = Vec::new();
    write_frame(&mut bomb, ObjectKind::Blob, &vec![0; 65 << 20]).unwrap();
    hub.answers_each([Answer::Bytes(packed(&bomb), true)]);
    let trouble = client.objects(&Objects { want: Vec::new() }).await.unwrap_err();
    let text = with_causes(&trouble);
    assert_eq!(text, "the answer can't be read: objects of more than 67108864 bytes in one answer");
}

#[tokio::test]
async fn what_is_no_answer_is_said_to_be_none() {
    let hub = Hub::start(Http::One).await;
    let (_directory, _, identity) = hub.machine(now());
    let client = hub.client(&identity, own());
    hub.answers_each([
        Answer::Document(200, "<html>".to_owned()),
        Answer::Document(502, "<html>".to_owned()),
        Answer::Later(503, refusal(RefusalCode::Unavailable, "the hub begins"), 7),
        Answer::Later(429, "slowly".to_owned(), 9),
    ]);
    let html = polled(&client, 1).await.unwrap_err();
    assert!(html.starts_with("the answer can't be read: expected value"), "{html}");
    assert_eq!(polled(&client, 1).await, Err("the answer is no hub's: status 502".to_owned()));
    let mut after = Vec::new();
    for _ in 0..2 {
        let trouble = client.poll(&poll(1)).await.unwrap_err();
        after.push((with_causes(&trouble), trouble.after()));
    }
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let said = ["the hub begins", "the answer is no hub's: status 429"].map(str::to_owned);
    assert_eq!(after, Vec::from_iter(said.into_iter().zip([seconds(7), seconds(9)])));
}

#[tokio::test]
async fn a_connection_that_ended_meanwhile_is_no_trouble() {
    let hub = Hub::start(Http::One).await;
    let (_directory, _, identity) = hub.machine(now());
    let client = hub.client(&identity, own());
    // The second answer ends the connection that the first one left; the third comes by a new one.
    hub.answers_each([Answer::Nothing(0), Answer::Cut(0), Answer::Nothing(0)]);
    assert_eq!(polled(&client, 1).await, Ok(None));
    assert_eq!(polled(&client, 1).await, Ok(None));
    assert_eq!(hub.asked("/v1/poll").len(), 3);
}

/// By HTTP/2 a request can come to nothing on a connection that lives.
#[tokio::test]
async fn what_is_reset_each_time_is_asked_for_twice_and_no_more() {
    for http in [Http::One, Http::Two] {
        let hub = Hub::start(http).await;
        let (_directory, _, identity) = hub.machine(now());
        let client = hub.client(&identity, own());
        hub.answers_each([Answer::Nothing(0), Answer::Cut(0)]);
        assert_eq!(polled(&client, 1).await, Ok(None));
        assert!(polled(&client, 1).await.is_err());
        assert_eq!(hub.asked("/v1/poll").len(), 3, "once by the connection that there was, once by another");
    }
}

/// The years are those that machines' clocks show; the hub lives now.
#[tokio::test]
async fn a_hub_is_believed_whatever_the_machines_clock_says() {
    let year = 365 * 24 * 3600;
    let asks = async |hub: &Hub, issued_at: i64, clock: i64| {
        let (_directory, _, identity) = hub.machine(issued_at);
        let client = client_of(&identity, &Arc::new(Clock::new(Arc::new(move || clock), identity.issued_at))).unwrap();
        polled(&client, 1).await
    };
    let hub = Hub::start(Http::Two).await;
    hub.answers_each([Answer::Nothing(0)]);
    assert_eq!(asks(&hub, now(), now()).await, Ok(None));
    assert_eq!(asks(&hub, now(), 0).await, Ok(None), "1970");
    assert_eq!(asks(&hub, now() - year / 13, 0).await, Ok(None), "1970, and away for four weeks");
    let ahead = asks(&hub, now(), now() + year).await.unwrap_err();
    assert!(ahead.contains("expired"), "{ahead}");
    // What a thief signed for a day that has yet to come, while he had the issuing key.
    let (_directory, _, identity) = hub.machine(now());
    let proven = client_of(&identity, &Arc::new(Clock::new(own(), now() + year))).unwrap();
    assert_eq!(polled(&proven, 1).await, Ok(None), "a clock that is right is believed");
    // A hub of which the certificate is of last year: it is not one of today.
    let old = Hub::start_at(Http::Two, now() - year).await;
    old.answers_each([Answer::Nothing(0)]);
    let expired = asks(&old, now() - year, now()).await.unwrap_err();
    assert!(expired.contains("expired"), "{expired}");
    let proven = asks(&old, now() - year / 13, 0).await.unwrap_err();
    assert!(proven.contains("expired"), "what the machine's own certificate proves: {proven}");
}

#[tokio::test]
async fn another_hubs_certificate_is_not_believed() {
    let (hub, other) = (Hub::start(Http::Two).await, Hub::start(Http::Two).await);
    let (_directory, _, mut identity) = hub.machine(now());
    identity.hub = other.address().to_string();
    let text = polled(&hub.client(&identity, own()), 1).await.unwrap_err();
    assert!(text.contains("the TLS handshake with 127.0.0.1") && text.contains("certificate"), "{text}");
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel() {
    use crate::link::{address::Address, dial::Dialer, proxy::Proxy};
    let hub = Hub::start(Http::Two).await;
    hub.answers_each([Answer::Nothing(0)]);
    let (_directory, _, identity) = hub.machine(now());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, port) = (listener.local_addr().unwrap(), hub.port);
    let proxy = tokio::spawn(async move {
        for verdict in ["200 fine", "403 not you"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")), "{head}");
            assert!(head.contains("Proxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n"), "{head}");
            stream.write_all(format!("HTTP/1.1 {verdict}\r\n\r\n").as_bytes()).await.unwrap();
            if verdict.starts_with('2') {
                let mut hub = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut hub).await });
            }
        }
    });
    let clock = Arc::new(Clock::new(own(), identity.issued_at));
    let ask = async || {
        let variable = |name: &str| (name == "https_proxy").then(|| format!("http://anna:secret@{at}"));
        let address: Address = hub.address();
        let proxy = Proxy::of("127.0.0.1", variable).unwrap();
        let dialer = Dialer { address, tls: Arc::new(identity.config(&clock).unwrap()), proxy };
        polled(&Client::new(dialer, Arc::clone(&clock)), 1).await
    };
    assert_eq!(ask().await, Ok(None));
    let refused = ask().await.unwrap_err();
    assert!(refused.ends_with(&format!("refuses to connect to 127.0.0.1:{port}: HTTP/1.1 403 not you")), "{refused}");
    proxy.await.unwrap();
}
