//! One layer, from where it comes to its place in the store.

use crate::{
    decompress::Plain,
    error::{PrepareError, StoreError},
    manifest::Descriptor,
    origin::{Attend, Origin, Progress, Watched},
    registry::RegistryError,
    store::{Scratch, Store},
    tar::Archive,
    unpack::{Budget, Limits, Lower, UnpackError, unpack},
    verify::{Mismatch, Verified},
};
use abide_host::fs::Dir;
use abide_spec::Digest;
use std::{
    cell::Cell,
    io::{self, Read},
};

/// The layers of one image, on their way into the store.
pub(crate) struct Work<'a> {
    pub(crate) store: &'a Store,
    pub(crate) limits: Limits,
    pub(crate) attend: &'a Attend<'a>,
    pub(crate) scratch: &'a Scratch<'a>,
    /// As they are stored, the lowest first.
    pub(crate) layers: &'a [Descriptor],
    /// The digests of the plain archives, as many.
    pub(crate) plain: &'a [Digest],
    /// The layers' names in the store, as many.
    pub(crate) chains: &'a [Digest],
}

impl Work<'_> {
    /// Brings a layer into the store, over those below it, which are there.
    pub(crate) fn unpack(&self, n: usize, origin: &mut dyn Origin, budget: &mut Budget) -> Result<(), PrepareError> {
        let (store, layer) = (self.store, &self.layers[n]);
        let below = self.chains[..n].iter().rev().map(|chain| store.open_layer(*chain));
        let lower = Lower(below.collect::<Result<_, _>>()?);
        let folder = format!("layer-{n}");
        let dir = self.scratch.dir.make_dirs(&folder, 0o700).map_err(StoreError::File)?;
        dir.make_dirs("fs", 0o755).map_err(StoreError::File)?;
        dir.set_mode("fs", 0o755).map_err(StoreError::File)?;

        let is_announced = origin.is_announced();
        let bytes_max = if is_announced { layer.size } else { u64::MAX - 1 };
        let counted = Counted { from: origin.open(n, layer)?, work: self, number: n, done: Cell::new(0) };
        let mut stored = Verified::new(Watched::new(counted, self.attend), bytes_max);
        let unpacked = self.unpack_stream(&mut stored, &dir, &lower, budget);
        if let Err(error @ (UnpackError::Refused { .. } | UnpackError::TooBig(_) | UnpackError::Make { .. })) = unpacked
        {
            // The rest needn't come. A broken archive, though, may be a broken transfer, which the digest tells.
            return Err(PrepareError::Unpack { number: n + 1, source: error });
        }
        let finished = stored.finish();
        if let Some(error) = stored.take_failure() {
            return Err(read_error(error, n + 1));
        }
        let mismatch = |source| PrepareError::Mismatch { number: n + 1, source };
        if is_announced {
            let (found, count) = match finished {
                Ok(found) => found,
                Err(_) => return Err(mismatch(Mismatch::Size { wanted: layer.size, found: layer.size + 1 })),
            };
            if found != layer.digest {
                // What was cut off is no other content: the connection was lost.
                return Err(match count < layer.size {
                    true => read_error(io::ErrorKind::UnexpectedEof.into(), n + 1),
                    false => mismatch(Mismatch::Digest { wanted: layer.digest, found }),
                });
            }
        }
        let found = unpacked.map_err(|source| PrepareError::Unpack { number: n + 1, source })?;
        let wanted = self.plain[n];
        if found != wanted {
            return Err(mismatch(Mismatch::Digest { wanted, found }));
        }
        Ok(store.put_layer(self.scratch, &folder, self.chains[n])?)
    }

    /// Unpacks, and tells the digest of the plain archive.
    fn unpack_stream(
        &self,
        stored: &mut impl Read,
        dir: &Dir,
        lower: &Lower,
        budget: &mut Budget,
    ) -> Result<Digest, UnpackError> {
        // Headers and what follows the archive are bounded along with the files: thrice their size is plenty.
        let bytes_max = self.limits.bytes_max.saturating_mul(3);
        let plain = Plain::new(stored).map_err(|error| UnpackError::Archive(error.into()))?;
        let mut archive = Archive::new(Verified::new(plain, bytes_max));
        unpack(&mut archive, dir, "fs", lower, budget)?;
        let (digest, _) = archive.into_inner().finish().map_err(|error| UnpackError::Archive(error.into()))?;
        Ok(digest)
    }
}

/// Tells how far a layer is.
struct Counted<'a, R> {
    from: R,
    work: &'a Work<'a>,
    number: usize,
    done: Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.done.set(self.done.get() + read as u64);
        let layers = self.work.layers;
        self.work.attend.tell(|| {
            let sum = |layers: &[Descriptor]| layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
            let done = sum(&layers[..self.number]).saturating_add(self.done.get());
            let what = format!("pulling layer {} of {}", self.number + 1, layers.len());
            Progress { what, done, total: Some(sum(layers)) }
        });
        Ok(read)
    }
}

fn read_error(error: io::Error, number: usize) -> PrepareError {
    match error.downcast::<RegistryError>() {
        Ok(error) => error.into(),
        Err(source) => PrepareError::Read { number, source },
    }
}
