//! A disk (VIRTIO 1.2, 5.2): sectors of a file.

use super::{Device, Misused, Worked, serve_all, share};
use crate::machine::{Disk, memory::Memory};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    sync::Arc,
};
use virtio_bindings::{
    virtio_blk::{
        VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK,
        VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
    },
    virtio_ids::VIRTIO_ID_BLOCK,
};
use virtio_queue::{DescriptorChain, Queue, Reader, Writer};

const SECTOR: u64 = 512;

/// Of a queue of 256, without header and status.
const SEGMENTS_MAX: u32 = 254;

/// What is moved at once. A request may be longer.
const PIECE: usize = 64 << 10;

/// What is asked for, before the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: u32,
    sector: u64,
}

pub(crate) struct Block {
    file: Arc<File>,
    bytes: u64,
    read_only: bool,
    /// Capacity in sectors, `size_max` (unused), `seg_max`.
    config: [u8; 16],
    piece: Box<[u8]>,
}

impl Block {
    pub(crate) fn new(disk: &Disk) -> io::Result<Self> {
        let file = share(&disk.file)?;
        // Metadata say nothing about the size of a block device.
        let sectors = (&*file).seek(SeekFrom::End(0))? / SECTOR;
        let mut config = [0; 16];
        config[..8].copy_from_slice(&sectors.to_le_bytes());
        config[12..].copy_from_slice(&SEGMENTS_MAX.to_le_bytes());
        let piece = vec![0; PIECE].into();
        Ok(Self { file, bytes: sectors * SECTOR, read_only: disk.read_only, config, piece })
    }

    /// Answers a request: how many bytes were written, the status included.
    fn serve(&mut self, chain: DescriptorChain<&Memory>, memory: &Memory) -> Result<u32, Misused> {
        let mut request = chain.clone().reader(memory)?;
        let mut answer = chain.writer(memory)?;
        let header = read_header(&mut request)?;
        let room = answer.available_bytes().checked_sub(1).ok_or(Misused)?;
        let mut status = answer.split_at(room).map_err(|_| Misused)?;
        let code = match self.carry_out(header, &mut request, &mut answer) {
            Ok(code) => code,
            Err(_) => VIRTIO_BLK_S_IOERR,
        };
        status.write_all(&[code as u8]).map_err(|_| Misused)?;
        // Of data that failed nothing counts; the driver looks at the status, which is the last byte.
        Ok(if code == VIRTIO_BLK_S_OK { answer.bytes_written() as u32 + 1 } else { 1 })
    }

    fn carry_out(&mut self, header: Header, request: &mut Reader<'_>, answer: &mut Writer<'_>) -> io::Result<u32> {
        match header.kind {
            VIRTIO_BLK_T_IN => self.read(header.sector, answer)?,
            VIRTIO_BLK_T_OUT if self.read_only => return Ok(VIRTIO_BLK_S_IOERR),
            VIRTIO_BLK_T_OUT => self.write(header.sector, request)?,
            VIRTIO_BLK_T_FLUSH => self.file.sync_data()?,
            _ => return Ok(VIRTIO_BLK_S_UNSUPP),
        }
        Ok(VIRTIO_BLK_S_OK)
    }

