//! The registers of the MMIO transport (VIRTIO 1.2, 4.2.2), and the device's state machine behind them.

use super::{Device, Misused, QUEUE_SIZE};
use crate::machine::memory::Memory;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use virtio_bindings::{
    virtio_config::{
        VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FAILED, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET,
        VIRTIO_F_VERSION_1,
    },
    virtio_mmio::{
        VIRTIO_MMIO_CONFIG, VIRTIO_MMIO_CONFIG_GENERATION, VIRTIO_MMIO_DEVICE_FEATURES,
        VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DEVICE_ID, VIRTIO_MMIO_DRIVER_FEATURES,
        VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_VRING, VIRTIO_MMIO_MAGIC_VALUE,
        VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
        VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_NUM_MAX, VIRTIO_MMIO_QUEUE_READY,
        VIRTIO_MMIO_QUEUE_SEL, VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_STATUS,
        VIRTIO_MMIO_VENDOR_ID, VIRTIO_MMIO_VERSION,
    },
    virtio_ring::VIRTIO_RING_F_EVENT_IDX,
};
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::eventfd::EventFd;

/// "virt".
const MAGIC: u32 = 0x7472_6976;
/// Not the legacy one.
const VERSION: u32 = 2;
/// "abid".
const VENDOR: u32 = 0x6469_6261;

/// What every device of ours offers.
const FEATURES: u64 = 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX;

/// A device and its registers.
pub(crate) struct Transport {
    device: Box<dyn Device>,
    queues: Vec<Queue>,
    memory: Memory,
    interrupt: EventFd,
    /// Also read and written without the lock that we are behind: see `Window`.
    interrupt_status: Arc<AtomicU32>,
    status: u32,
    /// What the driver accepted.
    features: u64,
    device_features_half: u32,
    driver_features_half: u32,
    queue_selected: u32,
}

impl Transport {
    pub(crate) fn new(device: Box<dyn Device>, memory: Memory, interrupt: EventFd) -> Self {
        let queue = |_| Queue::new(QUEUE_SIZE).expect("a power of two below 32768 is a size");
        Self {
            queues: (0..device.queue_count()).map(queue).collect(),
            device,
            memory,
            interrupt,
            interrupt_status: Arc::default(),
            status: 0,
            features: 0,
            device_features_half: 0,
            driver_features_half: 0,
            queue_selected: 0,
        }
    }

