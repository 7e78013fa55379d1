//! `abide encrypt`

use crate::{
    args::Encrypt,
    exit::{Done, Exit, Failure},
    output,
};
use abide_fleet::trust::age;
use std::{
    fs::File,
    io::{Read, stdin},
};

pub(crate) fn run(command: &Encrypt) -> Done {
    let mut plain = Vec::new();
    // One byte more than may be, so that it is noticed.
    let bytes_max = age::PLAIN_BYTES_MAX as u64 + 1;
    match &command.file {
        Some(path) => File::open(path)
            .and_then(|file| file.take(bytes_max).read_to_end(&mut plain))
            .map_err(Failure::file("reading", path))?,
        None => stdin().take(bytes_max).read_to_end(&mut plain).map_err(Failure::doing("reading what to encrypt"))?,
    };
    let armored = age::encrypt(&command.recipient, &plain).map_err(|error| Failure::refused(error.to_string()))?;
    output::say(&armored);
    Ok(Exit::Done)
}
