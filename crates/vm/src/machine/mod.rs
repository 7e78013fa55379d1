//! A virtual machine: memory, vCPUs and devices around the kernel's KVM. It knows files and descriptors, and nothing of who
//! wants it or why.
//!
//! ```text
//!  vCPU threads ──exit──► Bus ──► serial, power, registers of the virtio devices
//!      ▲    │                           │ queue addresses
//!  irqfd    ├─ioeventfd─► event loop ──► queues of net and entropy ──► tap, randomness
//!           └─ioeventfd─► a thread a disk ──► its queue ──► the disk
//! (the event loop is the caller's: it waits for `watched`, calls `handle`)
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `memory`, `region` | where everything is, and the host's memory behind it |
//! | `boot`, `acpi`, `cpu` | what is written before the first instruction: kernel, tables, registers |
//! | `vcpu`, `worker` | the thread that runs a vCPU, and that of a slow device |
//! | `bus`, `serial`, `power` | what is at which port and address |
//! | `virtio` | block, net and entropy behind the MMIO transport of VIRTIO 1.2 |
//!
//! Everything that the guest can write is hostile: an address is checked before it is used, a length before it is
//! allocated, and a device that is misused stops until its driver resets it. A guest can harm nothing but itself.

mod acpi;
mod boot;
mod bus;
mod cpu;
mod memory;
mod power;
mod region;
mod serial;
mod vcpu;
mod virtio;
mod worker;

pub use boot::KernelError;
pub use serial::Output;

use bus::Bus;
use kvm_bindings::{KVM_PIT_SPEAKER_DUMMY, kvm_pit_config, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, Kvm, VmFd};
use std::{
    fmt,
    fs::File,
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use vcpu::Vcpus;
use virtio::{Slot, block::Block, entropy::Entropy, net::Net};
use vm_memory::{GuestMemoryBackend as _, GuestMemoryRegion as _, MemoryRegionAddress};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};
use worker::Worker;

/// Each has an interrupt of its own, of the 18 that are left.
pub const DISKS_MAX: usize = 15;

/// What a machine is made of.
#[derive(Debug)]
pub struct Config {
    /// Bytes of memory: whole pages.
    pub memory: u64,
    /// How many vCPUs.
    pub vcpus: u8,
    /// An ELF with a PVH note, or a bzImage.
    pub kernel: File,
    /// The initial RAM disk.
    pub initrd: Option<File>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Disks, in order.
    pub disks: Vec<Disk>,
    /// The network card.
    pub net: Option<NetCard>,
    /// Where randomness is read: `/dev/urandom`.
    pub entropy: File,
}

/// A disk of raw sectors.
#[derive(Debug)]
pub struct Disk {
    /// Its content.
    pub file: File,
    /// Whether the guest can't write it.
    pub read_only: bool,
}

