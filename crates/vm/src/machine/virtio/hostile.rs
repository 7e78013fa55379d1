//! Drivers that break every rule: whatever they write, nothing panics, nothing hangs, and a disk keeps its size.

use super::{Device, Transport, Window, block::Block, entropy::Entropy, net::Net};
use crate::machine::{
    Disk, NetCard, event,
    memory::{self, Memory},
};
use proptest::prelude::*;
use std::{
    fs::File,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
};
use vm_memory::{Bytes as _, GuestAddress};

const SECTORS: u64 = 64;
const MEMORY_BYTES: u64 = 4 << 20;

/// What a driver does.
#[derive(Clone, Debug)]
enum Act {
    /// Writes a register.
    Write(u64, u32),
    /// Reads so many bytes of registers or configuration.
    Read(u64, usize),
    /// Writes memory, where queues and buffers may be.
    Fill(u64, Vec<u8>),
    /// Notifies a queue.
    Work(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // Low bits, so that values often mean something: an address in memory, a size, a status.
    let value = prop_oneof![0..16_u32, (0..64_u32).prop_map(|page| page << 12), any::<u32>()];
    let register = (0..0x120_u64).prop_map(|at| at & !3);
    let act = prop_oneof![
        4 => (register, value).prop_map(|(at, value)| Act::Write(at, value)),
        1 => (0..0x200_u64, 0..9_usize).prop_map(|(at, length)| Act::Read(at, length)),
        2 => (0..64_u64, descriptors()).prop_map(|(page, bytes)| Act::Fill(page << 12, bytes)),
        3 => (0..4_usize).prop_map(Act::Work),
    ];
    prop::collection::vec(act, 0..40)
}

/// Bytes that read as descriptors now and then.
fn descriptors() -> impl Strategy<Value = Vec<u8>> {
    let address = prop_oneof![0..MEMORY_BYTES, any::<u64>()];
    let length = prop_oneof![0..2048_u32, any::<u32>()];
    let descriptor = (address, length, 0..8_u16, 0..16_u16).prop_map(|(address, length, flags, next)| {
        [&address.to_le_bytes()[..], &length.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()].concat()
    });
    prop::collection::vec(descriptor, 1..16).prop_map(|all| all.concat())
}

/// A queue that is in order but for its content: what rules are broken in is then the device's own business.
fn set_up(window: &Window, memory: &Memory, queue: u32, heads: &[u16]) {
    let write = |at: u64, value: u32| window.write(at, &value.to_le_bytes());
    // Acknowledged, driven; the features of version 1; then the queue (VIRTIO 1.2, 3.1 and 4.2.3).
    for (at, value) in [(0x70, 1), (0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11), (0x30, queue), (0x38, 16)] {
        write(at, value);
    }
    for (at, value) in [(0x80, 0x1000), (0x90, 0x2000), (0xa0, 0x3000), (0x44, 1), (0x70, 15)] {
        write(at, value);
    }
    let mut status = [0; 4];
    window.read(0x70, &mut status);
    assert_eq!(status, [15, 0, 0, 0], "the device did not take it");
    let ring: Vec<u8> = heads.iter().flat_map(|head| head.to_le_bytes()).collect();
    memory.write_slice(&ring, GuestAddress(0x2004)).unwrap();
    memory.write_slice(&(heads.len() as u16).to_le_bytes(), GuestAddress(0x2002)).unwrap();
}

fn perform(window: &Window, memory: &Memory, acts: Vec<Act>) {
    for act in acts {
        match act {
            Act::Write(at, value) => window.write(at, &value.to_le_bytes()),
            Act::Read(at, length) => window.read(at, &mut vec![0; length]),
            // Beyond the end is nothing to be written.
            Act::Fill(at, bytes) => drop(memory.write_slice(&bytes, GuestAddress(at))),
            Act::Work(queue) => drop(window.work(queue)),
        }
    }
}

fn disk() -> (File, Box<dyn Device>) {
    let file = tempfile::tempfile().unwrap();
    file.set_len(SECTORS * 512).unwrap();
    let device = Block::new(&Disk { file: file.try_clone().unwrap(), read_only: false }).unwrap();
    (file, Box::new(device))
}

fn card() -> (UnixDatagram, Box<dyn Device>) {
    let (tap, other) = UnixDatagram::pair().unwrap();
    tap.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    let device = Net::new(&NetCard { tap: File::from(OwnedFd::from(tap)), mac: [2; 6] }).unwrap();
    (other, Box::new(device))
}

fn behind(device: Box<dyn Device>) -> (Window, Memory) {
    let memory = memory::allocate(MEMORY_BYTES).unwrap();
    let interrupt = event("a test's interrupt").unwrap();
    (Window::new(Transport::new(device, memory.clone(), interrupt)), memory)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn registers_and_memory_are_written_at_will(acts in acts(), which in 0..3) {
        let (file, disk) = disk();
        let (_other, card) = card();
        let entropy = Box::new(Entropy::new(&File::open("/dev/urandom").unwrap()).unwrap());
        let (window, memory) = behind([disk, card, entropy].into_iter().nth(which as usize).unwrap());
        perform(&window, &memory, acts);
        prop_assert_eq!(file.metadata().unwrap().len(), SECTORS * 512);
    }

    #[test]
    fn a_disk_is_asked_nonsense(table in descriptors(), heads in prop::collection::vec(0..20_u16, 1..16), acts in acts()) {
        let (file, disk) = disk();
        let (window, memory) = behind(disk);
        memory.write_slice(&table, GuestAddress(0x1000)).unwrap();
        set_up(&window, &memory, 0, &heads);
        window.work(0);
        perform(&window, &memory, acts);
        prop_assert_eq!(file.metadata().unwrap().len(), SECTORS * 512);
    }

    #[test]
    fn a_card_is_given_nonsense(
        table in descriptors(), heads in prop::collection::vec(0..20_u16, 1..16), queue in 0..2_u32, frame in 0..3000_usize,
    ) {
        let (other, card) = card();
        let (window, memory) = behind(card);
        memory.write_slice(&table, GuestAddress(0x1000)).unwrap();
        set_up(&window, &memory, queue, &heads);
        other.send(&vec![7; frame]).unwrap();
        window.work(0);
        window.work(1);
        // What is sent is a frame at most.
        let mut bytes = vec![0; 1 << 16];
        while let Ok(length) = other.recv(&mut bytes) {
            prop_assert!(length <= 12 + 9216);
        }
    }
}
