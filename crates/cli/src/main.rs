//! The binary abide: prints, flags and exit codes
fn main() {}
