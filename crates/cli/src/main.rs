//! The binary `abide`: the only crate that names all others, prints, and knows flags and exit codes.
//!
//! | module | what it is |
//! |---|---|
//! | `args` | every command and flag, with the texts of `--help` |
//! | `exit` | what exit codes mean, everywhere |
//! | `output` | `-o json`, `-o yaml`, or words |
//! | `validate`, `schema` | a command each |

mod args;
mod exit;
mod output;
mod schema;
mod validate;

use args::{Args, Command};
use clap::{CommandFactory, Parser, error::ErrorKind};
use exit::Exit;
use std::{io, process::ExitCode};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let is_asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nothing can be done for somebody who closed the terminal.
            let _ = error.print();
            return if is_asked { Exit::Done.into() } else { Exit::Usage.into() };
        }
    };
    match args.command {
        Command::Validate(command) => validate::run(&command),
        Command::Schema(command) => schema::run(&command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "abide", &mut io::stdout());
            Exit::Done
        }
    }
    .into()
}
