//! A device in its place: its address, its interrupt, and the descriptors that its events come by.

use super::{Device, Transport, Window};
use crate::machine::{
    BuildError, Doing as _, event,
    memory::{self, Memory},
};
use kvm_ioctls::{IoEventAddress, VmFd};
use std::{
    fs::File,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    sync::Arc,
};
use virtio_bindings::virtio_mmio::VIRTIO_MMIO_QUEUE_NOTIFY;
use vmm_sys_util::eventfd::EventFd;

/// Below are those of a PC's fixed devices and the power button.
const FIRST_INTERRUPT: u32 = 6;

/// Where input goes to.
const INPUT_QUEUE: usize = 0;

/// Where an event of a device comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The driver notified this queue.
    Queue(usize),
    /// There is input.
    Input,
}

/// A device in its place.
pub(crate) struct Slot {
    window: Arc<Window>,
    notified: Vec<EventFd>,
    input: Option<Arc<File>>,
    is_slow: bool,
}

/// The interrupt of the device at `index`.
pub(crate) fn interrupt_of(index: usize) -> u32 {
    FIRST_INTERRUPT + index as u32
}

/// The address of the device at `index`.
pub(crate) fn address_of(index: usize) -> u64 {
    memory::VIRTIO + index as u64 * memory::VIRTIO_SIZE
}

impl Slot {
    pub(crate) fn new(vm: &VmFd, memory: &Memory, index: usize, device: Box<dyn Device>) -> Result<Self, BuildError> {
        let interrupt = event("a device's interrupt")?;
        vm.register_irqfd(&interrupt, interrupt_of(index)).doing("wire a device's interrupt")?;
        let address = IoEventAddress::Mmio(address_of(index) + u64::from(VIRTIO_MMIO_QUEUE_NOTIFY));
        let notified = (0..device.queue_count()).map(|queue| {
            let notified = event("a queue's notification")?;
            vm.register_ioevent(&notified, &address, queue as u32).doing("wire a queue's notification")?;
            Ok(notified)
        });
        Ok(Self {
            notified: notified.collect::<Result<_, BuildError>>()?,
            input: device.input(),
            is_slow: device.is_slow(),
            window: Arc::new(Window::new(Transport::new(device, memory.clone(), interrupt))),
        })
    }

    pub(crate) fn window(&self) -> Arc<Window> {
        Arc::clone(&self.window)
    }

    /// Whether it is to have a thread of its own.
    pub(crate) fn is_slow(&self) -> bool {
        self.is_slow
    }

    pub(crate) fn watched(&self) -> Vec<(BorrowedFd<'_>, Source)> {
        let input = self.input.iter().filter(|_| self.window.wants_input());
        let input = input.map(|file| (file.as_fd(), Source::Input));
        let queues = self.notified.iter().enumerate().map(|(index, event)| {
            // SAFETY: the descriptor is the event's, which is borrowed for as long as the result.
            (unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }, Source::Queue(index))
        });
        queues.chain(input).collect()
    }

    pub(crate) fn handle(&self, source: Source) {
        let index = match source {
            Source::Queue(index) => index,
            Source::Input => INPUT_QUEUE,
        };
        let Some(notified) = self.notified.get(index) else { return };
        // Before the work: what comes meanwhile raises it again.
        drop(notified.read());
        if self.window.work(index) {
            drop(notified.write(1));
        }
    }
}
