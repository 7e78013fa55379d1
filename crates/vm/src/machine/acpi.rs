//! What ACPI tells the guest (ACPI 6.5): processors, interrupt controllers, devices, and how to switch off. The hardware-reduced
//! model: no fixed power management hardware, so no legacy registers to emulate.

use super::{
    memory::{ACPI, HIGH, IO_APIC, LOCAL_APIC, Memory, VIRTIO_SIZE},
    power::{BUTTON, BUTTON_INTERRUPT, RESET, RESET_VALUE, SLEEP_CONTROL, SLEEP_STATUS, SOFT_OFF},
    serial,
    virtio::{address_of, interrupt_of},
};
use acpi_tables::{
    Aml,
    aml::{
        Device, EISAName, Equal, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, IO, If, Interrupt,
        Memory32Fixed, Method, Name, Notify, OpRegion, OpRegionSpace, Package, Path, ResourceTemplate,
    },
    fadt::{FADTBuilder, Flags},
    gas::{AccessSize, AddressSpace, GAS},
    madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic},
    rsdp::Rsdp,
    sdt::Sdt,
    xsdt::XSDT,
};
use vm_memory::{Bytes as _, GuestAddress};

const OEM: [u8; 6] = *b"ABIDE ";
const TABLE: [u8; 8] = *b"ABIDEVM ";
const REVISION: u32 = 1;

/// `IAPC_BOOT_ARCH`: no VGA, no CMOS clock to be read (5.2.9.3). The keyboard controller is not told of either: a kernel
/// would look for keyboards for seconds, and who needs its reset knows where it is.
const BOOT_ARCHITECTURE: u16 = 1 << 2 | 1 << 5;

/// The button was pressed (5.6.6).
const PRESSED: u8 = 0x80;

/// Writes the tables. Returns where the guest is to start reading; `None` if there is no room for so many devices.
pub(crate) fn write(memory: &Memory, vcpus: u8, devices: usize) -> Option<GuestAddress> {
    let mut writer = Writer { memory, at: ACPI + Rsdp::len() as u64 };
    let dsdt = writer.put(&definitions(vcpus, devices))?;
    let fadt = writer.put(&bytes(&fixed(dsdt)))?;
    let madt = writer.put(&bytes(&processors(vcpus)))?;
    let mut xsdt = XSDT::new(OEM, TABLE, REVISION);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = writer.put(&bytes(&xsdt))?;
    let root = GuestAddress(ACPI);
    memory.write_slice(&bytes(&Rsdp::new(OEM, xsdt)), root).ok()?;
    Some(root)
}

/// Puts tables one after the other.
struct Writer<'a> {
    memory: &'a Memory,
    at: u64,
}

impl Writer<'_> {
    fn put(&mut self, table: &[u8]) -> Option<u64> {
        let start = self.at.next_multiple_of(16);
        let end = start + table.len() as u64;
        if end > HIGH {
            return None;
        }
        self.memory.write_slice(table, GuestAddress(start)).ok()?;
        self.at = end;
        Some(start)
    }
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

fn fixed(dsdt: u64) -> acpi_tables::fadt::FADT {
    let port = |port: u16| GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, port.into());
    let mut fadt = FADTBuilder::new(OEM, TABLE, REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton);
    fadt.iapc_boot_arch = BOOT_ARCHITECTURE.into();
    fadt.reset_reg = port(RESET);
    fadt.reset_value = RESET_VALUE;
    fadt.sleep_control_reg = port(SLEEP_CONTROL);
    fadt.sleep_status_reg = port(SLEEP_STATUS);
    fadt.finalize()
}

