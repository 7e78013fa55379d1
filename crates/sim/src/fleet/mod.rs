//! A hub and a thousand machines that come, go, lag, lie and fail: the same Reconciler, with a commit as the version of a
//! machine and a roll-out as its group.
//!
//! What is promised here, as far as the hub can know:
//!
//! - No more machines are down because they were told something than may be, and none is taken down while as many as may be
//!   are known to be down. Neither a crash of the hub nor one that led before and goes on changes anything about that.
//! - A commit that works nowhere is never told to a machine beyond the first wave, and all that took it go back.
//! - Every machine in reach ends on the commit that is wished, whatever backup of its database the hub was put back to.
//!
//! Who is removed from the fleet is no part of it: neither of those that are down nor of those that may be. Who never proved
//! that it serves is missed by nobody, or machines that a first commit broke would keep its fix out.
//!
//! A machine that lies harms itself. One that says that it is ready when it isn't lends its vote to a bad commit, which
//! passes a wave only if no more of its honest machines tried it than may be bad. One that never gets ready, or cries wolf,
//! is one bad member: as many of them as may be bad hold up nobody, and more can stop a roll-out, but not break a budget. What
//! one says of targets that it wasn't told, or was told before, counts for nothing.
//!
//! What the hub's backend owes the core is in `hub`.

mod hub;
mod machine;
mod oracle;
mod revision;
mod story;

pub use story::run;
