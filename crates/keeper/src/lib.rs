//! The keeper: a small single-threaded program that parents one instance and outlives the agent.
//!
//! It is a dull executor. The agent sends a complete [`job::Job`]; the keeper makes the first process in namespaces of its
//! own, which sets itself up as the job says and executes the program. From then on the keeper owns what the program
//! prints, how it ended, and who may enter.
//!
//! ```text
//!  agent ──Job──► keeper ──clone──► first process: cgroup, namespaces, mounts, root, limits
//!        ◄Created─                        │ waits
//!   (link, ports) ──Go──────────────────► │ ids, capabilities, seccomp, exec
//!        ◄Started─ or Failed              ▼
//!        (hangs up)                       program ──stdout, stderr──► log
//!  client ──keeper.sock──► signal, exec                └──exit──► record, and the keeper ends
//! ```
//!
//! If the agent dies before `Go`, so does what was made. If the keeper dies, the kernel kills the first process
//! (`PR_SET_PDEATHSIG`), and with it all of its process namespace.
//!
//! | module | what it is |
//! |---|---|
//! | [`job`], [`message`], [`record`] | what is said and written; both sides use these |
//! | [`date`] | dates in logs |
//! | [`wire`] | how: length-prefixed, bounded |
//! | `sys` | the system calls, with results |
//! | `first`, `root`, `identity` | what the first process does before it is the program |
//! | `enter` | a further process in the instance |
//! | `log`, `forward`, `serve`, [`run`] | the keeper itself |

pub mod date;
mod enter;
mod first;
mod forward;
mod identity;
pub mod job;
mod log;
pub mod message;
pub mod record;
mod root;
pub mod run;
mod serve;
mod sys;
pub mod wire;
