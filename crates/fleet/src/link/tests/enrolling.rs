//! How a machine becomes one of a fleet, and what can go wrong.

use super::hub::{Answer, Asked, Http, Hub, document, enrolled, issued, now, own, refusal};
use crate::{
    link::{
        Folder, Token,
        enroll::{EnrollError, Enrolment, enroll, renew},
        key::Key,
    },
    protocol::{Enroll, Enrolled, RefusalCode, Renew},
    server::authority::{Authority, has_key},
    trust::{State, age, state::Head},
};
use abide_spec::fleet;
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

fn wanted(hub: &Hub) -> Enrolment {
    let (hub, token) = (hub.address(), hub.token());
    Enrolment { hub, token, name: "till-1".parse().unwrap(), version: "0.1.0".to_owned(), signers: None, again: false }
}

fn files(folder: &Path) -> Vec<String> {
    let names = folder.join("identity").read_dir().unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = names
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            format!("{} {mode:o}", entry.file_name().to_str().unwrap())
        })
        .collect();
    names.sort();
    names
}

/// An error with all that caused it.
fn text(error: &EnrollError) -> String {
    crate::link::trouble::with_causes(error)
}

#[tokio::test]
async fn a_machine_is_enrolled_once() {
    for http in [Http::One, Http::Two] {
        let hub = Hub::start(http).await;
        hub.enrols();
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::of(directory.path());
        let identity = enroll(&folder, &wanted(&hub), own()).await.unwrap();
        assert_eq!((identity.name.as_str(), identity.fleet.as_str()), ("till-1", hub.authority.fleet()));
        assert_eq!(folder.identity().unwrap().unwrap(), identity);
        assert_eq!(files(directory.path()), ["identity.json 600"]);
        let asked = &hub.asked("/v1/enroll")[0];
        let request: Enroll = asked.read();
        let decode = |text: &str| BASE64_STANDARD.decode(text).unwrap();
        assert!(has_key(&decode(&request.key), &request.possession(), &decode(&request.proof)));
        assert_eq!((request.token.as_str(), asked.by.is_none()), ("1f00.secret", true), "the root stays here");
        // Again, it says what is there, and asks nobody.
        let error = enroll(&folder, &wanted(&hub), own()).await.unwrap_err();
        assert!(matches!(&error, EnrollError::Already(known) if **known == identity), "{error}");
        assert_eq!(hub.asked("/v1/enroll").len(), 1);
        // Anew, as it was revoked, everything is new; and no number of before is in the way of what is said now.
        let mut state = State::new(&identity.fleet, None);
        state.number = u64::MAX;
        state.write(directory.path()).unwrap();
        let anew = enroll(&folder, &Enrolment { again: true, ..wanted(&hub) }, own()).await.unwrap();
        assert!(anew.key != identity.key && anew.age != identity.age);
        assert_eq!(folder.identity().unwrap().unwrap(), anew);
        assert_eq!(State::read(directory.path()).unwrap().unwrap().number, 0);
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_keys() {
    let hub = Hub::start(Http::Two).await;
    let directory = tempfile::tempdir().unwrap();
    let folder = Folder::of(directory.path());
    hub.answers_each([Answer::Cut(0)]);
    let error = enroll(&folder, &wanted(&hub), own()).await.unwrap_err();
    assert!(matches!(error, EnrollError::Hub(_)), "{error}");
    assert_eq!((files(directory.path()), folder.identity().unwrap()), (vec!["asked.json 600".to_owned()], None));
    hub.enrols();
    enroll(&folder, &wanted(&hub), own()).await.unwrap();
    let requests = hub.asked("/v1/enroll");
    let keys: Vec<_> = requests.iter().map(Asked::read::<Enroll>).map(|ask| (ask.key, ask.recipient)).collect();
    assert_eq!((keys.len(), &keys[0]), (2, &keys[1]));
}

#[tokio::test]
async fn a_hub_of_another_root_learns_no_token() {
    let (hub, other) = (Hub::start(Http::Two).await, Hub::start(Http::Two).await);
    hub.enrols();
    let directory = tempfile::tempdir().unwrap();
    let token: Token = other.token();
    let error = enroll(&Folder::of(directory.path()), &Enrolment { token, ..wanted(&hub) }, own()).await.unwrap_err();
    assert!(text(&error).contains("its root is not the one that the token names"), "{}", text(&error));
    assert!(hub.asked("/v1/enroll").is_empty());
}

#[tokio::test]
async fn answers_that_lie_are_refused() {
    let (hub, other) = (Hub::start(Http::Two).await, Hub::start(Http::Two).await);
    /// Changes the answer of the first authority; the second is another one.
    type Lie = fn(&mut Enrolled, &Authority, &Authority, &Enroll);
    let lies: Vec<(&str, Lie)> = vec![
        ("its root is not", |answer, _, other, _| answer.root = other.root_pem()),
        ("its root is not", |answer, ours, other, _| answer.root = ours.root_pem() + &other.root_pem()),
        ("another machine", |answer, _, _, _| answer.name = "till-2".to_owned()),
        ("names no fleet", |answer, _, _, _| answer.fleet = "../../etc".to_owned()),
        ("of the fleet", |answer, _, other, _| answer.fleet = other.fleet().to_owned()),
        ("for till-2", |answer, ours, _, asked| answer.issued = issued(ours, "till-2", &asked.key, now())),
        ("don't fit together", |answer, ours, _, _| {
            answer.issued = issued(ours, "till-1", &Key::make().unwrap().public(), now());
        }),
        ("can't be read", |answer, _, _, _| answer.issued.chain = "-----BEGIN".to_owned()),
        ("not of the root that this machine knows", |answer, _, other, asked| {
            answer.issued = issued(other, "till-1", &asked.key, now());
        }),
        ("for this machine are encrypted to age1", |answer, ours, _, asked| {
            let (key, other) = (BASE64_STANDARD.decode(&asked.key).unwrap(), age::Identity::generate().unwrap());
            let at = now() * 1000;
            answer.issued = ours.issue("till-1", &key, &other.recipient().to_string(), at, at).unwrap();
        }),
        // Times that are not the certificate's would make it the last one, and its hub the last hub.
        ("issued on Wed, 01 Jan 3000", |answer, _, _, _| answer.issued.now = 32_503_680_000),
        ("issued on Thu, 01 Jan 1970", |answer, _, _, _| answer.issued.now = 0),
        ("to be renewed on 9223372036854775807", |answer, _, _, _| answer.issued.renew_at = i64::MAX),
        ("to be renewed on -9223372036854775808", |answer, _, _, _| answer.issued.renew_at = i64::MIN),
        ("expires on Wed, 01 Jan 3000", |answer, _, _, _| answer.issued.expires_at = 32_503_680_000),
    ];
    for (why, lie) in lies {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::of(directory.path());
        let (ours, others) = (Arc::clone(&hub.authority), Arc::clone(&other.authority));
        hub.answers(move |asked| {
            let request: Enroll = asked.read();
            let mut answer = enrolled(&ours, &request);
            lie(&mut answer, &ours, &others, &request);
            document(&answer)
        });
        let error = enroll(&folder, &wanted(&hub), own()).await.unwrap_err();
        assert!(text(&error).contains(why), "{why}: {}", text(&error));
        assert_eq!(folder.identity().unwrap(), None, "{why}");
    }
}

/// Whatever a thief writes into it, it is renewed while the issuing certificate lasts, which only the root can extend.
#[tokio::test]
async fn a_certificate_is_good_for_as_long_as_what_is_above_it() {
    let day = 24 * 3600;
    for (age, lasts) in [(0, 30), (710, 20)] {
        let at = now();
        let hub = Hub::start_at(Http::Two, at - age * day).await;
        let (_directory, _, identity) = hub.machine(at);
        let times = [identity.issued_at - at, identity.renew_at - at, identity.expires_at - at];
        assert_eq!(times, [0, lasts * day * 2 / 3, lasts * day], "{age}");
    }
}

#[tokio::test]
async fn what_a_machine_accepted_from_one_fleet_is_not_followed_by_anothers() {
    let (hub, other) = (Hub::start(Http::Two).await, Hub::start(Http::Two).await);
    let (_directory, folder, identity) = hub.machine(now());
    other.enrols();
    let error = enroll(&folder, &Enrolment { again: true, ..wanted(&other) }, own()).await.unwrap_err();
    assert!(matches!(error, EnrollError::OtherFleet { .. }), "{error}");
    assert_eq!(folder.identity().unwrap().unwrap(), identity);
}

#[tokio::test]
async fn who_must_sign_is_known_before_the_hub_is_believed() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUAkhiiS7VMcZ0zwGA5LLnDWGHDGwL0lJcx1G3gvGTk anna".parse().unwrap();
    let signers = Some(fleet::Signers { version: 1, require: fleet::Require::Commit, keys: vec![key] });
    let hub = Hub::start(Http::Two).await;
    hub.enrols();
    let directory = tempfile::tempdir().unwrap();
    let folder = Folder::of(directory.path());
    let wanted = Enrolment { signers, ..wanted(&hub) };
    enroll(&folder, &wanted, own()).await.unwrap();
    let mut state = State::read(directory.path()).unwrap().unwrap();
    assert_eq!((state.fleet.as_str(), state.signers_version), (hub.authority.fleet(), 1));
    assert_eq!(state.signers.as_ref().unwrap().keys.len(), 1);
    // Once it has accepted a commit, only commits say who signs; the token isn't even used.
    state.head = Some(Head { commit: "1".repeat(40).parse().unwrap(), floor: None });
    state.write(directory.path()).unwrap();
    let error = enroll(&folder, &Enrolment { again: true, ..wanted }, own()).await.unwrap_err();
    assert!(matches!(error, EnrollError::Pinned), "{error}");
    assert_eq!(hub.asked("/v1/enroll").len(), 1);
}

#[tokio::test]
async fn the_hub_may_refuse() {
    let hub = Hub::start(Http::One).await;
    let directory = tempfile::tempdir().unwrap();
    let answer = Answer::Document(403, refusal(RefusalCode::Token, "the token 1f00 was used up\u{1b}[31m"));
    hub.answers_each([answer]);
    let error = enroll(&Folder::of(directory.path()), &wanted(&hub), own()).await.unwrap_err();
    assert_eq!(text(&error), "the token 1f00 was used up[31m");
}

#[tokio::test]
async fn a_certificate_is_renewed_at_once_if_asked_for() {
    let hub = Hub::start(Http::Two).await;
    let (_directory, folder, identity) = hub.machine(now());
    let authority = Arc::clone(&hub.authority);
    hub.answers(move |asked| {
        let request: Renew = asked.read();
        let by = asked.by.as_ref().expect("a machine");
        let decode = |text: &str| BASE64_STANDARD.decode(text).unwrap();
        assert!(has_key(&decode(&request.key), &request.possession(by.name.as_str()), &decode(&request.proof)));
        document(&issued(&authority, by.name.as_str(), &request.key, now() + 60))
    });
    let renewed = renew(&folder, own()).await.unwrap();
    assert!(renewed.key != identity.key && renewed.age == identity.age && renewed.expires_at > identity.expires_at);
    assert_eq!(folder.identity().unwrap().unwrap(), renewed);
    let nobody = tempfile::tempdir().unwrap();
    assert!(matches!(renew(&Folder::of(nobody.path()), own()).await, Err(EnrollError::Never)));
}
