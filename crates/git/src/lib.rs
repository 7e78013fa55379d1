//! Git repositories as sources of wishes.
//!
//! A local repository is noticed to have changed, a remote one is asked by interval; each new tip is brought into a cache
//! of our own and read from there, by the commit's id, as a complete snapshot. So nothing that somebody else does to the
//! repository, its server or its locks can make an incomplete wish, and going back works offline.
//!
//! ```text
//!  repository ──watch──► source ──► child (reads as its owner / fetches)  ──pack──► cache (repo.git)
//!                          │                                                          │ by commit id
//!                          ◄───────────── revision ◄── spec::parse ◄── snapshot ◄─────┘
//! ```
//!
//! | module | question it answers |
//! |---|---|
//! | [`location`] | what may be followed |
//! | [`source`], [`watch`] | what a source says next, and when it looks |
//! | [`revision`] | what a commit says |
//! | [`snapshot`], [`tree`], [`folder`] | which files there are: in a commit, on a disk |
//! | [`cache`], [`tags`] | where objects are kept; which of them are tags |
//! | `child`, `worker` | what is done in a process of its own, and how that is held |
//! | `remote`, `upload_pack`, `packet` | Git's protocol over https |
//! | [`init`], [`hook`] | a repository that deploys, and what its hooks ask |

// One call in `start` needs it.
#![deny(unsafe_code)]

pub mod cache;
mod child;
pub mod folder;
pub mod hook;
pub mod init;
pub mod location;
mod packet;
mod remote;
pub mod revision;
pub mod snapshot;
pub mod source;
pub mod tags;
pub mod tree;
mod upload_pack;
pub mod watch;
mod worker;

pub use child::fetch_child;
pub use git2::{Error, Oid, Repository};
pub use revision::{Commit, describe};
pub use snapshot::{Snapshot, SnapshotError};
pub use source::{GitSource, Settings};
pub use tags::Tags;
pub use watch::Waker;

use git2::{ConfigLevel, opts::set_search_path};
use std::sync::Once;

/// Keeps libgit2 from reading the configuration of this machine and user (`url.insteadOf`, `core.*`): what a commit says
/// depends on the commit. Called by all that needs it, and cheap.
pub fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for level in [ConfigLevel::ProgramData, ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global] {
            // SAFETY: libgit2 changes a global string without a lock. Every path of this crate to libgit2 leads through
            // here first, and `Once` lets nobody on before it is done.
            #[expect(unsafe_code, reason = "libgit2 has no other way to leave out the global configuration")]
            let set = unsafe { set_search_path(level, "") };
            // It fails for a level that libgit2 doesn't have, and then there is nothing to leave out.
            drop(set);
        }
    });
}
