//! Following a repository with all of its history, as who hands it on does.

use crate::support::{Place, next, text};
use abide_git::{GitSource, Oid, Settings, Tags, cache::History};
use abide_lab::{GitServer, TOKEN};
use abide_spec::quantity::Span;
use std::{fs, time::Duration};

fn settings(place: &Place, url: &str) -> Settings {
    fs::write(place.path("token"), format!("{TOKEN}\n")).unwrap();
    place.settings(url, |settings| {
        settings.history = History::Whole;
        settings.repository.interval = Span(Duration::from_millis(300));
        settings.credentials.token_file = Some(text(&place.path("token")));
        settings.credentials.ca_file = Some(text(&place.path("ca.pem")));
    })
}

/// Every commit is there with all it needs, whether it was a tip that was said or came between two.
fn follows(place: &Place, url: &str) {
    let settings = settings(place, url);
    let first = place.push_volume("first");
    let second = place.push_volume("second");
    let mut source = GitSource::new(settings.clone()).unwrap();
    assert_eq!(next(&mut source).unwrap().commit, second);
    assert_eq!(history(place, &second), [second.clone(), first.clone()]);

    place.write("volume.yaml", crate::support::volume("between"));
    let between = place.commit("between");
    place.write("volume.yaml", crate::support::volume("tip"));
    let tip = place.commit("tip");
    place.push();
    assert_eq!(next(&mut source).unwrap().commit, tip);
    assert_eq!(history(place, &tip), [tip.clone(), between, second.clone(), first.clone()]);

    tags(place, &mut source, &first, &tip);

    place.git("work", &["checkout", "-q", "--orphan", "unrelated"]);
    let rewritten = place.push_volume("rewritten");
    assert_eq!(next(&mut source).unwrap().commit, rewritten);
    assert_eq!(history(place, &rewritten).join(" "), rewritten);
    place.git("state/repo.git", &["fsck", "--strict", "--full", &tip, &rewritten]);

    drop(source);
    fs::remove_file(place.path("state/repo.git/HEAD")).unwrap();
    let settings = Settings { keep: vec![rewritten.clone(), tip.clone()], ..settings };
    tag(place, "v3", &rewritten);
    let mut source = GitSource::new(settings).unwrap();
    assert_eq!(next(&mut source).unwrap().commit, rewritten, "the cache is made anew");
    assert_eq!(history(place, &rewritten).join(" "), rewritten);
    is_listed(place, &rewritten, &["v3"]);
}

/// A tag that comes or goes is news of the same tip.
fn tags(place: &Place, source: &mut GitSource, first: &str, tip: &str) {
    // One without an object says nothing that can be signed.
    place.git("work", &["tag", "light"]);
    tag(place, "v2", tip);
    assert_eq!(next(source).unwrap().commit, tip);
    is_listed(place, tip, &["v2"]);
    tag(place, "v1", first);
    tag(place, "stable/v2", tip);
    // They may be seen one after the other.
    while Tags::read(&place.path("state")).unwrap().of(id(tip)).count() < 2 {
        assert_eq!(next(source).unwrap().commit, tip);
    }
    is_listed(place, first, &["v1"]);
    is_listed(place, tip, &["v2", "stable/v2"]);
    place.git("bare.git", &["tag", "-d", "v2"]);
    assert_eq!(next(source).unwrap().commit, tip);
    is_listed(place, tip, &["stable/v2"]);
}

fn tag(place: &Place, name: &str, commit: &str) {
    place.git("work", &["tag", "-a", "-m", name, name, commit]);
    place.git("work", &["push", "-q", "../bare.git", name]);
}

/// The commit's tags are listed, and are in the cache.
fn is_listed(place: &Place, commit: &str, names: &[&str]) {
    let listed: Vec<String> =
        Tags::read(&place.path("state")).unwrap().of(id(commit)).map(|tag| tag.to_string()).collect();
    let mut wanted: Vec<String> = names.iter().map(|name| place.git("work", &["rev-parse", name])).collect();
    wanted.sort();
    assert_eq!(listed, wanted);
    for tag in listed {
        assert_eq!(place.git("state/repo.git", &["cat-file", "-t", &tag]), "tag");
    }
}

fn id(commit: &str) -> Oid {
    Oid::from_str(commit).unwrap()
}

fn history(place: &Place, commit: &str) -> Vec<String> {
    assert!(!place.path("state/repo.git/shallow").exists());
    place.git("state/repo.git", &["rev-list", "--objects", "--missing=error", commit]);
    place.git("state/repo.git", &["rev-list", commit]).lines().map(str::to_owned).collect()
}

#[test]
fn of_this_machine() {
    let place = Place::new();
    let url = text(&place.path("bare.git"));
    follows(&place, &url);
}

#[test]
fn by_version_2() {
    let place = Place::new();
    let server = GitServer::start(&place.path("."));
    follows(&place, &server.url("bare.git"));
}

#[test]
fn by_version_0() {
    let place = Place::new();
    let server = GitServer::start(&place.path("."));
    follows(&place, &server.url("v0/bare.git"));
}
