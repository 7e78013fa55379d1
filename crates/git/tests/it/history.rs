//! Following a repository with all of its history, as who hands it on does.

use crate::support::{Place, next, text};
use abide_git::{GitSource, Settings, cache::History};
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

    place.git("work", &["checkout", "-q", "--orphan", "unrelated"]);
    let rewritten = place.push_volume("rewritten");
    assert_eq!(next(&mut source).unwrap().commit, rewritten);
    assert_eq!(history(place, &rewritten).join(" "), rewritten);
    place.git("state/repo.git", &["fsck", "--strict", "--full", &tip, &rewritten]);

    drop(source);
    fs::remove_file(place.path("state/repo.git/HEAD")).unwrap();
    let settings = Settings { keep: vec![rewritten.clone(), tip.clone()], ..settings };
    assert_eq!(next(&mut GitSource::new(settings).unwrap()).unwrap().commit, rewritten, "the cache is made anew");
    assert_eq!(history(place, &rewritten).join(" "), rewritten);
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
