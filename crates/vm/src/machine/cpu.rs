//! What a vCPU holds before its first instruction: the registers of the boot protocol, and the features it says it has.

use super::{
    BuildError, Doing as _,
    memory::{GDT, Memory, PAGE_TABLES, START_INFO, ZERO_PAGE},
};
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, Msrs, kvm_fpu, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::{Cap, Kvm, VcpuFd};
use vm_memory::{Bytes as _, GuestAddress};

/// Where the first vCPU starts, and by which protocol. Others wait for the guest to start them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// 32 bits, protected mode, no paging, `ebx` on the start info.
    Pvh(GuestAddress),
    /// 64 bits, the first GiB mapped as it is, `rsi` on the zero page.
    Linux(GuestAddress),
}

const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;

/// Of page tables: present, writable; a big page.
const PRESENT: u64 = 0b11;
const BIG: u64 = 1 << 7;
const BIG_PAGE: u64 = 2 << 20;

/// Descriptors, at the selectors that Linux expects: code at 0x10, data at 0x18, task state at 0x20.
const GDT_32: [u64; 5] = [0, 0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x0000_8b00_0000_0067];
const GDT_64: [u64; 5] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x0000_8b00_0000_0067];
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
const TASK: u16 = 0x20;

/// Fast string operations, and write-back as the default of memory types: what firmware leaves behind.
const MSRS: [(u32, u64); 2] = [(0x1a0, 1), (0x2ff, 1 << 11 | 6)];

/// What the host's processor can and a guest may.
pub(crate) fn features(kvm: &Kvm) -> Result<CpuId, BuildError> {
    let mut cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).doing("list the processor's features")?;
    // Not in the list, because it needs the interrupt controllers in the kernel, which we have (KVM API, 4.46).
    let deadlines = u32::from(kvm.check_extension(Cap::TscDeadlineTimer)) << 24;
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            // No virtual machines in virtual machines (VMX); and it is one.
            1 => entry.ecx = entry.ecx & !(1 << 5) | 1 << 31 | deadlines,
            // No performance counters: they tell a guest of its neighbours.
            0xa => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
            // No virtual machines in virtual machines (SVM).
            0x8000_0001 => entry.ecx &= !(1 << 2),
            _ => (),
        }
    }
    Ok(cpuid)
}

/// Tells a vCPU its features. Its number is in some of them.
pub(crate) fn set_features(vcpu: &VcpuFd, features: &CpuId, id: u8) -> Result<(), BuildError> {
    let mut features = features.clone();
    for entry in features.as_mut_slice() {
        match entry.function {
            1 => entry.ebx = entry.ebx & 0x00ff_ffff | u32::from(id) << 24,
            0xb | 0x1f => entry.edx = id.into(),
            0x8000_001e => entry.eax = id.into(),
            _ => (),
        }
    }
    vcpu.set_cpuid2(&features).doing("set the processor's features")
}

/// Puts the first vCPU at its entry.
pub(crate) fn enter(vcpu: &VcpuFd, memory: &Memory, entry: Entry) -> Result<(), BuildError> {
    let mut sregs = vcpu.get_sregs().doing("read the registers")?;
    let mut regs = kvm_regs { rflags: 2, ..Default::default() };
    match entry {
        Entry::Pvh(start) => {
            segments(&mut sregs, memory, &GDT_32)?;
            sregs.cr0 = CR0_PE | CR0_ET;
            (regs.rip, regs.rbx) = (start.0, START_INFO);
        }
        Entry::Linux(start) => {
            segments(&mut sregs, memory, &GDT_64)?;
            page_tables(memory)?;
            sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
            sregs.cr3 = PAGE_TABLES;
            sregs.cr4 = CR4_PAE;
            sregs.efer = EFER_LME | EFER_LMA;
            (regs.rip, regs.rsi, regs.rsp, regs.rbp) = (start.0, ZERO_PAGE, ZERO_PAGE, ZERO_PAGE);
        }
    }
    vcpu.set_sregs(&sregs).doing("set the system registers")?;
    vcpu.set_regs(&regs).doing("set the registers")?;
    vcpu.set_fpu(&kvm_fpu { fcw: 0x37f, mxcsr: 0x1f80, ..Default::default() }).doing("set the floating point unit")?;
    wire_pins(vcpu)
}

