//! `abide exec`: a further program in a container, with this terminal if there is one.

use crate::{
    args::units::Exec,
    exit::{Done, Exit, Failure},
    here::Here,
    relay::{Read, read, wait, write},
    source::snapshot,
    units,
};
use abide_host::{
    keeper::{self, AskError, Client, Ended, List, Program, Running, Streams},
    terminal::{self, Raw, Window},
};
use abide_instance::{Instance, instance_directory, read_instances};
use abide_reconcile::{Kind, Phase, Role, UnitId};
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        signalfd::SignalFd,
    },
};
use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    time::Duration,
};

/// Of a terminal that doesn't know.
const USUAL: Window = Window { rows: 24, columns: 80 };

pub(crate) fn run(here: &Here, command: &Exec) -> Done {
    let snapshot = snapshot(here)?;
    let unit = units::id(units::find_among(&snapshot, &command.unit, &[Kind::Container])?)?;
    if unit.kind != Kind::Container {
        let hint = if unit.kind == Kind::VirtualMachine { "; its serial line is at `abide console`" } else { "" };
        return Err(Failure::refused(format!("{unit} is no container{hint}")));
    }
    let instance = running(here, &unit)?;
    let keeper = Client::connect(&instance_directory(&here.paths, &unit, instance.id))?;
    let args = List(command.command.iter().map(|arg| arg.as_bytes().to_vec()).collect());
    let exec = keeper::Exec { program: Program { args, ..Program::default() }, terminal: None };
    let not_run = |error| not_run(&unit, &command.command, error);
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    if stdin.is_terminal() && stdout.is_terminal() {
        // Before it is started, so that no change of size is missed.
        let resized = resized()?;
        let size = terminal::size(&stdin).unwrap_or(USUAL);
        let mut running = keeper.exec(exec, &Streams::Terminal(size)).map_err(not_run)?;
        let master = running.terminal.take().ok_or_else(|| Failure::failed("the keeper gave no terminal"))?;
        let raw = Raw::enter(&stdin).map_err(Failure::doing("taking over the terminal"))?;
        let ended = attend(&running, &master, &resized);
        drop(raw);
        return ended;
    }
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let running = keeper.exec(exec, &Streams::Given(streams)).map_err(not_run)?;
    code(&running, None)
}

/// What a program that can't be executed ends with is what a shell would: who calls this from a script tells it apart from
/// a container that doesn't run.
fn not_run(unit: &UnitId, command: &[OsString], error: AskError) -> Failure {
    let AskError::Failed(failure) = &error else { return error.into() };
    let Some(code) = failure.exit_code().and_then(|code| u8::try_from(code).ok()) else { return error.into() };
    let is_path = command.first().is_some_and(|program| program.as_bytes().contains(&b'/'));
    let why = match Errno::from_raw(failure.errno) {
        Errno::ENOENT if is_path => "it isn't there, or what its first line names isn't",
        Errno::ENOENT => "it is in no folder of the container's PATH",
        Errno::EACCES => "it is no file, or none that the container's user may execute",
        Errno::ENOEXEC => "it is no program for this machine, and no script that begins with #!",
        _ => "the kernel refuses it",
    };
    Failure { exit: Exit::Of(code), text: format!("{unit}: {failure}; {why}") }
}

/// The instance that serves, or else the newest that runs.
pub(crate) fn running(here: &Here, unit: &UnitId) -> Result<Instance, Failure> {
    let mut instances = read_instances(&here.paths, unit)?;
    instances.retain(|instance| matches!(instance.phase, Phase::Running { .. }));
    let best = instances.into_iter().max_by_key(|instance| (instance.role == Role::Active, instance.id));
    best.ok_or_else(|| Failure::failed(format!("{unit} does not run at the moment: `abide describe {unit}` says why")))
}

fn resized() -> Result<SignalFd, Failure> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGWINCH);
    signals
        .thread_block()
        .and_then(|()| SignalFd::new(&signals))
        .map_err(Failure::doing("watching the terminal's size"))
}

/// Carries bytes both ways until the program ends.
fn attend(running: &Running, master: &OwnedFd, resized: &SignalFd) -> Done {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let failed = || Failure::doing("carrying the terminal's bytes");
    let (mut is_typed, mut is_printed) = (true, true);
    loop {
        let fds = [
            is_typed.then(|| stdin.as_fd()),
            is_printed.then(|| master.as_fd()),
            Some(running.as_fd()),
            Some(resized.as_fd()),
        ];
        let [typed, printed, ended, is_resized] = wait(fds, None)?;
        if is_resized {
            resized.read_signal().map_err(failed())?;
            let size = terminal::size(&stdin).unwrap_or(USUAL);
            terminal::resize(master, size).map_err(Failure::doing("telling the program its terminal's size"))?;
        }
        if typed {
            match read(&stdin).map_err(failed())? {
                Read::Bytes(bytes) => write(master, &bytes).map_err(failed())?,
                Read::End => is_typed = false,
            }
        }
        if printed {
            match read(master).map_err(failed())? {
                Read::Bytes(bytes) => write(&stdout, &bytes).map_err(failed())?,
                Read::End => is_printed = false,
            }
            // What was printed before the end is shown before it.
            continue;
        }
        if ended {
            return code(running, Some(Duration::ZERO));
        }
    }
}

fn code(running: &Running, patience: Option<Duration>) -> Done {
    match running.wait(patience)? {
        Ended::Code(code) => Ok(Exit::Of(u8::try_from(code).unwrap_or(u8::MAX))),
        Ended::NotYet => Err(Failure::failed("the instance's keeper said that the program ended, and not how")),
    }
}
