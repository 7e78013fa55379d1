//! A hub and a thousand machines that come, go, lag, lie and fail: the same Reconciler, with a commit as the version of a
//! machine and a roll-out as its group.
//!
//! What is promised here, as far as the hub can know:
//!
//! - No more machines are down because they were told something than may be, and none is taken down while as many as may be
//!   are known to be down. A crash of the hub changes nothing about that.
//! - A commit that works nowhere is never told to a machine beyond the first wave, and all that took it go back.
//! - Every machine in reach ends on the commit that is wished.
//!
//! A machine that lies harms itself. One that says that it is ready when it isn't lends its vote to a bad commit, which
//! passes a wave only if no more of its honest machines tried it than may be bad. One that never gets ready, or cries wolf,
//! is one bad member: as many of them as may be bad hold up nobody, and more can stop a roll-out, but not break a budget.
//!
//! What the hub's backend owes the core is in `hub`.

mod hub;
mod machine;
mod oracle;
mod revision;
mod story;

pub use story::run;
