//! The program that the agent embeds and executes; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    abide_keeper::run::main()
}
