//! Terminals of people, and of programs in instances.

use nix::sys::termios::{self, SetArg, Termios};
use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
};

pub use abide_keeper::message::Window;

/// The size of a terminal; `None` if it is none, or doesn't know.
pub fn size(terminal: &impl AsFd) -> Option<Window> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes one `winsize`, which outlives the call.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    let window = Window { rows: size.ws_row.into(), columns: size.ws_col.into() };
    (result == 0 && window.rows > 0 && window.columns > 0).then_some(window)
}

/// Tells a terminal, by its master, how large it is from now on; its programs hear of it.
pub fn resize(master: &impl AsFd, window: Window) -> io::Result<()> {
    let clamped = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let (ws_row, ws_col) = (clamped(window.rows), clamped(window.columns));
    let size = libc::winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads one `winsize`, which outlives the call.
    let result = unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A terminal that gives each key as it is typed, until this is dropped.
#[derive(Debug)]
pub struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Takes it over.
    pub fn enter(terminal: &impl AsFd) -> io::Result<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let before = termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&terminal, SetArg::TCSADRAIN, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no putting right.
        let _gone = termios::tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;

    #[test]
    fn it_is_resized_and_put_right() {
        let pty = openpty(None, None).unwrap();
        assert_eq!(size(&pty.slave), None);
        let window = Window { rows: 24, columns: 80 };
        resize(&pty.master, window).unwrap();
        assert_eq!(size(&pty.slave), Some(window));
        let before = termios::tcgetattr(&pty.slave).unwrap();
        let raw = Raw::enter(&pty.slave).unwrap();
        assert_ne!(termios::tcgetattr(&pty.slave).unwrap(), before);
        drop(raw);
        assert_eq!(termios::tcgetattr(&pty.slave).unwrap(), before);
        assert_eq!(size(&std::fs::File::open("/dev/null").unwrap()), None);
    }
}