/// A network card.
#[derive(Debug)]
pub struct NetCard {
    /// A tap device with headers of 12 bytes (`IFF_VNET_HDR`), nonblocking.
    pub tap: File,
    /// The guest's hardware address.
    pub mac: [u8; 6],
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest switched it off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
    /// The guest's fault handling failed three times over: the registers, or why there are none.
    TripleFault(String),
    /// KVM can't go on: why, and the registers.
    Failure(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOff => f.write_str("the guest switched itself off"),
            Self::Reset => f.write_str("the guest reset itself"),
            Self::TripleFault(registers) => {
                write!(f, "the guest crashed: a fault in handling a fault in handling a fault; {registers}")
            }
            Self::Failure(why) => f.write_str(why),
        }
    }
}

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// KVM refused something.
    #[error("KVM cannot {doing}")]
    Kvm {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: kvm_ioctls::Error,
    },
    /// The host's KVM is too old, or restricted.
    #[error("this host's KVM lacks {0}")]
    Lacks(&'static str),
    /// Memory could not be had.
    #[error("cannot allocate {bytes} bytes of guest memory")]
    Memory {
        /// So many.
        bytes: u64,
        /// Why.
        source: vm_memory::mmap::MmapRegionError,
    },
    /// Not a whole number of pages, or none.
    #[error("{0} bytes are no possible size of memory: give whole pages, at least 2 MiB")]
    MemorySize(u64),
    /// Less than it takes, or more than there is room for.
    #[error("{count} {what} are not possible: {min} to {max}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many were asked for.
        count: usize,
        /// How many there must be.
        min: usize,
        /// How many there can be.
        max: usize,
    },
    /// The kernel can't be booted.
    #[error("the kernel cannot be booted")]
    Kernel(#[from] KernelError),
    /// A device can't be made.
    #[error("cannot make {what}")]
    Device {
        /// Which one.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, BuildError>;
}

impl<T> Doing<T> for Result<T, kvm_ioctls::Error> {
    fn doing(self, doing: &'static str) -> Result<T, BuildError> {
        self.map_err(|source| BuildError::Kvm { doing, source })
    }
}

/// Does all of [`Machine::new`] that depends on what the user gave, and forgets it: what can't be booted is found out while
/// nothing waits for it. Memory that nothing is loaded to costs nothing.
pub fn rehearse(kvm: &Kvm, config: &Config) -> Result<(), BuildError> {
    check(kvm, config)?;
    let memory = memory::allocate(config.memory)?;
    // A network card and the source of entropy are the most that comes along.
    boot::load(&memory, config, config.disks.len() + 2)?;
    Ok(())
}

/// A machine whose vCPUs run, or are about to.
pub struct Machine {
    bus: Arc<Bus>,
    /// Before the vCPUs are let go: they end what they do.
    workers: Vec<Worker>,
    slots: Vec<Arc<Slot>>,
    vcpus: Vcpus,
    /// After everything that was registered with it.
    vm: VmFd,
}

/// What an event is about: see [`Machine::watched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    slot: usize,
    source: virtio::Source,
}

impl Machine {
    /// Everything but the first instruction. The descriptors of `config` are duplicated.
    pub fn new(kvm: &Kvm, config: &Config) -> Result<Self, BuildError> {
        check(kvm, config)?;
        let vm = kvm.create_vm().doing("create a machine")?;
        let memory = memory::allocate(config.memory)?;
        give_memory(&vm, &memory)?;
        make_interrupts(&vm)?;
        let slots = make_slots(&vm, &memory, config)?;
        let bus = Arc::new(Bus::new(&vm, slots.iter().map(|slot| slot.window()).collect())?);
        let entry = boot::load(&memory, config, slots.len())?;
        let vcpus = Vcpus::new(kvm, &vm, &memory, entry, config.vcpus, &bus)?;
        Ok(Self { bus, workers: Vec::new(), slots, vcpus, vm })
    }

    /// Lets the vCPUs run. Each thread calls `confine` before its first guest instruction.
    pub fn start(&mut self, confine: fn() -> io::Result<()>) -> Result<(), BuildError> {
        let failed = |what| move |source| BuildError::Device { what, source };
        for (index, slot) in self.slots.iter().enumerate().filter(|(_, slot)| slot.is_slow()) {
            let worker = Worker::start(Arc::clone(slot), format!("device{index}"), Arc::clone(&self.bus));
            self.workers.push(worker.map_err(failed("a device's thread"))?);
        }
        self.vcpus.start(confine).map_err(failed("the vCPU threads"))
    }

    /// What the caller's loop is to wait for, and what each is about. It changes with every event.
    pub fn watched(&self) -> Vec<(BorrowedFd<'_>, Token)> {
        let mut watched = Vec::new();
        for (slot, it) in self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_slow()) {
            watched.extend(it.watched().into_iter().map(|(fd, source)| (fd, Token { slot, source })));
        }
        watched
    }

    /// Does what an event is about.
    pub fn handle(&self, token: Token) {
        if let Some(slot) = self.slots.get(token.slot) {
            slot.handle(token.source);
        }
    }

    /// What the guest says on its serial line.
    pub fn output(&self) -> &Output {
        self.bus.serial.output()
    }

    /// Readable when the serial line takes more input.
    pub fn input_event(&self) -> &EventFd {
        self.bus.serial.input_event()
    }

    /// Gives bytes to the serial line; says how many it took.
    pub fn input(&self, bytes: &[u8]) -> usize {
        self.bus.serial.input(bytes)
    }

    /// Presses the power button. What the guest does about it is its own.
    pub fn press_power_button(&self) {
        self.bus.power.press();
    }

    /// Whether the guest has not looked at the button so far. One that is busy booting misses the interrupt.
    pub fn is_power_button_unseen(&self) -> bool {
        self.bus.power.is_pressed()
    }

    /// Readable when the machine ended.
    pub fn end_event(&self) -> &EventFd {
        self.bus.end.event()
    }

    /// How it ended, if it did.
    pub fn end(&self) -> Option<End> {
        self.bus.end.get()
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("vm", &self.vm.as_raw_fd()).field("slots", &self.slots.len()).finish()
    }
}

