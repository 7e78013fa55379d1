//! Renewing the certificate that a machine shows, while it follows its hub.

use super::{
    asking::target,
    following::{Machine, Simple, is_poll, passing_until},
    hub::{Answer, Asked, Http, Hub, document, issued, now, refusal},
    pass,
};
use crate::{
    link::key::Key,
    protocol::{Poll, RefusalCode, Renew},
};
use std::sync::Arc;

/// Renews, and lets in whoever shows a certificate of that serial or later.
fn renews(hub: &Hub, lets_in: i64) -> impl FnMut(&Asked) -> Answer + use<> {
    let authority = Arc::clone(&hub.authority);
    move |asked| {
        let by = asked.by.as_ref().expect("a machine");
        match asked.path.as_str() {
            "/v1/renew" => document(&issued(&authority, "till-1", &asked.read::<Renew>().key, now())),
            _ if by.serial < lets_in * 1000 => Answer::Document(403, refusal(RefusalCode::Unknown, "too new")),
            "/v1/poll" if asked.read::<Poll>().knows.is_none() => document(&target(7, 'a')),
            "/v1/poll" => Answer::Nothing(asked.read::<Poll>().wait.into()),
            _ => Answer::Nothing(0),
        }
    }
}

const DAY: i64 = 24 * 3600;

#[tokio::test]
async fn a_certificate_is_renewed_by_the_hubs_clock() {
    let hub = Hub::start_at(Http::Two, now() - 30 * DAY).await;
    let (_directory, folder, identity) = hub.machine(now() - 21 * DAY);
    hub.answers(renews(&hub, 0));
    let mut machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
    assert_eq!(machine.says().await, Ok("a".repeat(40)));
    let renewed = hub
        .until(|asked| {
            let polls: Vec<&Asked> = asked.iter().filter(|asked| is_poll(asked)).collect();
            let serial = polls.last()?.by.as_ref()?.serial;
            (polls.len() >= 2 && serial > identity.issued_at * 1000).then_some(serial)
        })
        .await;
    let kept = folder.identity().unwrap().unwrap();
    assert_eq!((kept.issued_at, kept.expires_at), (renewed / 1000, renewed / 1000 + 30 * DAY));
    assert_eq!((kept.age, folder.next().unwrap()), (identity.age, None));
}

#[tokio::test]
async fn a_renewed_certificate_that_is_not_let_in_is_not_kept() {
    let hub = Hub::start_at(Http::Two, now() - 30 * DAY).await;
    let (_directory, folder, identity) = hub.machine(now() - 21 * DAY);
    let before = identity.issued_at * 1000;
    let mut script = renews(&hub, 0);
    hub.answers(move |asked| {
        let is_new = asked.by.as_ref().is_some_and(|by| by.serial > before);
        if is_new { Answer::Document(403, refusal(RefusalCode::Unknown, "who?")) } else { script(asked) }
    });
    let mut machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
    assert_eq!(machine.says().await, Ok("a".repeat(40)), "the one before works");
    assert_eq!((folder.identity().unwrap().unwrap(), folder.next().unwrap()), (identity, None));
}

#[tokio::test]
async fn what_was_renewed_before_a_crash_is_tried() {
    let hub = Hub::start(Http::Two).await;
    let (_directory, folder, identity) = hub.machine(now() - DAY);
    let key = Key::make().unwrap();
    let next = identity.renewed(key.to_pem(), issued(&hub.authority, "till-1", &key.public(), now())).unwrap();
    folder.write_next(&next).unwrap();
    hub.answers(renews(&hub, now() - 60));
    let mut machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
    assert_eq!(machine.says().await, Ok("a".repeat(40)));
    assert_eq!(folder.identity().unwrap().unwrap(), next);
}

/// What the thief of a hub says is believed as little as can be: also that a thousand years have passed.
#[tokio::test]
async fn a_hub_whose_clock_lies_has_no_certificate_renewed_without_end() {
    let hub = Hub::start(Http::Two).await;
    let (_directory, folder, identity) = hub.machine(now());
    let mut script = renews(&hub, 0);
    hub.answers(move |asked| {
        let answer = match script(asked) {
            // It doesn't wait, so that each answer could be a reason.
            Answer::Nothing(_) => Answer::Nothing(0),
            other => other,
        };
        Answer::Dated("Tue, 31 Dec 2999 23:59:59 GMT", Box::new(answer))
    });
    let mut machine = Machine::start(&folder, &identity, Arc::new(Simple::default()));
    assert_eq!(machine.says().await, Ok("a".repeat(40)));
    let polls = |asked: &[Asked]| asked.iter().filter(|asked| is_poll(asked)).count();
    passing_until(hub.until(|asked| (polls(asked) >= 10).then_some(()))).await;
    assert_eq!(hub.asked("/v1/renew").len(), 1);
    assert_ne!(folder.identity().unwrap().unwrap(), identity, "once, as far as a machine can tell, it may be true");
    pass(3600).await;
    passing_until(hub.until(|asked| asked.iter().filter(|asked| asked.path == "/v1/renew").nth(1).map(drop))).await;
}
