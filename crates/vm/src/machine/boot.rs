//! What lies in memory before the first instruction: the kernel, its initrd, its command line, and what it is told of the
//! machine. An ELF is entered by PVH (Xen's docs/misc/pvh), a bzImage by the 64-bit protocol (Linux, Documentation/arch/x86/boot.rst).

use super::{
    Config, acpi,
    cpu::Entry,
    memory::{self, CMDLINE, GAP, HIGH, MEMORY_MAP, MODULES, Memory, START_INFO, ZERO_PAGE},
};
use linux_loader::{
    configurator::{BootConfigurator as _, BootParams, linux::LinuxBootConfigurator, pvh::PvhBootConfigurator},
    loader::{
        BzImage, Elf, KernelLoader as _, KernelLoaderResult,
        bootparam::{boot_e820_entry, boot_params, setup_header},
        elf::{
            PvhBootCapability,
            start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info},
        },
    },
};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};
use vm_memory::{Address as _, Bytes as _, GuestAddress, GuestMemoryBackend as _};

/// `COMMAND_LINE_SIZE` of Linux on x86, with its NUL.
const CMDLINE_MAX: usize = 2048;

/// `XEN_HVM_START_MAGIC_VALUE`.
const START_MAGIC: u32 = 0x336e_c578;
/// The version that has a memory map.
const START_VERSION: u32 = 1;

/// `type_of_loader`: none that has a number.
const LOADER: u8 = 0xff;
/// The first version that says if there is a 64-bit entry.
const PROTOCOL_MIN: u16 = 0x20c;
/// `XLF_KERNEL_64` of `xloadflags`.
const HAS_64_BIT_ENTRY: u16 = 1;
/// Where that entry is in the loaded kernel.
const ENTRY_64: u64 = 0x200;

/// Why a kernel can't be booted.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file can't be read.
    #[error("cannot read {0}")]
    Read(&'static str, #[source] io::Error),
    /// Nothing much is in it.
    #[error("the file is empty, or next to it")]
    Short,
    /// No format that we know.
    #[error("it is neither an ELF nor a bzImage that fits in memory")]
    Format(#[source] linux_loader::loader::Error),
    /// An ELF without the entry.
    #[error("this ELF has no PVH note: build Linux with CONFIG_PVH, or give its bzImage")]
    NoPvh,
    /// A bzImage without the entry.
    #[error("this bzImage has no 64-bit entry (boot protocol 2.12)")]
    No64Bit,
    /// Too little memory.
    #[error("{what} needs more memory than the machine has")]
    NoRoom {
        /// For what.
        what: &'static str,
    },
    /// Longer than kernels take, or with bytes that none takes.
    #[error("the command line must have less than {CMDLINE_MAX} bytes, and none that is no printable ASCII")]
    Cmdline,
}

/// What both protocols tell the kernel.
struct Told {
    rsdp: GuestAddress,
    /// Address and bytes.
    initrd: Option<(u64, u64)>,
    cmdline_bytes: u32,
    map: Vec<(u64, u64, memory::Use)>,
}

/// Loads all that is to be there, and says where the first vCPU starts.
pub(crate) fn load(memory: &Memory, config: &Config, devices: usize) -> Result<Entry, KernelError> {
    let mut kernel = &config.kernel;
    let mut magic = [0; 4];
    kernel.rewind().and_then(|()| kernel.read_exact(&mut magic)).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => KernelError::Short,
        _ => KernelError::Read("it", error),
    })?;
    let high = Some(GuestAddress(HIGH));
    // The loaders ask for a file of their own.
    let mut file = kernel.try_clone().map_err(|error| KernelError::Read("it", error))?;
    if &magic == b"\x7fELF" {
        let loaded = Elf::load(memory, None, &mut file, high).map_err(KernelError::Format)?;
        let PvhBootCapability::PvhEntryPresent(entry) = loaded.pvh_boot_cap else { return Err(KernelError::NoPvh) };
        tell_pvh(memory, &tell(memory, config, devices, loaded.kernel_end, GAP)?)?;
        Ok(Entry::Pvh(entry))
    } else {
        let loaded = BzImage::load(memory, None, &mut file, high).map_err(KernelError::Format)?;
        let header = check_header(memory, &loaded)?;
        let below = u64::from(header.initrd_addr_max).saturating_add(1);
        let end = kernel_end(&header, &loaded);
        tell_linux(memory, header, &tell(memory, config, devices, end, below)?)?;
        Ok(Entry::Linux(loaded.kernel_load.unchecked_add(ENTRY_64)))
    }
}

/// What is beyond is free while the kernel unpacks itself.
fn kernel_end(header: &setup_header, loaded: &KernelLoaderResult) -> u64 {
    let (preferred, size) = (header.pref_address, u64::from(header.init_size));
    loaded.kernel_end.max(preferred.max(loaded.kernel_load.0).saturating_add(size))
}

