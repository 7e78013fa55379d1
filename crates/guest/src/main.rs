//! A guest for tests and examples: it boots by PVH, says on the serial line what it finds, answers ARP, ping and HTTP, and
//! does what is typed.
//!
//! | typed | done |
//! |---|---|
//! | `echo TEXT` | TEXT is printed |
//! | `poweroff`, `reset` | as the ACPI tables say |
//! | `crash` | a triple fault |
//! | `spin` | never does anything again, with interrupts off |
//!
//! The command line is Linux's: of `ip=` it takes address, gateway, netmask and host name, which is the name it answers by.

#![no_std]
#![no_main]

mod boot;
mod cpus;
mod device;
mod disk;
mod interrupt;
mod net;
mod packet;
mod port;
mod serial;

use device::Memory;
use virtio_drivers::{
    device::rng::VirtIORng,
    transport::{DeviceType, Transport as _, mmio::MmioTransport},
};

const SLEEP_CONTROL: u16 = 0x600;
const SOFT_OFF: u8 = 0x34;
const RESET: u16 = 0x602;
const BUTTON: u16 = 0x608;

#[unsafe(no_mangle)]
extern "C" fn main(start: *const boot::StartInfo) -> ! {
    say!("abide guest: here");
    // SAFETY: it is the loader's, passed on by the entry.
    let command_line = unsafe { boot::command_line(start) };
    say!("command line: {command_line}");
    interrupt::init();
    serial::listen();
    say!("cpus: {}", cpus::start());
    let mut card = find_devices(command_line);
    say!("ready");
    let mut line = serial::Line::new();
    loop {
        while let Some(command) = line.poll() {
            obey(command);
        }
        if port::read(BUTTON) == 1 {
            say!("power button");
            power_off();
        }
        if let Some(card) = &mut card {
            card.poll();
        }
        interrupt::sleep();
    }
}

fn find_devices(command_line: &'static str) -> Option<net::Card> {
    let (mut card, mut disks) = (None, 0);
    for transport in device::find() {
        match transport.device_type() {
            DeviceType::Block => {
                if let Err(error) = disk::count(disks, transport) {
                    say!("disk {disks}: {error}");
                }
                disks += 1;
            }
            DeviceType::Network => match net::Card::new(transport, net::Address::of(command_line)) {
                Ok(found) => card = Some(found),
                Err(error) => say!("net: {error}"),
            },
            DeviceType::EntropySource => entropy(transport),
            other => say!("unknown device {other:?}"),
        }
    }
    card
}

fn entropy(transport: MmioTransport<'static>) {
    let mut bytes = [0; 8];
    let asked = VirtIORng::<Memory, _>::new(transport).and_then(|mut random| random.request_entropy(&mut bytes));
    match asked {
        Ok(_) => say!("random: {:016x}", u64::from_le_bytes(bytes)),
        Err(error) => say!("random: {error}"),
    }
}

fn obey(command: &str) {
    match command.split_once(' ').unwrap_or((command, "")) {
        ("echo", text) => say!("{text}"),
        ("poweroff", _) => power_off(),
        ("reset", _) => port::write(RESET, 1),
        ("crash", _) => interrupt::fault(),
        ("spin", _) => loop {
            core::hint::spin_loop();
        },
        ("", _) => (),
        (other, _) => say!("unknown command {other}"),
    }
}

fn power_off() {
    say!("off");
    port::write(SLEEP_CONTROL, SOFT_OFF);
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("{info}");
    interrupt::fault()
}
