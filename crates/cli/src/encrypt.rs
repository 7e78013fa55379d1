//! `abide encrypt`

use crate::{
    args::Encrypt,
    exit::{Done, Exit, Failure},
    here::Here,
    hub, output,
};
use abide_fleet::trust::age::{self, Recipient};
use std::{
    fs::File,
    io::{Read, stdin},
};

pub(crate) fn run(here: &Here, command: &Encrypt) -> Done {
    let mut recipients = command.recipient.clone();
    for name in &command.machine {
        let known: Recipient = hub::recipient(here, name)?.parse()?;
        output::complain(&format!(
            "{name} is {known}, as the hub says: compare that with what `abide enroll --recipient` says on {name}\n"
        ));
        recipients.push(known);
    }
    let mut plain = Vec::new();
    // One byte more than may be, so that it is noticed.
    let bytes_max = age::PLAIN_BYTES_MAX as u64 + 1;
    match &command.file {
        Some(path) => File::open(path)
            .and_then(|file| file.take(bytes_max).read_to_end(&mut plain))
            .map_err(Failure::file("reading", path))?,
        None => stdin().take(bytes_max).read_to_end(&mut plain).map_err(Failure::doing("reading what to encrypt"))?,
    };
    let armored = age::encrypt(&recipients, &plain).map_err(|error| Failure::refused(error.to_string()))?;
    output::say(&armored);
    Ok(Exit::Done)
}
