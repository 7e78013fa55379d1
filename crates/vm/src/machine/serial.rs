//! The serial line: an 8250 at COM1, between the guest's vCPUs and the caller's loop.

use super::{BuildError, Doing as _, event, lock};
use kvm_ioctls::VmFd;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
};
use vm_superio::{
    Trigger,
    serial::{Serial as Uart, SerialEvents},
};
use vmm_sys_util::eventfd::EventFd;

/// COM1's eight ports.
pub(crate) const PORTS: std::ops::RangeInclusive<u16> = 0x3f8..=0x3ff;
/// COM1's interrupt.
pub(crate) const INTERRUPT: u32 = 4;

/// A guest that says more than is taken from it waits.
const OUTPUT_MAX: usize = 64 << 10;

/// What the guest said and nobody took yet.
#[derive(Debug)]
pub struct Output {
    said: Mutex<Said>,
    room: Condvar,
    event: EventFd,
}

#[derive(Debug, Default)]
struct Said {
    bytes: VecDeque<u8>,
    /// Nobody will take anything any more.
    closed: bool,
}

impl Output {
    fn new() -> Result<Self, BuildError> {
        Ok(Self { said: Mutex::default(), room: Condvar::new(), event: event("the serial line's output")? })
    }

    /// Readable when there is something to take.
    pub fn event(&self) -> &EventFd {
        &self.event
    }

    /// Takes all there is.
    pub fn take(&self) -> Vec<u8> {
        // The event first: what is said in between raises it again.
        drop(self.event.read());
        let taken = lock(&self.said).bytes.drain(..).collect();
        self.room.notify_all();
        taken
    }

    fn push(&self, bytes: &[u8]) {
        let mut said = lock(&self.said);
        if said.bytes.is_empty() {
            drop(self.event.write(1));
        }
        said.bytes.extend(bytes);
    }

    fn wait_for_room(&self) {
        let full = |said: &mut Said| said.bytes.len() >= OUTPUT_MAX && !said.closed;
        drop(self.room.wait_while(lock(&self.said), full).unwrap_or_else(PoisonError::into_inner));
    }

    fn close(&self) {
        lock(&self.said).closed = true;
        self.room.notify_all();
    }
}

/// The serial line.
pub(crate) struct Serial {
    uart: Mutex<Uart<Interrupt, Emptied, Speaker>>,
    output: Arc<Output>,
    emptied: Arc<EventFd>,
}

impl Serial {
    pub(crate) fn new(vm: &VmFd) -> Result<Self, BuildError> {
        let interrupt = event("the serial line's interrupt")?;
        vm.register_irqfd(&interrupt, INTERRUPT).doing("wire the serial line")?;
        let output = Arc::new(Output::new()?);
        let emptied = Arc::new(event("the serial line's input")?);
        let speaker = Speaker(Arc::clone(&output));
        let uart = Uart::with_events(Interrupt(interrupt), Emptied(Arc::clone(&emptied)), speaker);
        Ok(Self { uart: Mutex::new(uart), output, emptied })
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    pub(crate) fn input_event(&self) -> &EventFd {
        &self.emptied
    }

    /// The loop's side.
    pub(crate) fn input(&self, bytes: &[u8]) -> usize {
        let mut uart = lock(&self.uart);
        let room = uart.fifo_capacity().min(bytes.len());
        // In loop-back mode it takes nothing; the bytes are then offered again when the mode ends.
        uart.enqueue_raw_bytes(&bytes[..room]).unwrap_or(0)
    }

    /// The guest's side.
    pub(crate) fn read(&self, offset: u8) -> u8 {
        lock(&self.uart).read(offset)
    }

    /// The guest's side. Waits for room without holding what [`Self::input`] needs.
    pub(crate) fn write(&self, offset: u8, value: u8) {
        // An interrupt that can't be raised is pending already.
        drop(lock(&self.uart).write(offset, value));
        self.output.wait_for_room();
    }

    /// Nobody takes output any more.
    pub(crate) fn close(&self) {
        self.output.close();
    }
}

struct Interrupt(EventFd);

impl Trigger for Interrupt {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// Tells the loop that there is room for more input.
struct Emptied(Arc<EventFd>);

impl SerialEvents for Emptied {
    fn buffer_read(&self) {}

    fn out_byte(&self) {}

    fn tx_lost_byte(&self) {}

    fn in_buffer_empty(&self) {
        drop(self.0.write(1));
    }
}

struct Speaker(Arc<Output>);

impl io::Write for Speaker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
