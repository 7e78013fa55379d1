//! The VMM as a program of its own, for tests and for measuring. It is told what the product is: `vmm DIRECTORY`.

use std::process::ExitCode;

fn main() -> ExitCode {
    abide_vm::vmm_main(std::env::args_os().skip_while(|argument| argument != "vmm").skip(1))
}
