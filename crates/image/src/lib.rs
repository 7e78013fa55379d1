//! OCI images: where they come from, and how they lie on disk for overlayfs to stack.
//!
//! ```text
//!  Wanted ──► Location ──► Origin: a registry (`registry`), or files (`local`)
//!                             │  index → manifest → config, checked by digest (`manifest`, `config`)
//!                             ▼
//!   layer bytes ─► Verified ─► Plain ─► Verified ─► Archive ─► unpack ─► Store
//!                  as stored   gunzip…  as plain    `tar`      a folder  renamed once it is on disk
//! ```
//!
//! A layer is unpacked while it is pulled, into a folder of its own, and is believed at the end: only when both digests are
//! right does it get the name that others find. Whatever fails before that leaves nothing. Everything that comes from
//! outside is bounded, and each name in a layer is resolved beneath the layer's root (`unpack`).
//!
//! Nothing is tried twice in here: who asked hears what failed, and [`PrepareError::can_retry`] tells whether asking again
//! makes sense.
#![forbid(unsafe_code)]

mod config;
mod decompress;
mod error;
mod images;
mod layer;
mod local;
mod login;
mod manifest;
mod origin;
mod registry;
mod store;
mod tar;
mod unpack;
mod verify;
mod wanted;

pub use config::Config;
pub use error::{PrepareError, StoreError};
pub use images::{Credentials, Image, Images, Options};
pub use local::LocalError;
pub use login::{Login, LoginError};
pub use manifest::DocumentError;
pub use origin::Progress;
pub use registry::{Patience, RegistryError};
pub use tar::TarError;
pub use unpack::{Limits, UnpackError};
pub use verify::Mismatch;
pub use wanted::Wanted;