    fn read(&mut self, sector: u64, to: &mut Writer<'_>) -> io::Result<()> {
        let mut at = self.place(sector, to.available_bytes())?;
        while to.available_bytes() > 0 {
            let length = to.available_bytes().min(PIECE);
            let piece = &mut self.piece[..length];
            self.file.read_exact_at(piece, at)?;
            to.write_all(piece)?;
            at += length as u64;
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, from: &mut Reader<'_>) -> io::Result<()> {
        let mut at = self.place(sector, from.available_bytes())?;
        while from.available_bytes() > 0 {
            let length = from.available_bytes().min(PIECE);
            let piece = &mut self.piece[..length];
            from.read_exact(piece)?;
            self.file.write_all_at(piece, at)?;
            at += length as u64;
        }
        Ok(())
    }

    /// Where in the file the data is, if all of it is on the disk.
    fn place(&self, sector: u64, length: usize) -> io::Result<u64> {
        let length = length as u64;
        let start = sector.checked_mul(SECTOR);
        let fits = |start: &u64| start.checked_add(length).is_some_and(|end| end <= self.bytes);
        start.filter(fits).filter(|_| length.is_multiple_of(SECTOR)).ok_or(io::ErrorKind::InvalidInput.into())
    }
}

fn read_header(request: &mut Reader<'_>) -> Result<Header, Misused> {
    let mut bytes = [0; 16];
    request.read_exact(&mut bytes).map_err(|_| Misused)?;
    let [kind, _, low, high] = [0, 4, 8, 12].map(|at| {
        let word = bytes[at..at + 4].try_into().expect("a word has four bytes");
        u32::from_le_bytes(word)
    });
    Ok(Header { kind, sector: u64::from(high) << 32 | u64::from(low) })
}

impl Device for Block {
    fn id(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn features(&self) -> u64 {
        1 << VIRTIO_BLK_F_SEG_MAX | 1 << VIRTIO_BLK_F_FLUSH | u64::from(self.read_only) << VIRTIO_BLK_F_RO
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn work(&mut self, _: usize, queue: &mut Queue, memory: &Memory) -> Result<Worked, Misused> {
        serve_all(queue, memory, |chain| self.serve(chain, memory))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Driver, *};

    const HEAD: u64 = 0x10000;
    const DATA: u64 = 0x20000;
    const STATUS: u64 = 0x30000;

    fn disk(sectors: u64, read_only: bool) -> Block {
        let file = tempfile::tempfile().unwrap();
        file.set_len(sectors * SECTOR).unwrap();
        Block::new(&Disk { file, read_only }).unwrap()
    }

    /// Asks once; the status, if there was an answer at all.
    fn ask(block: &mut Block, driver: &mut Driver, kind: u32, sector: u64, length: u32) -> Result<u8, Misused> {
        let header = [u64::from(kind).to_le_bytes(), sector.to_le_bytes()].concat();
        driver.write(HEAD, &header);
        driver.write(STATUS, &[0xaa]);
        driver.chain(&[(HEAD, 16, false), (DATA, length, kind == VIRTIO_BLK_T_IN), (STATUS, 1, true)]);
        driver.work(block)?;
        Ok(driver.read(STATUS, 1)[0])
    }

    #[test]
    fn what_was_written_is_read() {
        let (mut block, mut driver) = (disk(300, false), Driver::new());
        let data: Vec<u8> = (0..150 * 512u32).map(|n| n as u8).collect();
        driver.write(DATA + 0x100000, &data);
        let header = [1u64.to_le_bytes(), 100u64.to_le_bytes()].concat();
        driver.write(HEAD, &header);
        let length = data.len() as u32;
        driver.chain(&[(HEAD, 16, false), (DATA + 0x100000, length, false), (STATUS, 1, true)]);
        driver.work(&mut block).unwrap();
        // Framing is the driver's business: header and data may be cut anywhere.
        let header = [0u64.to_le_bytes(), 100u64.to_le_bytes()].concat();
        driver.write(HEAD, &header);
        driver.chain(&[(HEAD, 3, false), (HEAD + 3, 13, false), (DATA, 7, true), (DATA + 7, length - 6, true)]);
        driver.work(&mut block).unwrap();
        assert_eq!(driver.read(DATA, data.len()), data);
        assert_eq!(driver.used(), [(0, 1), (3, length + 1)]);
    }

    #[test]
    fn nothing_beyond_the_disk_is_touched() {
        let cases = [
            (VIRTIO_BLK_T_IN, 0, 512, VIRTIO_BLK_S_OK),
            (VIRTIO_BLK_T_IN, 7, 512, VIRTIO_BLK_S_OK),
            (VIRTIO_BLK_T_IN, 7, 1024, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_IN, 8, 512, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_OUT, 8, 512, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_IN, u64::MAX, 512, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_OUT, u64::MAX / 512, 1024, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_IN, 0, 100, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_FLUSH, 0, 0, VIRTIO_BLK_S_OK),
            (77, 0, 512, VIRTIO_BLK_S_UNSUPP),
        ];
        for (kind, sector, length, status) in cases {
            let (mut block, mut driver) = (disk(8, false), Driver::new());
            assert_eq!(
                ask(&mut block, &mut driver, kind, sector, length),
                Ok(status as u8),
                "{kind} {sector} {length}"
            );
            assert_eq!(block.file.metadata().unwrap().len(), 8 * SECTOR);
        }
    }

    #[test]
    fn a_read_only_disk_is_not_written() {
        let (mut block, mut driver) = (disk(8, true), Driver::new());
        driver.write(DATA, &[1; 512]);
        assert_eq!(ask(&mut block, &mut driver, VIRTIO_BLK_T_OUT, 0, 512), Ok(VIRTIO_BLK_S_IOERR as u8));
        assert_eq!(block.features() >> VIRTIO_BLK_F_RO & 1, 1);
        let mut first = [9; 512];
        block.file.read_exact_at(&mut first, 0).unwrap();
        assert_eq!(first, [0; 512]);
    }

    #[test]
    fn chains_that_make_no_request_are_misuse() {
        let short = (HEAD, 15, false);
        let header = (HEAD, 16, false);
        let cases: &[&[(u64, u32, bool)]] = &[
            &[short, (STATUS, 1, true)],
            &[header],
            &[header, (DATA, 0, true)],
            &[(STATUS, 1, true)],
            &[header, (DATA, 512, true), (u64::MAX, 1, true)],
            &[header, (1 << 40, 512, true), (STATUS, 1, true)],
            &[header, (DATA, u32::MAX, true), (DATA, u32::MAX, true), (STATUS, 1, true)],
        ];
        for case in cases {
            let (mut block, mut driver) = (disk(8, false), Driver::new());
            driver.write(HEAD, &[0; 16]);
            driver.chain(case);
            assert_eq!(driver.work(&mut block), Err(Misused), "{case:?}");
        }
    }
}
