//! Randomness (VIRTIO 1.2, 5.4).

use super::{Device, Misused, Worked, serve_all, share};
use crate::machine::memory::Memory;
use std::{fs::File, io, sync::Arc};
use virtio_bindings::virtio_ids::VIRTIO_ID_RNG;
use virtio_queue::Queue;
use vm_memory::Bytes as _;

/// Of one request; the driver asks again for more.
const BYTES_MAX: usize = 4096;

pub(crate) struct Entropy {
    random: Arc<File>,
}

impl Entropy {
    pub(crate) fn new(random: &File) -> io::Result<Self> {
        Ok(Self { random: share(random)? })
    }
}

impl Device for Entropy {
    fn id(&self) -> u32 {
        VIRTIO_ID_RNG
    }

    fn features(&self) -> u64 {
        0
    }

    fn config(&self) -> &[u8] {
        &[]
    }

    fn work(&mut self, _: usize, queue: &mut Queue, memory: &Memory) -> Result<Worked, Misused> {
        serve_all(queue, memory, |chain| {
            let buffer = chain.writable().next().ok_or(Misused)?;
            let bytes = (buffer.len() as usize).min(BYTES_MAX);
            memory.read_exact_volatile_from(buffer.addr(), &mut &*self.random, bytes).map_err(|_| Misused)?;
            Ok(bytes as u32)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Driver, *};

    #[test]
    fn what_the_driver_asks_for_is_filled_up_to_a_bound() {
        let mut entropy = Entropy::new(&File::open("/dev/urandom").unwrap()).unwrap();
        for (asked, given) in [(16, 16), (4096, 4096), (1 << 20, 4096)] {
            let mut driver = Driver::new();
            driver.chain(&[(0x10000, asked, true)]);
            assert_eq!(driver.work(&mut entropy), Ok(Worked { used: 1, more: false }));
            assert_eq!(driver.used(), [(0, given)]);
            let bytes = driver.read(0x10000, 16);
            assert!(bytes.iter().any(|byte| *byte != 0));
        }
    }

    #[test]
    fn what_cannot_be_filled_is_misuse() {
        let mut entropy = Entropy::new(&File::open("/dev/urandom").unwrap()).unwrap();
        for buffer in [(0x10000, 16, false), (u64::MAX - 8, 16, true), (1 << 40, 16, true)] {
            let mut driver = Driver::new();
            driver.chain(&[buffer]);
            assert_eq!(driver.work(&mut entropy), Err(Misused));
        }
    }
}
