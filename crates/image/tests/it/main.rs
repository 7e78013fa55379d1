//! Images as they come: files on this machine, a real registry (Debian's `docker-registry` and `skopeo`), and servers that
//! misbehave. Layers are unpacked with owners and whiteouts, so these tests need root.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod hostile;
mod local;
mod registry;
mod rig;
