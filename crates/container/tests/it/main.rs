//! Containers as they run: everything through a real keeper, in a root of its own each. Needs root, overlayfs and the
//! package busybox-static.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod hostile;
mod image;
mod life;
mod real;
mod rig;
mod rights;
mod spec;
