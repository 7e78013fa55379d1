//! Writing decisions down: one journal a source, one batch at a time, and then what rests on it.

use super::Driver;
use crate::{
    followed::Entry,
    journal::{Lines, Record},
};
use abide_reconcile::{Fault, SourceId, with_causes};

/// Bytes that become durable together, if they are of several records. A frame of the journal holds many times as much.
const BATCH_BYTES: usize = 1 << 20;

impl Driver {
    /// Writes a record of a source, and then does what follows.
    pub(crate) fn write(
        &mut self,
        id: &SourceId,
        record: Record,
        then: impl FnOnce(&mut Driver, Result<(), Fault>) + Send + 'static,
    ) {
        self.write_all(id, vec![record], then);
    }

    /// Writes records that hold together or not at all.
    pub(crate) fn write_all(
        &mut self,
        id: &SourceId,
        records: Vec<Record>,
        then: impl FnOnce(&mut Driver, Result<(), Fault>) + Send + 'static,
    ) {
        let Some(followed) = self.followed.get_mut(id) else {
            return then(self, Err(Fault::Again(format!("there is no source {id}").into())));
        };
        if let Some(why) = followed.desk.broken.clone() {
            return then(self, Err(Fault::Again(why)));
        }
        let lines = match Lines::of(&records) {
            Ok(lines) => lines,
            Err(error) => return then(self, Err(Fault::Never(format!("a decision can't be written: {error}").into()))),
        };
        followed.desk.queue.push_back(Entry { records, lines, then: Box::new(then) });
        self.write_on(id);
    }

    /// Writes what waits, if nothing is being written.
    fn write_on(&mut self, id: &SourceId) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        let desk = &mut followed.desk;
        if desk.queue.is_empty() {
            return;
        }
        let Some(mut journal) = desk.journal.take() else { return };
        let mut bytes = 0;
        let fits = desk.queue.iter().take_while(|entry| {
            bytes += entry.lines.bytes();
            bytes <= BATCH_BYTES
        });
        let fits = fits.count().max(1);
        let batch: Vec<Entry> = desk.queue.drain(..fits).collect();
        let lines = Lines::join(batch.iter().map(|entry| &entry.lines));
        let id = id.clone();
        let history = journal.is_long().then(|| followed.state.clone());
        self.call(
            move |_| {
                if let Some(state) = history {
                    journal.shorten(&state);
                }
                let result = if lines.bytes() == 0 { Ok(()) } else { journal.append(&lines) };
                (journal, result)
            },
            move |driver, (journal, result)| {
                let result = result.map_err(|error| {
                    tracing::error!(source = %id, %error, "a decision could not be written");
                    Fault::Again(with_causes(&error).into())
                });
                let (records, thens): (Vec<_>, Vec<_>) =
                    batch.into_iter().map(|entry| (entry.records, entry.then)).unzip();
                if let Some(followed) = driver.followed.get_mut(&id) {
                    followed.desk.journal = Some(journal);
                    followed.desk.unwritten = result.as_ref().err().map(Fault::to_string);
                    if result.is_ok() {
                        records.into_iter().flatten().for_each(|record| followed.state.apply(record));
                    }
                }
                thens.into_iter().for_each(|then| then(driver, result.clone()));
                driver.write_on(&id);
            },
        );
    }
}
