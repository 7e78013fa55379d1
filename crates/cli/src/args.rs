//! Every command and flag, with the texts of `--help`.

use crate::output::Format;
use clap::{Parser, Subcommand, ValueHint};
use std::path::PathBuf;

/// Machines that abide by Git: a repository of YAML says what a machine runs, and abide sees to it
#[derive(Debug, Parser)]
#[command(name = "abide", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Validate(Validate),
    Schema(Schema),
    /// Print a shell's completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// Check documents: every mistake of every file, with its place and what would be right
///
/// Exits with 0 if there is none, with 3 if there are mistakes, and with 1 if something can't be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Validate {
    /// Folders, each checked as a whole, or single documents
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// A file of kind Source, whose grants the documents may use
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) source: Option<PathBuf>,
    /// How to print the mistakes
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Print the JSON Schema of what may be written, for editors and other tools
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    /// Of what the machine's owner writes about a source, instead of what a repository may say
    #[arg(long)]
    pub(crate) source: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Json)]
    pub(crate) output: Format,
}
