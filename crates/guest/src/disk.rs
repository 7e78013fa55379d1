//! Disks: each counts the boots it has seen in its first sector, which shows that what is written lasts.

use crate::{device::Memory, say};
use virtio_drivers::{
    Result,
    device::blk::{SECTOR_SIZE, VirtIOBlk},
    transport::mmio::MmioTransport,
};

/// Counts this boot on the disk, unless it can't be written.
pub fn count(number: usize, transport: MmioTransport<'static>) -> Result {
    let mut disk = VirtIOBlk::<Memory, _>::new(transport)?;
    let sectors = disk.capacity();
    let mut sector = [0; SECTOR_SIZE];
    disk.read_blocks(0, &mut sector)?;
    let mut count = [0; 8];
    count.copy_from_slice(&sector[..8]);
    let count = u64::from_le_bytes(count);
    if disk.readonly() {
        let refused = disk.write_blocks(0, &sector).is_err();
        say!(
            "disk {number}: {sectors} sectors, read-only ({}), boot {count}",
            if refused { "refused" } else { "written" }
        );
        return Ok(());
    }
    sector[..8].copy_from_slice(&(count + 1).to_le_bytes());
    disk.write_blocks(0, &sector)?;
    disk.flush()?;
    // The last sector too: the end is where sizes are wrong.
    let last = usize::try_from(sectors).expect("addresses have 64 bits") - 1;
    disk.read_blocks(last, &mut sector)?;
    say!("disk {number}: {sectors} sectors, boot {}", count + 1);
    Ok(())
}
