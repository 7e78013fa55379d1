//! `abide console`: the serial line of a virtual machine.

use crate::{
    args::units::Console,
    exec::running,
    exit::{Done, Exit, Failure},
    here::Here,
    output,
    relay::{Read, read, wait, write},
    source::snapshot,
    units,
};
use abide_host::terminal::Raw;
use abide_instance::instance_directory;
use abide_reconcile::Kind;
use abide_vm::vmm::CONSOLE_SOCKET;
use std::{
    fs::File,
    io::{self, IsTerminal},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

/// Ctrl-], as of telnet(1).
const LEAVE: u8 = 0x1d;

/// Where what is typed comes from a file or a pipe, the machine has so long to say more after its end.
const AFTERWARDS: Duration = Duration::from_secs(1);

pub(crate) fn run(here: &Here, command: &Console) -> Done {
    let snapshot = snapshot(here)?;
    let unit = units::id(units::find_among(&snapshot, &command.unit, &[Kind::VirtualMachine])?)?;
    if unit.kind != Kind::VirtualMachine {
        return Err(Failure::refused(format!(
            "{unit} is no virtual machine and has no serial line: `abide exec {unit} -- sh`"
        )));
    }
    let instance = running(here, &unit)?;
    let line = connect(&instance_directory(&here.paths, &unit, instance.id))?;
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return carry(&line, None);
    }
    output::complain(&format!("{unit}: ctrl-] leaves it\n"));
    let raw = Raw::enter(&stdin).map_err(Failure::doing("taking over the terminal"))?;
    let ended = carry(&line, Some(LEAVE));
    drop(raw);
    output::complain("\n");
    ended
}

/// The directory's own path may be longer than what an address has room for.
fn connect(directory: &Path) -> Result<UnixStream, Failure> {
    let opened = File::open(directory).map_err(Failure::file("opening", directory))?;
    let path = format!("/proc/self/fd/{}/{CONSOLE_SOCKET}", opened.as_raw_fd());
    UnixStream::connect(path).map_err(Failure::file("connecting to the serial line in", directory))
}

/// Carries bytes both ways until the machine ends, or somebody leaves.
fn carry(line: &UnixStream, leave: Option<u8>) -> Done {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let failed = || Failure::doing("carrying the serial line's bytes");
    let mut is_typed = true;
    loop {
        let patience = (!is_typed).then_some(AFTERWARDS);
        let [typed, said] = wait([is_typed.then(|| stdin.as_fd()), Some(line.as_fd())], patience)?;
        if !typed && !said && patience.is_some() {
            return Ok(Exit::Done);
        }
        if said {
            match read(line).map_err(failed())? {
                Read::Bytes(bytes) => write(&stdout, &bytes).map_err(failed())?,
                Read::End => return Ok(Exit::Done),
            }
        }
        if typed {
            match read(&stdin).map_err(failed())? {
                Read::Bytes(bytes) => {
                    let until = leave.and_then(|leave| bytes.iter().position(|byte| *byte == leave));
                    write(line, &bytes[..until.unwrap_or(bytes.len())]).map_err(failed())?;
                    if until.is_some() {
                        return Ok(Exit::Done);
                    }
                }
                Read::End => is_typed = false,
            }
        }
    }
}
