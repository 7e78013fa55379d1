//! Devices of VIRTIO 1.2 behind its MMIO transport (section 4.2): the registers here, what each device does with its queues
//! in a module of its own.
//!
//! Registers are read and written by vCPU threads, queues are worked on by the caller's loop, or by a thread of the device
//! if it is slow; one lock a device is between them. A queue is notified by an ioeventfd and an interrupt is looked at
//! without the lock, so no vCPU waits for a disk.

pub(crate) mod block;
pub(crate) mod entropy;
#[cfg(test)]
mod hostile;
pub(crate) mod net;
mod slot;
#[cfg(test)]
mod testing;
mod transport;
mod window;

pub(crate) use slot::{Slot, Source, address_of, interrupt_of};
pub(crate) use transport::Transport;
pub(crate) use window::Window;

use super::memory::Memory;
use std::{fs::File, io, sync::Arc};
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT as _, QueueT as _};

/// Entries of a queue.
pub(crate) const QUEUE_SIZE: u16 = 256;

/// What one kind of device does.
pub(crate) trait Device: Send {
    /// Its device id (section 5).
    fn id(&self) -> u32;

    /// The features of its kind.
    fn features(&self) -> u64;

    /// What its configuration space reads.
    fn config(&self) -> &[u8];

    /// How many queues it has.
    fn queue_count(&self) -> usize {
        1
    }

    /// Whether its work may wait for something that takes long.
    fn is_slow(&self) -> bool {
        false
    }

    /// Where it gets input that no queue brings.
    fn input(&self) -> Option<Arc<File>> {
        None
    }

    /// Whether it can take input now.
    fn wants_input(&self) -> bool {
        false
    }

    /// Works on a queue that was notified, or, for the one that input goes to, when there is input.
    fn work(&mut self, index: usize, queue: &mut Queue, memory: &Memory) -> Result<Worked, Misused>;
}

/// What became of a look at a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Worked {
    /// How many chains were given back.
    pub(crate) used: u16,
    /// Whether there may be more to do.
    pub(crate) more: bool,
}

/// The driver broke the rules in a way that can't be answered in the queue.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the driver misused a queue")]
pub(crate) struct Misused;

impl From<virtio_queue::Error> for Misused {
    fn from(_: virtio_queue::Error) -> Self {
        Self
    }
}

/// Serves chains until the queue is empty, but a queue's worth at most, so that one device can't keep the loop.
/// `serve` says how many bytes it wrote.
fn serve_all(
    queue: &mut Queue,
    memory: &Memory,
    mut serve: impl FnMut(DescriptorChain<&Memory>) -> Result<u32, Misused>,
) -> Result<Worked, Misused> {
    for used in 0..QUEUE_SIZE {
        let Some(chain) = queue.iter(memory)?.next() else { return Ok(Worked { used, more: false }) };
        let head = chain.head_index();
        let written = serve(chain)?;
        queue.add_used(memory, head, written)?;
    }
    Ok(Worked { used: QUEUE_SIZE, more: true })
}

/// A second descriptor of the same open file.
fn share(file: &File) -> io::Result<Arc<File>> {
    file.try_clone().map(Arc::new)
}