fn segments(sregs: &mut kvm_sregs, memory: &Memory, table: &[u64; 5]) -> Result<(), BuildError> {
    let bytes: Vec<u8> = table.iter().flat_map(|descriptor| descriptor.to_le_bytes()).collect();
    write(memory, &bytes, GDT)?;
    sregs.gdt.base = GDT;
    sregs.gdt.limit = bytes.len() as u16 - 1;
    sregs.idt.limit = 0;
    sregs.cs = segment(table, CODE);
    [sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss] = [segment(table, DATA); 5];
    sregs.tr = segment(table, TASK);
    Ok(())
}

/// The hidden part of a segment register, as its descriptor says (Intel SDM 3A, 3.4.5).
fn segment(table: &[u64; 5], selector: u16) -> kvm_segment {
    let descriptor = table[usize::from(selector / 8)];
    let bits = |at: u32, count: u32| (descriptor >> at) & ((1 << count) - 1);
    let flag = |at: u32| bits(at, 1) as u8;
    let granular = flag(55);
    let limit = (bits(0, 16) | bits(48, 4) << 16) as u32;
    kvm_segment {
        base: bits(16, 24) | bits(56, 8) << 24,
        limit: if granular == 1 { limit << 12 | 0xfff } else { limit },
        selector,
        type_: bits(40, 4) as u8,
        s: flag(44),
        dpl: bits(45, 2) as u8,
        present: flag(47),
        avl: flag(52),
        l: flag(53),
        db: flag(54),
        g: granular,
        ..Default::default()
    }
}

/// The first GiB, in pages of 2 MiB, where it is.
fn page_tables(memory: &Memory) -> Result<(), BuildError> {
    let (pointers, pages) = (PAGE_TABLES + 0x1000, PAGE_TABLES + 0x2000);
    write(memory, &(pointers | PRESENT).to_le_bytes(), PAGE_TABLES)?;
    write(memory, &(pages | PRESENT).to_le_bytes(), pointers)?;
    let entries: Vec<u8> = (0..512).flat_map(|page| ((page * BIG_PAGE) | PRESENT | BIG).to_le_bytes()).collect();
    write(memory, &entries, pages)
}

fn write(memory: &Memory, bytes: &[u8], at: u64) -> Result<(), BuildError> {
    memory.write_slice(bytes, GuestAddress(at)).map_err(|_| BuildError::Lacks("low memory"))
}

/// Sets what firmware sets on every processor: a guest that finds them different says so, and makes them equal.
pub(crate) fn set_msrs(vcpu: &VcpuFd) -> Result<(), BuildError> {
    let entries = MSRS.map(|(index, data)| kvm_msr_entry { index, data, ..Default::default() });
    let msrs = Msrs::from_entries(&entries).map_err(|_| BuildError::Lacks("room for registers"))?;
    match vcpu.set_msrs(&msrs).doing("set the model specific registers")? {
        written if written == entries.len() => Ok(()),
        _ => Err(BuildError::Lacks("a model specific register")),
    }
}

/// The first vCPU's interrupt pins: those of the old controller, and non-maskable ones (MultiProcessor Specification 1.4).
fn wire_pins(vcpu: &VcpuFd) -> Result<(), BuildError> {
    const PINS: [(usize, u32); 2] = [(0x350, 7), (0x360, 4)];
    let mut lapic = vcpu.get_lapic().doing("read the local interrupt controller")?;
    for (at, mode) in PINS {
        let register = lapic.regs.get_mut(at..at + 4).ok_or(BuildError::Lacks("a local interrupt controller"))?;
        for (byte, value) in register.iter_mut().zip((mode << 8).to_le_bytes()) {
            *byte = value as _;
        }
    }
    vcpu.set_lapic(&lapic).doing("wire the local interrupt controller")
}
