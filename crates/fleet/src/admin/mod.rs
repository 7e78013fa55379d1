//! What people and programs read of a hub, and tell it, by its admin socket: HTTP/1.1 and JSON.
//!
//! | request | what comes back |
//! |---|---|
//! | `GET /admin/machines?label=KEY%3DVALUE&state=S&revision=COMMIT` | [`machine::Machines`] |
//! | `GET /admin/machines/NAME` | [`detail::Detail`] |
//! | `PATCH /admin/machines/NAME` [`detail::Labels`] | [`detail::Detail`] |
//! | `DELETE /admin/machines/NAME`: it is revoked | [`detail::Detail`] |
//! | `GET /admin/tokens` | [`token::Tokens`] |
//! | `POST /admin/tokens` [`token::NewToken`] | [`token::Created`] |
//! | `DELETE /admin/tokens/ID` | nothing |
//! | `GET /metrics` | text for Prometheus |
//! | `GET /admin/rollouts` | [`rollout::Rollouts`] |
//! | `PUT /admin/rollouts/NAME` [`rollout::Pause`] | [`rollout::Rollouts`] as they were before that has an effect |
//!
//! What isn't granted is a [`crate::protocol::Refusal`].

pub mod detail;
pub mod machine;
pub mod rollout;
pub mod token;
