//! A network card (VIRTIO 1.2, 5.1): frames between two queues and a tap device, without offloads.

use super::{Device, Misused, QUEUE_SIZE, Worked, serve_all, share};
use crate::machine::{NetCard, memory::Memory};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    sync::Arc,
};
use virtio_bindings::{virtio_ids::VIRTIO_ID_NET, virtio_net::VIRTIO_NET_F_MAC};
use virtio_queue::{Queue, QueueOwnedT as _, QueueT as _};

const RECEIVE: usize = 0;

/// `struct virtio_net_hdr` of version 1.
const HEADER: usize = 12;
/// Its `num_buffers`, which a tap leaves at 0 and drivers want at 1.
const BUFFER_COUNT: std::ops::Range<usize> = 10..12;

/// Header and the biggest frame of an Ethernet with jumbo frames; longer ones don't come from a tap, and are refused of a
/// guest.
const FRAME_MAX: usize = HEADER + 9216;

/// Whether the tap is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Wanted,
    /// The guest has no buffer for what the tap holds.
    Starved,
    /// The tap was taken away.
    Gone,
}

pub(crate) struct Net {
    tap: Arc<File>,
    mac: [u8; 6],
    input: Input,
    frame: Box<[u8; FRAME_MAX]>,
}

impl Net {
    pub(crate) fn new(card: &NetCard) -> io::Result<Self> {
        Ok(Self { tap: share(&card.tap)?, mac: card.mac, input: Input::Wanted, frame: Box::new([0; FRAME_MAX]) })
    }

    /// From the tap to the guest, until one of them has no more. A frame that doesn't fit its buffer is dropped.
    fn receive(&mut self, queue: &mut Queue, memory: &Memory) -> Result<Worked, Misused> {
        let mut used = 0;
        for _ in 0..QUEUE_SIZE {
            // The buffer first: what was read from the tap can't be put back.
            let Some(chain) = queue.iter(memory)?.next() else {
                self.input = Input::Starved;
                return Ok(Worked { used, more: false });
            };
            let head = chain.head_index();
            let mut buffer = chain.writer(memory)?;
            match self.read() {
                Some(frame) if frame.len() <= buffer.available_bytes() => {
                    buffer.write_all(frame).map_err(|_| Misused)?;
                    queue.add_used(memory, head, frame.len() as u32)?;
                    used += 1;
                }
                Some(_) => queue.go_to_previous_position(),
                None => {
                    queue.go_to_previous_position();
                    return Ok(Worked { used, more: false });
                }
            }
        }
        Ok(Worked { used, more: true })
    }

    /// The next frame of the tap, with its header.
    fn read(&mut self) -> Option<&[u8]> {
        self.input = Input::Wanted;
        match (&*self.tap).read(&mut self.frame[..]) {
            Ok(length) => {
                self.frame[BUFFER_COUNT].copy_from_slice(&1u16.to_le_bytes());
                Some(&self.frame[..length.max(HEADER)])
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.input = Input::Gone;
                }
                None
            }
        }
    }

    /// From the guest to the tap. What the host can't take is lost, as on any Ethernet.
    fn send(&mut self, queue: &mut Queue, memory: &Memory) -> Result<Worked, Misused> {
        let Self { tap, frame, .. } = self;
        serve_all(queue, memory, |chain| {
            let mut reader = chain.reader(memory)?;
            if let Some(frame) = frame.get_mut(..reader.available_bytes()) {
                reader.read_exact(frame).map_err(|_| Misused)?;
                drop((&**tap).write(frame));
            }
            Ok(0)
        })
    }
}

impl Device for Net {
    fn id(&self) -> u32 {
        VIRTIO_ID_NET
    }

    fn features(&self) -> u64 {
        1 << VIRTIO_NET_F_MAC
    }

    fn config(&self) -> &[u8] {
        &self.mac
    }

    fn queue_count(&self) -> usize {
        2
    }

    fn input(&self) -> Option<Arc<File>> {
        Some(Arc::clone(&self.tap))
    }

    fn wants_input(&self) -> bool {
        self.input == Input::Wanted
    }

    fn work(&mut self, index: usize, queue: &mut Queue, memory: &Memory) -> Result<Worked, Misused> {
        if index == RECEIVE { self.receive(queue, memory) } else { self.send(queue, memory) }
    }
}
