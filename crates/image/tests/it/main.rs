//! Images as they come: files on this machine, a real registry (Debian's `docker-registry` and `skopeo`), and servers that
//! misbehave. Layers are unpacked with owners and whiteouts, so these tests need root.

mod hostile;
mod local;
mod registry;
mod rig;
