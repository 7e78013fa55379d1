//! The process of one virtual machine: `abide vmm DIRECTORY`, executed by a keeper.
//!
//! It opens what [`Config`] names, gives up every right it has (see `sandbox`), and only then lets the guest run. The serial
//! line goes to standard output, which the keeper logs, and to whoever is connected to `console.sock`; orders come by
//! `vm.sock`. A guest that resets itself boots again in the same process, with fresh memory and the same disks.
//!
//! | exit code | what happened |
//! |---|---|
//! | 0 | the guest switched itself off |
//! | 1 | it could not be started: standard error says why |
//! | 2 | a triple fault: standard error has the registers, where KVM keeps them |
//! | 3 | KVM can't go on: standard error has why, and the registers |
//! | 159 | it made a system call that it may not make (signal 31): the kernel's log has which |

mod calls;
mod config;
mod console;
mod control;
mod sandbox;

pub use config::{Config, ConfigError, DiskConfig, FORMAT, NetConfig};
pub use control::{Answer, Order, OrderError, order};
pub(crate) use sandbox::EMPTY;

use crate::machine::{self, BuildError, End, Machine};
use console::Console;
use control::Control;
use kvm_ioctls::Kvm;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::fd::{AsRawFd, BorrowedFd},
    path::Path,
    process::ExitCode,
};

/// In the instance's directory: the [`Config`].
pub const CONFIG: &str = "vm.json";
/// In the instance's directory: the serial line, for people.
pub const CONSOLE_SOCKET: &str = "console.sock";
/// In the instance's directory: an [`Order`] in, an [`Answer`] out, a line of JSON each.
pub const CONTROL_SOCKET: &str = "vm.sock";

/// A guest that boots has no ears for the power button so far.
const PRESS_AGAIN_MS: u16 = 500;

/// Why a VMM ends before its guest.
#[derive(Debug, thiserror::Error)]
enum VmmError {
    #[error("give one argument: the instance's directory")]
    Usage,
    #[error("cannot {0}")]
    Do(&'static str, #[source] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot use /dev/kvm")]
    Kvm(#[from] kvm_ioctls::Error),
    #[error("cannot build the machine")]
    Build(#[from] BuildError),
}

/// The whole life of the process.
pub fn vmm_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run(args) {
        Ok(end) => {
            eprintln!("abide vmm: {end}");
            match end {
                End::PowerOff | End::Reset => ExitCode::SUCCESS,
                End::TripleFault(_) => ExitCode::from(2),
                End::Failure(_) => ExitCode::from(3),
            }
        }
        Err(error) => {
            eprintln!("abide vmm: {}", abide_reconcile::with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(args: impl IntoIterator<Item = OsString>) -> Result<End, VmmError> {
    let mut args = args.into_iter();
    let (Some(directory), None) = (args.next(), args.next()) else { return Err(VmmError::Usage) };
    // Paths from here on are relative: an address of a socket has little room.
    std::env::set_current_dir(Path::new(&directory)).map_err(|e| VmmError::Do("enter the directory", e))?;
    let config = Config::read(Path::new(CONFIG))?.open()?;
    let kvm = Kvm::new()?;
    let mut console = Console::listen(CONSOLE_SOCKET).map_err(|e| VmmError::Do("serve the console", e))?;
    let mut control = Control::listen(CONTROL_SOCKET).map_err(|e| VmmError::Do("take orders", e))?;
    sandbox::enter().map_err(|e| VmmError::Do("give up rights", e))?;
    let mut resets = 0;
    loop {
        let mut machine = Machine::new(&kvm, &config)?;
        machine.start(sandbox::confine_vcpu)?;
        match attend(&machine, &mut console, &mut control, resets)? {
            End::Reset => {
                eprintln!("abide vmm: {}", End::Reset);
                resets += 1;
            }
            end => return Ok(end),
        }
    }
}

/// What woke the loop.
#[derive(Clone, Copy)]
enum Event {
    End,
    Output,
    Input,
    Device(machine::Token),
    Console(usize),
    Control(usize),
}

/// The loop: devices, console and orders, until the machine ends.
fn attend(machine: &Machine, console: &mut Console, control: &mut Control, resets: u32) -> Result<End, VmmError> {
    loop {
        let events = wait(machine, console, control)?;
        if events.is_empty() && machine.is_power_button_unseen() {
            machine.press_power_button();
        }
        for event in events {
            match event {
                Event::End | Event::Output => (),
                Event::Input => drop(machine.input_event().read()),
                Event::Device(token) => machine.handle(token),
                Event::Console(index) => console.handle(index),
                Event::Control(index) => {
                    if control.handle(index, &Answer { resets }) == Some(Order::Shutdown) {
                        machine.press_power_button();
                    }
                }
            }
        }
        console.feed(|typed| machine.input(typed));
        say(machine, console)?;
        console.tidy();
        control.tidy();
        if let Some(end) = machine.end() {
            say(machine, console)?;
            return Ok(end);
        }
    }
}

/// What the guest said goes to the log, and to who listens.
fn say(machine: &Machine, console: &mut Console) -> Result<(), VmmError> {
    let said = machine.output().take();
    if !said.is_empty() {
        let mut log = io::stdout().lock();
        log.write_all(&said).and_then(|()| log.flush()).map_err(|e| VmmError::Do("write the log", e))?;
        console.say(&said);
    }
    Ok(())
}

fn wait(machine: &Machine, console: &Console, control: &Control) -> Result<Vec<Event>, VmmError> {
    let mut events = vec![Event::End, Event::Output, Event::Input];
    let own = [machine.end_event(), machine.output().event(), machine.input_event()];
    let mut fds: Vec<_> = own.into_iter().map(|event| PollFd::new(borrow(event), PollFlags::POLLIN)).collect();
    for (fd, token) in machine.watched() {
        events.push(Event::Device(token));
        fds.push(PollFd::new(fd, PollFlags::POLLIN));
    }
    for (index, (fd, flags)) in console.watched().into_iter().enumerate() {
        events.push(Event::Console(index));
        fds.push(PollFd::new(fd, flags));
    }
    for (index, fd) in control.watched().into_iter().enumerate() {
        events.push(Event::Control(index));
        fds.push(PollFd::new(fd, PollFlags::POLLIN));
    }
    let patience = if machine.is_power_button_unseen() { PRESS_AGAIN_MS.into() } else { PollTimeout::NONE };
    match poll(&mut fds, patience) {
        Ok(_) | Err(Errno::EINTR) => (),
        Err(errno) => return Err(VmmError::Do("wait", errno.into())),
    }
    Ok(events.into_iter().zip(&fds).filter(|(_, fd)| fd.any().unwrap_or(false)).map(|(event, _)| event).collect())
}

fn borrow(event: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: the event owns the descriptor, and is borrowed for as long as the result.
    unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }
}