fn check_header(memory: &Memory, loaded: &KernelLoaderResult) -> Result<setup_header, KernelError> {
    let header = loaded.setup_header.ok_or(KernelError::No64Bit)?;
    if header.version < PROTOCOL_MIN || header.xloadflags & HAS_64_BIT_ENTRY == 0 {
        return Err(KernelError::No64Bit);
    }
    if kernel_end(&header, loaded) > low_end(memory) {
        return Err(KernelError::NoRoom { what: "the kernel" });
    }
    Ok(header)
}

/// Where memory below the gap ends.
fn low_end(memory: &Memory) -> u64 {
    memory.last_addr().0.saturating_add(1).min(GAP)
}

/// Writes initrd, tables and command line.
fn tell(
    memory: &Memory,
    config: &Config,
    devices: usize,
    kernel_end: u64,
    initrd_below: u64,
) -> Result<Told, KernelError> {
    let rsdp = acpi::write(memory, config.vcpus, devices).ok_or(KernelError::NoRoom { what: "the ACPI tables" })?;
    let initrd = config.initrd.as_ref().map(|file| load_initrd(memory, file, kernel_end, initrd_below)).transpose()?;
    let cmdline = config.cmdline.as_bytes();
    if cmdline.len() >= CMDLINE_MAX || cmdline.iter().any(|byte| !(b' '..=b'~').contains(byte)) {
        return Err(KernelError::Cmdline);
    }
    put(memory, &[cmdline, &[0]].concat(), CMDLINE, "the command line")?;
    Ok(Told { rsdp, initrd, cmdline_bytes: cmdline.len() as u32, map: memory::map(config.memory) })
}

/// As high as it may be, so that the kernel has room to unpack.
fn load_initrd(memory: &Memory, file: &File, after: u64, below: u64) -> Result<(u64, u64), KernelError> {
    const WHAT: &str = "the initrd";
    let failed = |error| KernelError::Read(WHAT, error);
    let mut file = file.try_clone().map_err(failed)?;
    let bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let no_room = || KernelError::NoRoom { what: WHAT };
    let end = low_end(memory).min(below);
    let start = end.checked_sub(bytes).map(|start| start & !0xfff).filter(|start| *start >= after);
    let start = start.ok_or_else(no_room)?;
    let length = usize::try_from(bytes).map_err(|_| no_room())?;
    let read = memory.read_exact_volatile_from(GuestAddress(start), &mut file, length);
    read.map_err(|error| failed(io::Error::other(error)))?;
    Ok((start, bytes))
}

fn tell_pvh(memory: &Memory, told: &Told) -> Result<(), KernelError> {
    let entry = |&(addr, size, kind): &(u64, u64, memory::Use)| hvm_memmap_table_entry {
        addr,
        size,
        type_: kind as u32,
        reserved: 0,
    };
    let map: Vec<_> = told.map.iter().map(entry).collect();
    let modules: Vec<_> =
        told.initrd.map(|(paddr, size)| hvm_modlist_entry { paddr, size, ..Default::default() }).into_iter().collect();
    let start = hvm_start_info {
        magic: START_MAGIC,
        version: START_VERSION,
        nr_modules: modules.len() as u32,
        modlist_paddr: if modules.is_empty() { 0 } else { MODULES },
        cmdline_paddr: CMDLINE,
        rsdp_paddr: told.rsdp.0,
        memmap_paddr: MEMORY_MAP,
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    let mut params = BootParams::new(&start, GuestAddress(START_INFO));
    params.set_sections(&map, GuestAddress(MEMORY_MAP));
    params.set_modules(&modules, GuestAddress(MODULES));
    PvhBootConfigurator::write_bootparams(&params, memory)
        .map_err(|_| KernelError::NoRoom { what: "the boot parameters" })
}

fn tell_linux(memory: &Memory, header: setup_header, told: &Told) -> Result<(), KernelError> {
    let mut params = boot_params { hdr: header, acpi_rsdp_addr: told.rsdp.0, ..Default::default() };
    params.hdr.type_of_loader = LOADER;
    params.hdr.cmd_line_ptr = CMDLINE as u32;
    params.hdr.cmdline_size = told.cmdline_bytes;
    // Below the gap, so both fit.
    let (start, bytes) = told.initrd.unwrap_or_default();
    params.hdr.ramdisk_image = start as u32;
    params.hdr.ramdisk_size = bytes as u32;
    for (slot, &(addr, size, kind)) in params.e820_table.iter_mut().zip(&told.map) {
        *slot = boot_e820_entry { addr, size, r#type: kind as u32 };
    }
    params.e820_entries = told.map.len() as u8;
    LinuxBootConfigurator::write_bootparams(&BootParams::new(&params, GuestAddress(ZERO_PAGE)), memory)
        .map_err(|_| KernelError::NoRoom { what: "the boot parameters" })
}

fn put(memory: &Memory, bytes: &[u8], at: u64, what: &'static str) -> Result<(), KernelError> {
    memory.write_slice(bytes, GuestAddress(at)).map_err(|_| KernelError::NoRoom { what })
}
