//! The serial line: what is printed, and what is typed.

use crate::port;
use core::fmt;

const DATA: u16 = 0x3f8;
const INTERRUPTS: u16 = DATA + 1;
const STATUS: u16 = DATA + 5;
const HAS_INPUT: u8 = 1;

/// Where `print!` goes.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| port::write(DATA, byte));
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($what:tt)*) => {{
        let _ = core::fmt::Write::write_fmt(&mut $crate::serial::Serial, format_args!("{}\n", format_args!($($what)*)));
    }};
}

/// Asks for an interrupt when something is typed.
pub fn listen() {
    port::write(INTERRUPTS, 1);
}

/// A line that is being typed.
pub struct Line {
    bytes: [u8; 128],
    length: usize,
}

impl Line {
    /// An empty one.
    pub const fn new() -> Self {
        Self { bytes: [0; 128], length: 0 }
    }

    /// Takes what was typed; the line if it is complete. What is too long is cut.
    pub fn poll(&mut self) -> Option<&str> {
        while port::read(STATUS) & HAS_INPUT != 0 {
            match port::read(DATA) {
                b'\n' | b'\r' => {
                    let length = core::mem::take(&mut self.length);
                    return core::str::from_utf8(&self.bytes[..length]).ok();
                }
                byte => {
                    if let Some(place) = self.bytes.get_mut(self.length) {
                        *place = byte;
                        self.length += 1;
                    }
                }
            }
        }
        None
    }
}
