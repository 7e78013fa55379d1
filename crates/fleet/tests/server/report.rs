//! How machines say they are.

use crate::{
    client::Http,
    rig::{Rig, commit, poll},
};
use abide_fleet::protocol::{Happening, MachineState, RefusalCode, Report};
use hyper::StatusCode;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_kept_once() {
    let rig = Rig::new().await;
    let term = rig.lead();
    let keys = rig.enrolled("till-1").await;
    let number = rig.tell(&term, "till-1", commit(1));
    rig.server.wake();
    let mut client = rig.client(&keys, Http::Two).await;
    client.post("/v1/poll", &poll("a", None, 10)).await;
    let ready = Report {
        session: "a".to_owned(),
        sequence: 1,
        target: Some(number),
        in_force: Some(commit(1)),
        state: MachineState::Ready,
        state_for: 0,
        happened: vec![Happening { at: 1, unit: "Container/web".to_owned(), text: "started".to_owned() }],
        ..Report::default()
    };
    assert_eq!(client.post("/v1/report", &ready).await.status, StatusCode::NO_CONTENT);
    let machine = rig.machine("till-1");
    let reported = machine.reported.clone().unwrap();
    assert_eq!((reported.report.state, reported.report.target), (MachineState::Ready, Some(number)));
    let since = reported.ready_since.unwrap();
    assert!(since >= machine.target.unwrap().at && since <= rig.now());
    assert_eq!(rig.store.happenings(&machine.name).unwrap().len(), 1);

    let upto = rig.store.changes(0).unwrap().upto;
    assert_eq!(client.post("/v1/report", &ready).await.status, StatusCode::NO_CONTENT, "the answer got lost");
    assert_eq!(rig.store.changes(upto).unwrap().machines, []);

    let longer = Report { sequence: 2, state_for: 1 << 50, happened: Vec::new(), ..ready.clone() };
    client.post("/v1/report", &longer).await;
    let machine = rig.machine("till-1");
    let since = machine.reported.unwrap().ready_since.unwrap();
    assert_eq!(since, machine.target.unwrap().at, "it can't have been ready before it was told");

    let about_another = Report { sequence: 3, target: Some(number - 1), ..longer };
    client.post("/v1/report", &about_another).await;
    assert_eq!(rig.machine("till-1").reported.unwrap().ready_since, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_may_be_the_first_that_is_heard() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::One).await;
    let report = Report { session: "a".to_owned(), sequence: 1, ..Report::default() };
    assert_eq!(client.post("/v1/report", &report).await.status, StatusCode::NO_CONTENT);
    let machine = rig.machine("till-1");
    assert_eq!(machine.session.as_deref(), Some("a"));
    assert!(machine.reported.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_have_bounds() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::One).await;
    let happening = Happening { at: 1, unit: String::new(), text: "x".to_owned() };
    let report = Report { session: "a".to_owned(), sequence: 1, happened: vec![happening; 101], ..Report::default() };
    assert_eq!(client.post("/v1/report", &report).await.code(), RefusalCode::BadRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_shown_what_machines_say_and_no_more_than_that() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::One).await;
    let report = Report {
        session: "a".to_owned(),
        sequence: 1,
        message: "all is \u{1b}[2Jwell\nand \u{202e}more".to_owned(),
        units: [("x".repeat(16_000), 1), ("run\u{7}ning".to_owned(), 2)].into(),
        happened: vec![Happening { at: 1, unit: "\u{9b}1m".to_owned(), text: "\u{1b}]0;x".to_owned() }],
        ..Report::default()
    };
    assert_eq!(client.post("/v1/report", &report).await.status, StatusCode::NO_CONTENT);
    let machine = rig.machine("till-1");
    let kept = machine.reported.unwrap().report;
    assert_eq!(kept.message, "all is \u{fffd}[2Jwell and \u{fffd}more");
    assert_eq!(kept.units.into_iter().collect::<Vec<_>>(), [("run\u{fffd}ning".to_owned(), 2), ("x".repeat(32), 1)]);
    let happened = rig.store.happenings(&machine.name).unwrap();
    assert_eq!((happened[0].unit.as_str(), happened[0].text.as_str()), ("\u{fffd}1m", "\u{fffd}]0;x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_cant_have_written_without_end() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    for sequence in 1.. {
        let report = Report { session: "a".to_owned(), sequence, ..Report::default() };
        let answer = client.post("/v1/report", &report).await;
        if answer.status != StatusCode::NO_CONTENT {
            assert_eq!(answer.code(), RefusalCode::Busy);
            assert!(sequence > 60, "some may come at once: {sequence}");
            break;
        }
    }
}
