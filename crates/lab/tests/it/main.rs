//! The helpers themselves, where others rely on them without noticing that they are wrong.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod api_server;
mod forms;
mod hello;
mod kubernetes;

#[test]
fn the_guest_is_an_elf_file() {
    assert!(std::fs::read(abide_lab::guest()).unwrap().starts_with(b"\x7fELF"));
}
