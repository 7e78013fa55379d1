//! What who comes to the hooks' door may ask: about sources whose repository is theirs to write, and no more than a push
//! needs. The kernel tells who it is (`SO_PEERCRED`), the file system whose the repository is.

use crate::api::Request;
use abide_reconcile::spec::kind::SourceSpec;
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::{
    ffi::CString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What a request at the hooks' door is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A source, by its name.
    Source(String),
    /// A repository, by its path.
    Repository(PathBuf),
}

/// What the request is about, if hooks may ask it at all.
pub(crate) fn about(request: &Request) -> Option<About> {
    let source = match request {
        Request::SourcesOf { repository } => return Some(About::Repository(repository.into())),
        Request::Preview { source, .. } | Request::Wake { source } => Some(source),
        Request::Follow { source, .. } | Request::Allow { source, .. } => source.as_ref(),
        _ => None,
    };
    source.cloned().map(About::Source)
}

/// Where a source's repository is, if it follows one of this machine.
pub(crate) fn repository(source: &SourceSpec) -> Option<&Path> {
    path_of(&source.git()?.url)
}

fn path_of(url: &str) -> Option<&Path> {
    let path = match url.strip_prefix("file://") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => url,
    };
    path.starts_with('/').then(|| Path::new(path))
}

/// Whether the repository is this user's to write. It asks the file system, and the user database for groups: what a
/// process says of itself could be another's by the time it is read.
pub(crate) fn may_write(peer: Peer, repository: &Path) -> bool {
    let Ok(found) = fs::metadata(repository) else { return false };
    let is_for_group = found.mode() & 0o020 != 0;
    peer.uid == 0 || peer.uid == found.uid() || is_for_group && groups(peer).contains(&found.gid())
}

fn groups(peer: Peer) -> Vec<u32> {
    let user = User::from_uid(Uid::from_raw(peer.uid)).ok().flatten();
    let name = user.and_then(|user| CString::new(user.name).ok());
    let listed = name.and_then(|name| getgrouplist(&name, Gid::from_raw(peer.gid)).ok());
    listed.into_iter().flatten().map(Gid::as_raw).chain([peer.gid]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown};

    #[test]
    fn hooks_may_ask_what_a_push_needs() {
        let infra = || Some("infra".to_owned());
        let about_infra = Some(About::Source("infra".to_owned()));
        let commit = String::new;
        assert_eq!(about(&Request::Follow { source: infra(), commit: commit() }), about_infra);
        assert_eq!(about(&Request::Allow { plan: commit(), source: infra() }), about_infra);
        assert_eq!(about(&Request::Wake { source: "infra".to_owned() }), about_infra);
        assert_eq!(about(&Request::Follow { source: None, commit: commit() }), None);
        assert_eq!(about(&Request::Allow { plan: commit(), source: None }), None);
        for request in [Request::Get, Request::Down, Request::Events { follow: false }] {
            assert_eq!(about(&request), None);
        }
        assert_eq!(about(&Request::SourceRemove { name: "infra".to_owned() }), None);
    }

    #[test]
    fn repositories_of_this_machine() {
        let path = Some(Path::new("/srv/infra.git"));
        for url in ["/srv/infra.git", "file:///srv/infra.git", "file://localhost/srv/infra.git"] {
            assert_eq!(path_of(url), path, "{url}");
        }
        assert_eq!(path_of("https://git.example.org/infra.git"), None);
    }

    /// Needs root: it gives a folder away.
    #[test]
    fn owner_group_and_root_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        chown(path, Some(4001), Some(4002)).expect("giving a folder away needs root");
        let set = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let may = |uid, gid| may_write(Peer { uid, gid }, path);
        set(0o2755);
        assert!(may(0, 0) && may(4001, 9));
        assert!(!may(4003, 4002) && !may(4003, 4003));
        set(0o2775);
        assert!(may(4003, 4002));
        assert!(!may(4003, 4003));
        assert!(!may_write(Peer { uid: 4001, gid: 4002 }, &path.join("gone")));
    }
}
