//! What the machine's owner may not say about a source.

use super::is_absolute;
use crate::{
    diagnostic::Diagnostic,
    document::{
        Document,
        Part::{self, Index, Key},
    },
    kind::{Credentials, Follow, GitSource, SourceSpec},
};

/// Checks a source of the machine's owner.
pub(crate) fn source(document: &Document<'_>, spec: &SourceSpec, mistakes: &mut Vec<Diagnostic>) {
    let mut say = |path: &[Part<'_>], text: String| mistakes.push(document.mistake(document.place(path), text));
    match &spec.follow {
        Follow::Git(git) => repository(git, &mut say),
        // A field that nothing reads would be taken for one that works.
        Follow::Kubernetes(_) if spec.credentials != Credentials::default() => {
            let text =
                "these are for repositories: an agent finds what it needs for its cluster in its pod or `KUBECONFIG`";
            say(&[Key("spec"), Key("credentials")], text.to_owned());
        }
        Follow::Hub(hub) => {
            if !is_hub(&hub.url) {
                let text = format!("{:?} is no hub: write https://HOST or https://HOST:PORT", hub.url);
                say(&[Key("spec"), Key("hub"), Key("url")], text);
            }
            if spec.credentials != Credentials::default() {
                let text = "these are for repositories: a machine shows its hub the certificate of `abide enroll`";
                say(&[Key("spec"), Key("credentials")], text.to_owned());
            }
        }
        Follow::Kubernetes(_) | Follow::Placement | Follow::Fleet => {}
    }
    let files = [("tokenFile", &spec.credentials.token_file), ("caFile", &spec.credentials.ca_file)];
    for (field, file) in files {
        if file.as_ref().is_some_and(|file| !file.starts_with('/')) {
            say(&[Key("spec"), Key("credentials"), Key(field)], "expected an absolute path".to_owned());
        }
    }
    for (n, path) in spec.grants.host_paths.iter().enumerate() {
        if !is_absolute(path) {
            let text = format!("expected an absolute path without `.` and `..`, not {path:?}");
            say(&[Key("spec"), Key("grants"), Key("hostPaths"), Index(n)], text);
        }
    }
}

/// Whether it is a place that a hub can be at: its paths are the protocol's.
fn is_hub(url: &str) -> bool {
    let host = url.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    host.is_some_and(|host| {
        !host.is_empty() && !host.contains(['/', '@', '?', '#']) && host.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

fn repository(git: &GitSource, say: &mut dyn FnMut(&[Part<'_>], String)) {
    let url = &git.url;
    let is_local = url.starts_with('/') || url.starts_with("file:///");
    if !is_local && !url.starts_with("https://") {
        let text = format!("{url:?} can't be followed: write an absolute path, file:///PATH or https://HOST/PATH");
        say(&[Key("spec"), Key("git"), Key("url")], text);
    }
    let is_inside = |path: &String| !path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if git.path.as_ref().is_some_and(|path| !is_inside(path)) {
        say(&[Key("spec"), Key("git"), Key("path")], "expected a folder of the repository, as hosts/edge-7".to_owned());
    }
}
