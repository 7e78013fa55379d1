//! Instances in real keepers: their whole life, what crashes leave, and ports that move under load.

mod life;
mod rig;
