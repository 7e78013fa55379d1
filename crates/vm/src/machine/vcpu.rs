//! The threads that run vCPUs.
//!
//! A thread is called back by a signal that is blocked everywhere but in `KVM_RUN`: one that comes too early is still
//! pending when the guest is entered, and ends that at once. No handler ever runs.

use super::{
    BuildError, Doing as _, End,
    bus::Bus,
    cpu::{self, Entry},
    memory::Memory,
};
use kvm_bindings::{KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN, kvm_regs, kvm_sregs};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use nix::sys::{
    pthread::{Pthread, pthread_kill},
    signal::{SigSet, Signal},
};
use std::{
    io,
    os::{fd::AsRawFd as _, unix::thread::JoinHandleExt as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

const CALL_BACK: Signal = Signal::SIGUSR1;

/// `_IOW(KVMIO, 0x8b, struct kvm_signal_mask)`.
const KVM_SET_SIGNAL_MASK: libc::Ioctl = 0x4004_ae8b;

const STACK: usize = 128 << 10;

/// All vCPUs of a machine.
pub(crate) struct Vcpus {
    waiting: Vec<VcpuFd>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    bus: Arc<Bus>,
    memory: Memory,
}

impl Vcpus {
    pub(crate) fn new(
        kvm: &Kvm,
        vm: &VmFd,
        memory: &Memory,
        entry: Entry,
        count: u8,
        bus: &Arc<Bus>,
    ) -> Result<Self, BuildError> {
        let features = cpu::features(kvm)?;
        let make = |id: u8| {
            let vcpu = vm.create_vcpu(id.into()).doing("create a vCPU")?;
            cpu::set_features(&vcpu, &features, id)?;
            cpu::set_msrs(&vcpu)?;
            if id == 0 {
                cpu::enter(&vcpu, memory, entry)?;
            }
            Ok(vcpu)
        };
        Ok(Self {
            waiting: (0..count).map(make).collect::<Result<_, BuildError>>()?,
            threads: Vec::new(),
            stop: Arc::default(),
            bus: Arc::clone(bus),
            memory: memory.clone(),
        })
    }

    pub(crate) fn start(&mut self, confine: fn() -> io::Result<()>) -> io::Result<()> {
        // Threads inherit it, so it is blocked from their first moment on.
        SigSet::from(CALL_BACK).thread_block()?;
        for (id, mut vcpu) in self.waiting.drain(..).enumerate() {
            unblock_in_guest(&vcpu)?;
            let (bus, stop, memory) = (Arc::clone(&self.bus), Arc::clone(&self.stop), self.memory.clone());
            let body = move || {
                let end = match confine() {
                    Ok(()) => run(&mut vcpu, &bus, &stop),
                    Err(error) => Some(End::Failure(format!("cannot confine a vCPU's thread: {error}"))),
                };
                if let Some(end) = end {
                    bus.end.set(end);
                }
                // The guest's memory must be there as long as it runs.
                drop(memory);
            };
            self.threads.push(thread::Builder::new().name(format!("vcpu{id}")).stack_size(STACK).spawn(body)?);
        }
        Ok(())
    }
}

impl Drop for Vcpus {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.bus.serial.close();
        for thread in &self.threads {
            // A thread that ended by itself needs no call. C libraries differ in what a thread is to them.
            let _ = pthread_kill(thread.as_pthread_t() as Pthread, CALL_BACK);
        }
        for thread in self.threads.drain(..) {
            // One that panicked said so.
            drop(thread.join());
        }
    }
}

fn unblock_in_guest(vcpu: &VcpuFd) -> io::Result<()> {
    #[repr(C)]
    struct Mask {
        bytes: u32,
        blocked: [u8; 8],
    }
    let mask = Mask { bytes: 8, blocked: [0; 8] };
    // SAFETY: the descriptor is a vCPU's; the kernel reads a length and that many bytes, which is what `Mask` is.
    match unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_SIGNAL_MASK, &mask) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs a vCPU until the machine ends by it, or is stopped.
fn run(vcpu: &mut VcpuFd, bus: &Bus, stop: &AtomicBool) -> Option<End> {
    while !stop.load(Ordering::SeqCst) {
        let end = match vcpu.run() {
            Ok(VcpuExit::IoIn(port, data)) => {
                bus.read_port(port, data);
                None
            }
            Ok(VcpuExit::IoOut(port, data)) => bus.write_port(port, data),
            Ok(VcpuExit::MmioRead(address, data)) => {
                bus.read(address, data);
                None
            }
            Ok(VcpuExit::MmioWrite(address, data)) => {
                bus.write(address, data);
                None
            }
            Ok(VcpuExit::Intr) => None,
            Ok(VcpuExit::Shutdown) => Some(End::TripleFault(registers(vcpu))),
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN, _)) => Some(End::PowerOff),
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_RESET, _)) => Some(End::Reset),
            Ok(exit) => {
                let why = format!("KVM gave the guest up ({exit:?})");
                Some(failure(&why, vcpu))
            }
            Err(error) if [libc::EINTR, libc::EAGAIN].contains(&error.errno()) => None,
            Err(error) => Some(failure(&format!("KVM cannot run the guest: {error}"), vcpu)),
        };
        if end.is_some() {
            return end;
        }
    }
    None
}

fn failure(why: &str, vcpu: &VcpuFd) -> End {
    End::Failure(format!("{why}; {}", registers(vcpu)))
}

/// Where it was, for the person who has the kernel's symbols.
fn registers(vcpu: &VcpuFd) -> String {
    let (regs, sregs) = (vcpu.get_regs().unwrap_or_default(), vcpu.get_sregs().unwrap_or_default());
    if is_reset(&regs, &sregs) {
        return "its registers are lost, as KVM resets the processor then (it does on AMD)".to_owned();
    }
    let named = [
        ("rip", regs.rip),
        ("rsp", regs.rsp),
        ("rflags", regs.rflags),
        ("rax", regs.rax),
        ("rbx", regs.rbx),
        ("rcx", regs.rcx),
        ("rdx", regs.rdx),
        ("rsi", regs.rsi),
        ("rdi", regs.rdi),
        ("cr0", sregs.cr0),
        ("cr2", sregs.cr2),
        ("cr3", sregs.cr3),
        ("cr4", sregs.cr4),
        ("efer", sregs.efer),
        ("cs", sregs.cs.selector.into()),
    ];
    named.map(|(name, value)| format!("{name}={value:#x}")).join(" ")
}

/// Whether a processor is about to execute its first instruction (AMD64 APM 2, 14.1.5). A guest's processors leave that
/// state before they run.
fn is_reset(regs: &kvm_regs, sregs: &kvm_sregs) -> bool {
    (sregs.cs.base, regs.rip) == (0xffff_0000, 0xfff0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As read after the crash of a Linux on an AMD processor.
    #[test]
    fn what_a_reset_leaves_behind_is_not_taken_for_where_the_guest_was() {
        let mut regs = kvm_regs { rip: 0xfff0, rdx: 0x80_0f12, rflags: 2, ..Default::default() };
        let mut sregs = kvm_sregs { cr0: 0x10, ..Default::default() };
        (sregs.cs.selector, sregs.cs.base) = (0xf000, 0xffff_0000);
        assert!(is_reset(&regs, &sregs));
        sregs.cs.base = 0;
        assert!(!is_reset(&regs, &sregs));
        (sregs.cs.base, regs.rip) = (0xffff_0000, 0xe05b);
        assert!(!is_reset(&regs, &sregs));
    }
}
