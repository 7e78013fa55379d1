//! What machines check and read.

use crate::{client::Http, rig::Rig};
use abide_fleet::protocol::{ANSWER_BYTES_MAX, Chain, Frame, ObjectId, ObjectKind, Objects, RefusalCode, read_frames};
use hyper::Method;
use std::sync::atomic::Ordering;

fn id(text: &str) -> ObjectId {
    text.parse().unwrap()
}

fn ids(frames: &[Frame]) -> Vec<String> {
    let name = |frame: &Frame| {
        let kind = match frame.kind {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
            ObjectKind::Tag => "tag",
        };
        let whole = [format!("{kind} {}\0", frame.content.len()).as_bytes(), &frame.content].concat();
        let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &whole);
        ObjectId(hash.as_ref().try_into().unwrap()).to_string()
    };
    frames.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn how_one_commit_leads_to_another_is_shown() {
    let rig = Rig::new().await;
    let repository = rig.repository();
    let a = repository.commit("a", &[]);
    let b = repository.commit("b", &[&a]);
    let side = repository.commit("side", &[]);
    let merge = repository.commit("merge", &[&side, &b]);
    let tip = repository.commit("tip", &[&merge]);
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    for (from, to, way) in [
        (&a, &b, vec![&b]),
        (&a, &tip, vec![&tip, &merge, &b]),
        (&side, &tip, vec![&tip, &merge]),
        (&tip, &tip, vec![]),
    ] {
        let answer = client.post("/v1/chain", &Chain { from: id(from), to: id(to) }).await;
        let frames = read_frames(&answer.body[..], ANSWER_BYTES_MAX).unwrap();
        assert_eq!(ids(&frames).iter().collect::<Vec<_>>(), way);
    }
    let looks = rig.looks.load(Ordering::Relaxed);
    for (from, to, code) in [
        (id(&b), id(&a), RefusalCode::NoDescendant),
        (id(&side), id(&b), RefusalCode::NoDescendant),
        (ObjectId([1; 20]), id(&b), RefusalCode::NoDescendant),
        (id(&a), ObjectId([1; 20]), RefusalCode::Missing),
    ] {
        let answer = client.post("/v1/chain", &Chain { from, to }).await;
        assert_eq!(answer.code(), code);
        assert_eq!(answer.headers.contains_key("retry-after"), code == RefusalCode::Missing);
    }
    assert_eq!(rig.looks.load(Ordering::Relaxed), looks + 1, "what may have been pushed just now is looked for");
    for n in 0..20 {
        client.post("/v1/objects", &Objects { want: vec![ObjectId([n; 20])] }).await;
    }
    let looks = rig.looks.load(Ordering::Relaxed) - looks;
    assert!(looks < 20, "nobody has the forge asked without a pause: {looks} looks");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_in_the_order_that_they_were_asked_for() {
    let rig = Rig::new().await;
    let repository = rig.repository();
    let commit = repository.commit("hello", &[]);
    let tree = repository.git(&["rev-parse", &format!("{commit}^{{tree}}")]);
    let blob = repository.git(&["rev-parse", &format!("{commit}:file.yaml")]);
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::One).await;
    let want = [&tree, "0101010101010101010101010101010101010101", &commit, &blob].map(id).to_vec();
    let asked = serde_json::to_vec(&Objects { want }).unwrap();
    for takes_gzip in [false, true] {
        let answer = client.send(Method::POST, "/v1/objects", asked.clone(), takes_gzip).await.unwrap();
        let frames = if takes_gzip {
            assert_eq!(answer.headers["content-encoding"], "gzip");
            read_frames(flate2::read::GzDecoder::new(&answer.body[..]), ANSWER_BYTES_MAX)
        } else {
            read_frames(&answer.body[..], ANSWER_BYTES_MAX)
        };
        assert_eq!(ids(&frames.unwrap()), [&*tree, &*commit, &*blob], "what isn't there is left out");
    }
    let nothing = Objects { want: vec![ObjectId([1; 20])] };
    assert_eq!(client.post("/v1/objects", &nothing).await.code(), RefusalCode::Missing);
    let many = Objects { want: vec![ObjectId([1; 20]); 1001] };
    assert_eq!(client.post("/v1/objects", &many).await.code(), RefusalCode::BadRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_has_a_bound_and_at_least_one_object() {
    let rig = Rig::new().await;
    let repository = rig.repository();
    let blobs: Vec<String> = (0..3)
        .map(|n| {
            let commit = repository.commit(&format!("{n}").repeat(7 << 20), &[]);
            repository.git(&["rev-parse", &format!("{commit}:file.yaml")])
        })
        .collect();
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    let mut want: Vec<ObjectId> = blobs.iter().map(|blob| id(blob)).collect();
    let answer = client.post("/v1/objects", &Objects { want: want.clone() }).await;
    assert_eq!(ids(&read_frames(&answer.body[..], ANSWER_BYTES_MAX).unwrap()), blobs[..2]);
    let answer = client.post("/v1/objects", &Objects { want: want.split_off(2) }).await;
    assert_eq!(ids(&read_frames(&answer.body[..], ANSWER_BYTES_MAX).unwrap()), blobs[2..]);
}

/// Each of so many merges is one step of the way, and all of them are looked at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_way_through_merges_takes_the_first_parent_that_leads() {
    let rig = Rig::new().await;
    let repository = rig.repository();
    let begin = repository.commit("begin", &[]);
    let (mut tip, mut way) = (begin.clone(), Vec::new());
    for n in 0..12 {
        let work = repository.commit(&format!("work {n}"), &[&tip]);
        let stray = repository.commit(&format!("stray {n}"), &[]);
        let merge = repository.commit(&format!("merge {n}"), &[&stray, &tip, &work]);
        // Who has a choice takes the parent itself, where it is one.
        way.insert(0, merge.clone());
        tip = merge;
    }
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    for skip in [0, 5] {
        let answer = client.post("/v1/chain", &Chain { from: id(&begin), to: id(&way[skip]) }).await;
        assert_eq!(ids(&read_frames(&answer.body[..], ANSWER_BYTES_MAX).unwrap()), way[skip..]);
    }
}
