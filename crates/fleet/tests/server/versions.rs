//! Machines of an earlier release, and of a later one, at this hub. `protocol-1/` has what was said by the first release:
//! of each request the least that it may have, all that it has, and the answer. These files never change.

use crate::{
    client::{Http, Keys},
    rig::{Repository, Rig, commit, poll},
};
use abide_fleet::protocol::{
    Chain, Enroll, Enrolled, Issued, MachineState, Objects, PROTOCOL, Poll, Refusal, RefusalCode, Renew, Report, Target,
};
use hyper::StatusCode;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// What was said of one request.
fn said(text: &str) -> [Value; 3] {
    let said: Value = serde_json::from_str(text).unwrap();
    ["least", "request", "answer"].map(|which| said[which].clone())
}

/// With fields of the years to come, wherever there are any.
fn newer(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let known = fields.iter().map(|(name, value)| (name.clone(), newer(value)));
            // A map of numbers has no fields, but keys.
            let is_map = !fields.is_empty() && fields.values().all(Value::is_u64) && !fields.contains_key("protocol");
            let future = ("of_2031".to_owned(), json!({"a": [1, null, {"b": "c"}]}));
            known.chain((!is_map).then_some(future)).collect()
        }
        Value::Array(all) => all.iter().map(newer).collect(),
        other => other.clone(),
    }
}

/// It is read as it was meant: what was said is said by this release as well, with the same names and values; with more
/// around it, it is the same; and the least is enough.
fn is_read<T: Serialize + DeserializeOwned>(value: &Value) {
    let read = |value: &Value| serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap();
    let again = read(value);
    for (name, value) in value.as_object().unwrap() {
        assert_eq!(&again[name], value, "{name}");
    }
    assert_eq!(read(&newer(value)), again);
}

#[test]
fn what_the_first_release_said_is_understood() {
    fn both<Q: Serialize + DeserializeOwned, A: Serialize + DeserializeOwned>(text: &str) {
        let [least, request, answer] = said(text);
        is_read::<Q>(&least);
        is_read::<Q>(&request);
        if !answer.is_null() {
            is_read::<A>(&answer);
        }
    }
    both::<Enroll, Enrolled>(include_str!("protocol-1/enroll.json"));
    both::<Renew, Issued>(include_str!("protocol-1/renew.json"));
    both::<Poll, Target>(include_str!("protocol-1/poll.json"));
    both::<Report, ()>(include_str!("protocol-1/report.json"));
    both::<Chain, Refusal>(include_str!("protocol-1/chain.json"));
    both::<Objects, Refusal>(include_str!("protocol-1/objects.json"));
    let least: Target =
        serde_json::from_value(json!({"number": 1, "commit": "1cec7dd0b9a1f5d2c3e4f5061728394a5b6c7d8e"})).unwrap();
    assert_eq!((least.tag, least.rotations), (None, Vec::new()));
}

#[test]
fn words_of_the_future_are_no_mistake() {
    let state: MachineState = serde_json::from_value(json!("hibernating")).unwrap();
    assert_eq!(state, MachineState::Changing, "it isn't ready, and isn't bad");
    let refusal: Refusal = serde_json::from_value(json!({"code": "quota", "message": "too much of it"})).unwrap();
    assert_eq!(refusal.code, RefusalCode::Other);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_of_other_releases_are_served() {
    let rig = Rig::new().await;
    let repository: Repository = rig.repository();
    let first = repository.commit("1", &[]);
    let second = repository.commit("2", &[&first]);
    let term = rig.lead();
    for (name, change) in [("older", keep as fn(&Value) -> Value), ("newer", newer)] {
        let mut keys = Keys::new();
        let token = rig.token(name, |_| {});
        let mut asked = serde_json::to_value(keys.enroll(&token, name)).unwrap();
        asked.as_object_mut().unwrap().remove("version");
        let enrolled = rig.stranger(Http::One).await.post("/v1/enroll", &change(&asked)).await;
        keys.chain = enrolled.json::<Enrolled>().issued.chain;
        let mut client = rig.client(&keys, Http::Two).await;

        let mut renewed = Keys::new();
        let asked = serde_json::to_value(renewed.renew(name)).unwrap();
        renewed.chain = client.post("/v1/renew", &change(&asked)).await.json::<Issued>().chain;
        let mut client = rig.client(&renewed, Http::One).await;

        rig.tell(&term, name, second.parse().unwrap());
        rig.server.wake();
        let [least, ..] = said(include_str!("protocol-1/poll.json"));
        let mut waits = least.clone();
        waits["wait"] = json!(60);
        let target: Target = client.post("/v1/poll", &change(&waits)).await.json();
        assert_eq!(target.commit.to_string(), second);

        let [least, request, _] = said(include_str!("protocol-1/report.json"));
        for report in [least, request] {
            let answer = client.post("/v1/report", &change(&report)).await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT, "{name}: {answer:?}");
        }
        let mut report = said(include_str!("protocol-1/report.json"))[1].clone();
        (report["sequence"], report["state"]) = (json!(3), json!("hibernating"));
        assert_eq!(client.post("/v1/report", &change(&report)).await.status, StatusCode::NO_CONTENT);

        let chain = json!({"from": first, "to": second});
        assert_eq!(client.post("/v1/chain", &change(&chain)).await.status, StatusCode::OK);
        let objects = json!({"want": [first, second]});
        assert_eq!(client.post("/v1/objects", &change(&objects)).await.status, StatusCode::OK);
    }
}

fn keep(value: &Value) -> Value {
    value.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_is_too_new_or_too_old_is_refused_in_words() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let term = rig.lead();
    rig.tell(&term, "till-1", commit(1));
    let mut client = rig.client(&keys, Http::One).await;
    for protocol in [0, PROTOCOL + 1, u32::MAX] {
        let answer = client.post("/v1/poll", &Poll { protocol, ..poll("a", None, 0) }).await;
        assert_eq!(answer.code(), RefusalCode::Protocol, "{protocol}");
        let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap();
        assert!(refusal.message.contains("use a release of abide that is closer"), "{}", refusal.message);
    }
}