fn processors(vcpus: u8) -> MADT {
    let mut madt = MADT::new(OEM, TABLE, REVISION, LocalInterruptController::Address(LOCAL_APIC));
    for id in 0..vcpus {
        madt.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    madt.add_structure(IoApic::new(0, IO_APIC, 0));
    madt
}

/// The DSDT.
fn definitions(vcpus: u8, devices: usize) -> Vec<u8> {
    let mut code = Vec::new();
    let sleep: [&dyn Aml; 4] = [&SOFT_OFF, &SOFT_OFF, &0u8, &0u8];
    Name::new("_S5_".into(), &Package::new(sleep.to_vec())).to_aml_bytes(&mut code);
    button(&mut code);
    serial_line(&mut code);
    (0..devices).for_each(|index| virtio(index, &mut code));
    (0..vcpus).for_each(|id| processor(id, &mut code));
    const HEADER: u32 = 36;
    let mut table = Sdt::new(*b"DSDT", HEADER, 2, OEM, TABLE, REVISION);
    table.append_slice(&code);
    table.as_slice().to_vec()
}

/// A button, and the event device (5.6.9) that notifies it when its interrupt comes and its register reads 1.
fn button(code: &mut Vec<u8>) {
    let button = "\\_SB_.PWRB";
    let id = Name::new("_HID".into(), &EISAName::new("PNP0C0C"));
    Device::new(button.into(), vec![&id]).to_aml_bytes(code);
    let region = OpRegion::new("PBTN".into(), OpRegionSpace::SystemIO, &BUTTON, &1usize);
    let entry = vec![FieldEntry::Named(*b"PRSD", 8)];
    let field =
        Field::new("PBTN".into(), FieldAccessType::Byte, FieldLockRule::NoLock, FieldUpdateRule::Preserve, entry);
    let (pressed, one, target) = (Path::new("PRSD"), 1usize, Path::new(button));
    let is_pressed = Equal::new(&pressed, &one);
    let notify = Notify::new(&target, &PRESSED);
    let check = If::new(&is_pressed, vec![&notify]);
    let event = Method::new("_EVT".into(), 1, true, vec![&check]);
    let interrupt = Interrupt::new(true, true, false, false, BUTTON_INTERRUPT);
    let resources = Name::new("_CRS".into(), &ResourceTemplate::new(vec![&interrupt]));
    let id = Name::new("_HID".into(), &"ACPI0013");
    let unique = Name::new("_UID".into(), &0u8);
    Device::new("\\_SB_.GED0".into(), vec![&id, &unique, &resources, &region, &field, &event]).to_aml_bytes(code);
}

fn serial_line(code: &mut Vec<u8>) {
    let first = *serial::PORTS.start();
    let id = Name::new("_HID".into(), &EISAName::new("PNP0501"));
    let unique = Name::new("_UID".into(), &0u8);
    let ports = IO::new(first, first, 0, serial::PORTS.count() as u8);
    let interrupt = Interrupt::new(true, true, false, false, serial::INTERRUPT);
    let resources = Name::new("_CRS".into(), &ResourceTemplate::new(vec![&interrupt, &ports]));
    Device::new("\\_SB_.COM1".into(), vec![&id, &unique, &resources]).to_aml_bytes(code);
}

fn virtio(index: usize, code: &mut Vec<u8>) {
    let id = Name::new("_HID".into(), &"LNRO0005");
    let unique = Name::new("_UID".into(), &(index as u8));
    let coherent = Name::new("_CCA".into(), &1u8);
    let registers = Memory32Fixed::new(true, address_of(index) as u32, VIRTIO_SIZE as u32);
    let interrupt = Interrupt::new(true, true, false, false, interrupt_of(index));
    let resources = Name::new("_CRS".into(), &ResourceTemplate::new(vec![&registers, &interrupt]));
    let path = format!("\\_SB_.V{index:03}");
    Device::new(path.as_str().into(), vec![&id, &unique, &coherent, &resources]).to_aml_bytes(code);
}

fn processor(id: u8, code: &mut Vec<u8>) {
    let name = Name::new("_HID".into(), &"ACPI0007");
    let unique = Name::new("_UID".into(), &id);
    let path = format!("\\_SB_.C{id:03}");
    Device::new(path.as_str().into(), vec![&name, &unique]).to_aml_bytes(code);
}

#[cfg(test)]
mod tests {
    use super::{super::memory, *};
    use vm_memory::GuestMemoryBackend as _;

    fn read(memory: &Memory, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        bytes
    }

    #[test]
    fn every_table_is_found_from_the_root_and_sums_to_zero() {
        for (vcpus, devices) in [(1, 1), (32, 17), (255, 17)] {
            let memory = memory::allocate(4 << 20).unwrap();
            let root = write(&memory, vcpus, devices).unwrap();
            let rsdp = read(&memory, root.0, 36);
            assert_eq!(&rsdp[..8], b"RSD PTR ");
            let at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            let table = |at: u64| {
                let length = u32::from_le_bytes(read(&memory, at + 4, 4).try_into().unwrap());
                let table = read(&memory, at, length as usize);
                assert_eq!(table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)), 0);
                table
            };
            let xsdt = table(at(&rsdp, 24));
            let (fadt, madt) = (table(at(&xsdt, 36)), table(at(&xsdt, 44)));
            assert_eq!((&xsdt[..4], &fadt[..4], &madt[..4]), (&b"XSDT"[..], &b"FACP"[..], &b"APIC"[..]));
            assert_eq!(madt.len(), 44 + usize::from(vcpus) * 8 + 12);
            let dsdt = table(at(&fadt, 140));
            assert_eq!(dsdt.windows(8).filter(|window| window == b"LNRO0005").count(), devices);
            assert!(memory.last_addr().0 > HIGH);
        }
    }
}
