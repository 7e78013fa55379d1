//! What people and programs read of a hub, and tell it, by its admin socket: HTTP/1.1 and JSON.
//!
//! | request | what comes back |
//! |---|---|
//! | `GET /admin/machines?label=KEY%3DVALUE&state=S&revision=COMMIT` | [`machine::Machines`] |
//! | `GET /admin/rollouts` | [`rollout::Rollouts`] |
//! | `PUT /admin/rollouts/NAME` [`rollout::Pause`] | [`rollout::Rollouts`] as they were before that has an effect |

pub mod machine;
pub mod rollout;
