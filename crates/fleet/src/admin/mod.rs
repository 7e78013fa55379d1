//! What people and programs read of a hub, and tell it, by its admin socket: HTTP/1.1 and JSON.
//!
//! | request | what comes back |
//! |---|---|
//! | `GET /admin/machines?label=KEY%3DVALUE&state=S&revision=COMMIT` | [`machine::Machines`] |
//! | `GET /admin/machines/NAME` | [`detail::Detail`] |
//! | `PATCH /admin/machines/NAME` [`detail::Labels`] | [`detail::Detail`] |
//! | `POST /admin/machines/NAME/retry`: a commit that failed there is tried again | [`detail::Detail`] as it was before |
//! | `DELETE /admin/machines/NAME`: it is revoked | [`detail::Detail`] |
//! | `GET /admin/tokens` | [`token::Tokens`] |
//! | `POST /admin/tokens` [`token::NewToken`] | [`token::Created`] |
//! | `DELETE /admin/tokens/ID` | nothing |
//! | `POST /admin/authority`: what is in the authority's folder is taken now | nothing |
//! | `GET /metrics` | text for Prometheus |
//! | `GET /admin/rollouts` | [`rollout::Rollouts`] |
//! | `POST /admin/repository/look` [`rollout::Look`], or nothing: the repository is asked for news now | [`rollout::Looked`], when that is over |
//! | `PUT /admin/rollouts/NAME` [`rollout::Pause`] | [`rollout::Rollouts`] as they were before that has an effect |
//!
//! What isn't granted is a [`crate::protocol::Refusal`].

pub mod detail;
pub mod machine;
pub mod rollout;
pub mod token;

use schemars::{JsonSchema, generate::SchemaSettings};

/// The JSON Schema of what is printed.
fn schema<T: JsonSchema>(title: &str) -> serde_json::Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    schema["title"] = title.into();
    schema
}