    /// What the driver is told of why there was an interrupt.
    pub(crate) fn interrupt_status(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.interrupt_status)
    }

    /// A read of a vCPU.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        if let Some(at) = offset.checked_sub(VIRTIO_MMIO_CONFIG.into()) {
            data.fill(0);
            let space = self.device.config();
            let from = usize::try_from(at).unwrap_or(usize::MAX).min(space.len());
            let length = data.len().min(space.len() - from);
            data[..length].copy_from_slice(&space[from..from + length]);
        } else if data.len() == 4 {
            data.copy_from_slice(&self.register(offset as u32).to_le_bytes());
        }
    }

    fn register(&self, offset: u32) -> u32 {
        let queue = self.queues.get(self.queue_selected as usize);
        match offset {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => self.device.id(),
            VIRTIO_MMIO_VENDOR_ID => VENDOR,
            VIRTIO_MMIO_DEVICE_FEATURES => half(self.offered(), self.device_features_half),
            VIRTIO_MMIO_QUEUE_NUM_MAX => queue.map_or(0, |queue| queue.max_size().into()),
            VIRTIO_MMIO_QUEUE_READY => queue.is_some_and(QueueT::ready).into(),
            VIRTIO_MMIO_STATUS => self.status,
            // No device of ours changes its configuration.
            VIRTIO_MMIO_CONFIG_GENERATION => 0,
            _ => 0,
        }
    }

    /// A write of a vCPU. No configuration space of ours can be written.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        let (Ok(value), true) = (data.try_into().map(u32::from_le_bytes), offset < VIRTIO_MMIO_CONFIG.into()) else {
            return;
        };
        match offset as u32 {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.device_features_half = value,
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver_features_half = value,
            VIRTIO_MMIO_DRIVER_FEATURES => self.accept(value),
            VIRTIO_MMIO_QUEUE_SEL => self.queue_selected = value,
            VIRTIO_MMIO_STATUS => self.set_status(value),
            other => self.set_queue(other, value),
        }
    }

    fn offered(&self) -> u64 {
        FEATURES | self.device.features()
    }

    fn accept(&mut self, value: u32) {
        if self.has(VIRTIO_CONFIG_S_FEATURES_OK) {
            return;
        }
        match self.driver_features_half {
            0 => self.features = self.features & !0xffff_ffff | u64::from(value),
            1 => self.features = self.features & 0xffff_ffff | u64::from(value) << 32,
            _ => (),
        }
    }

    /// The driver goes from acknowledged to running, or back to the start with 0 (section 3.1).
    fn set_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset();
        }
        let begins = |bit: u32| value & bit != 0 && !self.has(bit);
        let (features_end, runs) = (begins(VIRTIO_CONFIG_S_FEATURES_OK), begins(VIRTIO_CONFIG_S_DRIVER_OK));
        let kept = self.status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
        self.status = value | kept;
        let acceptable = self.features & !self.offered() == 0 && self.features >> VIRTIO_F_VERSION_1 & 1 == 1;
        if features_end && !acceptable {
            self.status &= !VIRTIO_CONFIG_S_FEATURES_OK;
        }
        if runs {
            let event_index = self.features >> VIRTIO_RING_F_EVENT_IDX & 1 == 1;
            self.queues.iter_mut().for_each(|queue| queue.set_event_idx(event_index));
        }
    }

    fn reset(&mut self) {
        self.queues.iter_mut().for_each(QueueT::reset);
        self.interrupt_status.store(0, Ordering::SeqCst);
        self.status = 0;
        self.features = 0;
        self.device_features_half = 0;
        self.driver_features_half = 0;
        self.queue_selected = 0;
    }

    /// Sizes and addresses out of range are ignored by the queue, which is then found invalid when it is used.
    fn set_queue(&mut self, register: u32, value: u32) {
        let Some(queue) = self.queues.get_mut(self.queue_selected as usize) else { return };
        if register == VIRTIO_MMIO_QUEUE_READY {
            queue.set_ready(value == 1);
            return;
        }
        if queue.ready() {
            return;
        }
        match register {
            VIRTIO_MMIO_QUEUE_NUM => queue.set_size(u16::try_from(value).unwrap_or(0)),
            VIRTIO_MMIO_QUEUE_DESC_LOW => queue.set_desc_table_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_DESC_HIGH => queue.set_desc_table_address(None, Some(value)),
            VIRTIO_MMIO_QUEUE_AVAIL_LOW => queue.set_avail_ring_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_AVAIL_HIGH => queue.set_avail_ring_address(None, Some(value)),
            VIRTIO_MMIO_QUEUE_USED_LOW => queue.set_used_ring_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_USED_HIGH => queue.set_used_ring_address(None, Some(value)),
            _ => (),
        }
    }

    fn has(&self, bit: u32) -> bool {
        self.status & bit != 0
    }

    /// Whether the driver runs and didn't break anything.
    fn is_running(&self) -> bool {
        self.has(VIRTIO_CONFIG_S_DRIVER_OK) && !self.has(VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)
    }

    /// Whether input can be taken now.
    pub(crate) fn wants_input(&self) -> bool {
        self.is_running() && self.device.wants_input()
    }

    /// Works on a queue, for the caller's loop. Says if there is more to do.
    pub(crate) fn work(&mut self, index: usize) -> bool {
        if !self.is_running() {
            return false;
        }
        match self.try_work(index) {
            Ok(more) => more,
            Err(Misused) => {
                self.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
                self.interrupt(VIRTIO_MMIO_INT_CONFIG);
                false
            }
        }
    }

    fn try_work(&mut self, index: usize) -> Result<bool, Misused> {
        let queue = self.queues.get_mut(index).ok_or(Misused)?;
        // A driver may leave out queues that it has no use for.
        if !queue.ready() {
            return Ok(false);
        }
        if !queue.is_valid(&self.memory) {
            return Err(Misused);
        }
        queue.disable_notification(&self.memory)?;
        let worked = self.device.work(index, queue, &self.memory)?;
        // What came between the last look and the enabling has notified nobody.
        let unseen = queue.enable_notification(&self.memory)?;
        if worked.used > 0 && queue.needs_notification(&self.memory)? {
            self.interrupt(VIRTIO_MMIO_INT_VRING);
        }
        Ok(worked.more || unseen && worked.used > 0)
    }

    fn interrupt(&mut self, why: u32) {
        self.interrupt_status.fetch_or(why, Ordering::SeqCst);
        // It fails only if the guest ignored four billion of them.
        drop(self.interrupt.write(1));
    }
}

fn half(bits: u64, which: u32) -> u32 {
    match which {
        0 => bits as u32,
        1 => (bits >> 32) as u32,
        _ => 0,
    }
}
