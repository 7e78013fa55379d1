//! Where everything is in the guest's physical addresses.
//!
//! ```text
//!          0 ┌ GDT, page tables, boot parameters, command line ┐ low memory
//!     0x9fc00 ├ (nothing)
//!     0xe0000 ├ ACPI tables, found also by who scans for them
//!    0x100000 ├ kernel, …, initrd at the end of what is below the gap
//!  0xc0000000 ├ gap: virtio 0xd0000000 + n × 0x1000, I/O APIC 0xfec00000, local APIC 0xfee00000
//! 0x100000000 └ the rest of the memory
//! ```

use super::{BuildError, region::Region};
use vm_memory::{GuestAddress, GuestRegionCollection};

/// The guest's memory.
pub(crate) type Memory = GuestRegionCollection<Region>;

pub(crate) const GDT: u64 = 0x500;
pub(crate) const START_INFO: u64 = 0x6000;
pub(crate) const MODULES: u64 = 0x6100;
pub(crate) const MEMORY_MAP: u64 = 0x6200;
pub(crate) const ZERO_PAGE: u64 = 0x7000;
pub(crate) const PAGE_TABLES: u64 = 0x9000;
pub(crate) const CMDLINE: u64 = 0x2_0000;
pub(crate) const LOW_END: u64 = 0x9_fc00;
pub(crate) const ACPI: u64 = 0xe_0000;
pub(crate) const HIGH: u64 = 0x10_0000;
pub(crate) const GAP: u64 = 0xc000_0000;
pub(crate) const GAP_END: u64 = 1 << 32;
pub(crate) const VIRTIO: u64 = 0xd000_0000;
pub(crate) const VIRTIO_SIZE: u64 = 0x1000;
pub(crate) const IO_APIC: u32 = 0xfec0_0000;
pub(crate) const LOCAL_APIC: u32 = 0xfee0_0000;

/// Less holds no kernel.
const SIZE_MIN: u64 = 2 << 20;

/// What a range of addresses is, in the numbers of e820, which PVH shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Ram = 1,
    Reserved = 2,
}

/// The map of a machine with so much memory: start, length, use.
pub(crate) fn map(bytes: u64) -> Vec<(u64, u64, Use)> {
    let mut map =
        vec![(0, LOW_END, Use::Ram), (ACPI, HIGH - ACPI, Use::Reserved), (HIGH, bytes.min(GAP) - HIGH, Use::Ram)];
    if bytes > GAP {
        map.push((GAP_END, bytes - GAP, Use::Ram));
    }
    map
}

/// All of it, without content.
pub(crate) fn allocate(bytes: u64) -> Result<Memory, BuildError> {
    if bytes < SIZE_MIN || !bytes.is_multiple_of(4096) {
        return Err(BuildError::MemorySize(bytes));
    }
    let mut ranges = vec![(GuestAddress(0), bytes.min(GAP) as usize)];
    if bytes > GAP {
        ranges.push((GuestAddress(GAP_END), (bytes - GAP) as usize));
    }
    let regions: Result<Vec<_>, _> = ranges.into_iter().map(|(start, bytes)| Region::new(start, bytes)).collect();
    let regions = regions.map_err(|source| BuildError::Memory { bytes, source })?;
    // The second begins after the first.
    Ok(Memory::from_regions(regions).expect("two regions that are apart make a memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_on_behind_the_gap() {
        let ram = |bytes| -> u64 { map(bytes).iter().filter(|part| part.2 == Use::Ram).map(|part| part.1).sum() };
        // What is between low memory and the kernel is lost.
        let lost = HIGH - LOW_END;
        for bytes in [SIZE_MIN, 128 << 20, GAP, GAP + 4096, 8 << 30] {
            assert_eq!(ram(bytes), bytes - lost);
            assert_eq!(map(bytes).len(), if bytes > GAP { 4 } else { 3 });
        }
        for bytes in [0, 4096, (128 << 20) + 1] {
            assert!(matches!(allocate(bytes), Err(BuildError::MemorySize(_))));
        }
    }
}