fn check(kvm: &Kvm, config: &Config) -> Result<(), BuildError> {
    let needed = [
        (Cap::Irqchip, "the in-kernel interrupt controllers"),
        (Cap::Irqfd, "irqfd"),
        (Cap::Ioeventfd, "ioeventfd"),
        (Cap::Pit2, "the in-kernel timer"),
        (Cap::UserMemory, "user memory"),
        (Cap::SetTssAddr, "KVM_SET_TSS_ADDR"),
    ];
    if let Some((_, name)) = needed.iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
        return Err(BuildError::Lacks(name));
    }
    let vcpus = ("vCPUs", usize::from(config.vcpus), 1, kvm.get_max_vcpus());
    let disks = ("disks", config.disks.len(), 0, DISKS_MAX);
    match [vcpus, disks].into_iter().find(|(_, count, min, max)| !(*min..=*max).contains(count)) {
        Some((what, count, min, max)) => Err(BuildError::Count { what, count, min, max }),
        None => Ok(()),
    }
}

fn give_memory(vm: &VmFd, memory: &memory::Memory) -> Result<(), BuildError> {
    for (slot, region) in (0..).zip(memory.iter()) {
        let address = region.get_host_address(MemoryRegionAddress(0)).map_err(|_| BuildError::Lacks("a mapping"))?;
        let region = kvm_userspace_memory_region {
            slot,
            guest_phys_addr: region.start_addr().0,
            memory_size: region.len(),
            userspace_addr: address as u64,
            flags: 0,
        };
        // SAFETY: the region is a mapping of exactly this size, and the devices and vCPUs, which are all that use the
        // machine, hold `memory` as long as they live.
        unsafe { vm.set_user_memory_region(region) }.doing("map guest memory")?;
    }
    Ok(())
}

fn make_interrupts(vm: &VmFd) -> Result<(), BuildError> {
    // Three pages below the firmware's place, which is in the gap of the memory map (KVM API, KVM_SET_TSS_ADDR).
    vm.set_tss_address(0xfffb_d000).doing("set the TSS address")?;
    vm.create_irq_chip().doing("create the interrupt controllers")?;
    let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
    vm.create_pit2(pit).doing("create the timer")
}

/// Disks first, so that the first one is found first; then the network card, then entropy.
fn make_slots(vm: &VmFd, memory: &memory::Memory, config: &Config) -> Result<Vec<Arc<Slot>>, BuildError> {
    let failed = |what| move |source| BuildError::Device { what, source };
    let mut devices: Vec<Box<dyn virtio::Device>> = Vec::new();
    for disk in &config.disks {
        devices.push(Box::new(Block::new(disk).map_err(failed("a disk"))?));
    }
    if let Some(card) = &config.net {
        devices.push(Box::new(Net::new(card).map_err(failed("the network card"))?));
    }
    devices.push(Box::new(Entropy::new(&config.entropy).map_err(failed("the source of entropy"))?));
    let placed = |(index, device)| Slot::new(vm, memory, index, device).map(Arc::new);
    devices.into_iter().enumerate().map(placed).collect()
}

/// An event that is waited for in a loop, so it must not block who reads it.
fn event(what: &'static str) -> Result<EventFd, BuildError> {
    EventFd::new(EFD_NONBLOCK).map_err(|source| BuildError::Device { what, source })
}

/// A thread that panicked left nothing half done here: what is guarded is valid after each write.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
