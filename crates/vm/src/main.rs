//! The VMM as a program of its own, for tests and for measuring; the product has it as a hidden command.

use std::process::ExitCode;

fn main() -> ExitCode {
    abide_vm::vmm::vmm_main(std::env::args_os().skip(1))
}
