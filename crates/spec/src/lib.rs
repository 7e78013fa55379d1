//! What a user may write, and what it means.
//!
//! The way of a file: bytes → YAML documents → one type a kind ([`kind`]) → checked, resolved [`Unit`]s.
//! Everything here is pure: files come in as bytes, mistakes go out as [`Diagnostic`]s, all of them at once.
//!
//! | module | question it answers |
//! |---|---|
//! | [`id`], [`quantity`] | words that can't be wrong once they exist |
//! | [`kind`] | what may be written: one struct a kind, the source of parser and JSON Schema |
//! | [`limits`], [`words`] | how much may be written, and what mistakes are called, here and in a cluster |
//! | [`fleet`] | what a fleet's `fleet.yaml` says: who gets which folders, and in which order |
//! | [`unit`] | what it means: a document with everything it refers to |
//! | `yaml`, `decode`, `document`, `check`, `resolve`, `parse` | the way from files to units |
//! | [`tree`], [`reference`] | where files come from; names of images |
//! | [`mod@change`] | what it takes to get from one version of a unit to another |
//! | [`diagnostic`], [`schema`] | what people are told of mistakes; the same for their editors |

#![forbid(unsafe_code)]

pub mod change;
mod check;
mod decode;
pub mod diagnostic;
mod document;
pub mod fleet;
pub mod id;
pub mod kind;
pub mod limits;
mod parse;
pub mod quantity;
pub mod reference;
mod resolve;
pub mod schema;
pub mod tree;
pub mod unit;
pub mod words;
mod yaml;

pub use change::{Change, FieldChange, change};
pub use diagnostic::Diagnostic;
pub use id::{Digest, Kind, Name, NodeName, Scope, UnitId, UnitRef};
pub use parse::{Context, Parsed, Secrets, Unseal, is_document, parse, parse_apart, parse_source};
pub use tree::{Files, Folders, MemoryTree, Tree, TreeFile};
pub use unit::{Assignment, Data, FileRef, ListedFile, Listing, MachineTarget, Unit, UnitSpec};
