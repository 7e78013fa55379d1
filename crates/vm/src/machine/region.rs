//! A stretch of guest memory at a host address that huge pages fit: where both addresses agree in their lower bits, KVM maps
//! two MiB at once, and the kernel hands out as much with one fault.

use nix::sys::mman::{MmapAdvise, madvise};
use std::{ffi::c_void, ptr::NonNull};
use vm_memory::{
    GuestAddress, GuestMemoryError, GuestMemoryRegion, GuestMemoryRegionBytes, MemoryRegionAddress, MmapRegion,
    VolatileMemory as _, VolatileSlice, mmap::MmapRegionError,
};

/// Of x86.
const HUGE: usize = 2 << 20;

/// Where Linux begins. What is below is used in single pages if at all: a huge one would have to be cleared for a few bytes,
/// which is what the start of a small guest takes longest for.
const SMALL_BELOW: usize = 16 << 20;

/// A stretch of guest memory.
#[derive(Debug)]
pub(crate) struct Region {
    /// Longer than the stretch by a huge page, so that one begins in it.
    mapping: MmapRegion,
    /// Where the stretch begins in the mapping; `skipped + bytes` is at most its size.
    skipped: usize,
    bytes: usize,
    start: GuestAddress,
}

impl Region {
    /// Anonymous memory: a page costs when it is first touched. `start` is a multiple of a huge page.
    pub(crate) fn new(start: GuestAddress, bytes: usize) -> Result<Self, MmapRegionError> {
        let mapping = MmapRegion::new(bytes.checked_add(HUGE).ok_or(MmapRegionError::InvalidOffsetLength)?)?;
        let skipped = mapping.as_ptr().align_offset(HUGE);
        let small = SMALL_BELOW.saturating_sub(start.0 as usize).min(bytes);
        if let Some(first) = NonNull::new(mapping.as_ptr().wrapping_add(skipped + small).cast::<c_void>()) {
            // SAFETY: the advice changes no content, and the range is within the mapping, which is ours.
            // A kernel without huge pages refuses it, which only costs time.
            let _refused = unsafe { madvise(first, bytes - small, MmapAdvise::MADV_HUGEPAGE) };
        }
        Ok(Self { mapping, skipped, bytes, start })
    }
}

impl GuestMemoryRegion for Region {
    type B = ();

    fn len(&self) -> u64 {
        self.bytes as u64
    }

    fn start_addr(&self) -> GuestAddress {
        self.start
    }

    fn bitmap(&self) {}

    fn get_host_address(&self, at: MemoryRegionAddress) -> Result<*mut u8, GuestMemoryError> {
        let at = self.check_address(at).ok_or(GuestMemoryError::InvalidBackendAddress)?;
        Ok(self.mapping.as_ptr().wrapping_add(self.skipped + at.0 as usize))
    }

    fn get_slice(&self, at: MemoryRegionAddress, count: usize) -> Result<VolatileSlice<'_>, GuestMemoryError> {
        let fits = usize::try_from(at.0).ok().filter(|at| at.checked_add(count).is_some_and(|end| end <= self.bytes));
        let at = fits.ok_or(GuestMemoryError::InvalidBackendAddress)?;
        Ok(self.mapping.get_slice(self.skipped + at, count)?)
    }
}

impl GuestMemoryRegionBytes for Region {}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::Bytes as _;

    #[test]
    fn a_region_begins_where_a_huge_page_does_and_ends_where_it_should() {
        let region = Region::new(GuestAddress(0), 3 << 20).unwrap();
        assert_eq!(region.get_host_address(MemoryRegionAddress(0)).unwrap() as usize % HUGE, 0);
        let last = MemoryRegionAddress(region.len() - 1);
        region.write_obj(7_u8, last).unwrap();
        assert_eq!(region.read_obj::<u8>(last).unwrap(), 7);
        assert!(region.write_obj(7_u16, last).is_err());
        assert!(region.get_host_address(MemoryRegionAddress(region.len())).is_err());
        for (at, count) in [(region.len(), 1), (0, (3 << 20) + 1), (u64::MAX, 1), (1, usize::MAX)] {
            assert!(region.get_slice(MemoryRegionAddress(at), count).is_err(), "{at} {count}");
        }
        assert_eq!(region.get_slice(MemoryRegionAddress(0), 3 << 20).unwrap().len(), 3 << 20);
    }
}
