//! Finding virtio devices, and lending them memory.

use core::{
    ptr::{NonNull, addr_of_mut},
    sync::atomic::{AtomicUsize, Ordering},
};
use virtio_drivers::{
    BufferDirection, Hal, PAGE_SIZE, PhysAddr,
    transport::mmio::{MmioTransport, VirtIOHeader},
};

const FIRST: usize = 0xd000_0000;
const SIZE: usize = 0x1000;
const COUNT: usize = 18;

const POOL_PAGES: usize = 128;

#[repr(C, align(4096))]
struct Pool([u8; POOL_PAGES * PAGE_SIZE]);

static mut POOL: Pool = Pool([0; POOL_PAGES * PAGE_SIZE]);
static POOL_USED: AtomicUsize = AtomicUsize::new(0);

/// The transports of all devices there are.
pub fn find() -> impl Iterator<Item = MmioTransport<'static>> {
    (0..COUNT).filter_map(|slot| {
        let header = NonNull::new((FIRST + slot * SIZE) as *mut VirtIOHeader)?;
        // SAFETY: the place of a device, mapped, and looked at once.
        unsafe { MmioTransport::new(header, SIZE) }.ok()
    })
}

/// Memory is where it seems to be, and none is given back.
pub struct Memory;

// SAFETY: pages come from a pool of aligned pages, each once; addresses are mapped one to one.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let first = POOL_USED.fetch_add(pages, Ordering::Relaxed);
        assert!(first + pages <= POOL_PAGES, "no page left for devices");
        let page = addr_of_mut!(POOL).cast::<u8>().wrapping_add(first * PAGE_SIZE);
        (page as PhysAddr, NonNull::new(page).expect("the pool is not at 0"))
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).expect("no device is at 0")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
