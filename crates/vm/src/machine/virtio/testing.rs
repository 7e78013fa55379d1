//! The other side of a queue: what a driver writes, right or wrong.

use super::{Device, Misused, Worked};
use crate::machine::memory::{self, Memory};
use virtio_queue::{Queue, QueueT as _};
use vm_memory::{Bytes as _, GuestAddress};

const TABLE: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const SIZE: u16 = 16;
const NEXT: u16 = 1;
const WRITE: u16 = 2;

pub(crate) struct Driver {
    pub(crate) memory: Memory,
    pub(crate) queue: Queue,
    next: u16,
    available: u16,
}

impl Driver {
    pub(crate) fn new() -> Self {
        let mut queue = Queue::new(SIZE).unwrap();
        queue.set_desc_table_address(Some(TABLE as u32), Some(0));
        queue.set_avail_ring_address(Some(AVAILABLE as u32), Some(0));
        queue.set_used_ring_address(Some(USED as u32), Some(0));
        queue.set_ready(true);
        Self { memory: memory::allocate(4 << 20).unwrap(), queue, next: 0, available: 0 }
    }

    /// Makes a chain of buffers available: address, length, whether the device writes it.
    pub(crate) fn chain(&mut self, buffers: &[(u64, u32, bool)]) {
        let head = self.next;
        for (n, (address, length, writable)) in buffers.iter().enumerate() {
            let flags = if n + 1 < buffers.len() { NEXT } else { 0 } | if *writable { WRITE } else { 0 };
            self.describe(self.next, *address, *length, flags, self.next + 1);
            self.next += 1;
        }
        self.offer(head);
    }

    pub(crate) fn describe(&mut self, index: u16, address: u64, length: u32, flags: u16, next: u16) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        self.write(TABLE + u64::from(index) * 16, &bytes);
    }

    pub(crate) fn offer(&mut self, head: u16) {
        self.write(AVAILABLE + 4 + u64::from(self.available % SIZE) * 2, &head.to_le_bytes());
        self.available += 1;
        self.write(AVAILABLE + 2, &self.available.to_le_bytes());
    }

    pub(crate) fn work(&mut self, device: &mut dyn Device) -> Result<Worked, Misused> {
        device.work(0, &mut self.queue, &self.memory)
    }

    /// What the device gave back: head, bytes written.
    pub(crate) fn used(&self) -> Vec<(u32, u32)> {
        let count: u16 = self.memory.read_obj(GuestAddress(USED + 2)).unwrap();
        let entry = |n: u16| self.memory.read_obj::<[u32; 2]>(GuestAddress(USED + 4 + u64::from(n) * 8)).unwrap();
        (0..count).map(entry).map(|[head, written]| (head, written)).collect()
    }

    pub(crate) fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub(crate) fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }
}
