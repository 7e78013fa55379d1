//! A device as vCPUs see it: a page of registers.
//!
//! All but the interrupt's registers are behind the lock that the device's work holds. Those are what an interrupt handler
//! looks at, which is not to wait for a disk.

use super::Transport;
use crate::machine::lock;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};
use virtio_bindings::virtio_mmio::{VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INTERRUPT_STATUS};

const STATUS: u64 = VIRTIO_MMIO_INTERRUPT_STATUS as u64;
const ACKNOWLEDGE: u64 = VIRTIO_MMIO_INTERRUPT_ACK as u64;

pub(crate) struct Window {
    interrupt_status: Arc<AtomicU32>,
    transport: Mutex<Transport>,
}

impl Window {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { interrupt_status: transport.interrupt_status(), transport: Mutex::new(transport) }
    }

    /// A read of a vCPU.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        match (offset, data.len()) {
            (STATUS, 4) => data.copy_from_slice(&self.interrupt_status.load(Ordering::SeqCst).to_le_bytes()),
            _ => lock(&self.transport).read(offset, data),
        }
    }

    /// A write of a vCPU.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) {
        match (offset, data.try_into().map(u32::from_le_bytes)) {
            (ACKNOWLEDGE, Ok(seen)) => drop(self.interrupt_status.fetch_and(!seen, Ordering::SeqCst)),
            _ => lock(&self.transport).write(offset, data),
        }
    }

    /// Whether input can be taken now.
    pub(crate) fn wants_input(&self) -> bool {
        lock(&self.transport).wants_input()
    }

    /// Works on a queue. Says if there is more to do.
    pub(crate) fn work(&self, queue: usize) -> bool {
        lock(&self.transport).work(queue)
    }
}
