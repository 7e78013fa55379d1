//! Machines, and what happened on them.

use super::text;
use crate::{
    protocol::{HAPPENINGS_MAX, Happening},
    store::{
        Fact, Machine, Millis, Presence, StoreError,
        machine::cut,
        sql::{Column as _, Json, Row, Statements, Value},
    },
};
use abide_spec::Name;
use std::collections::{BTreeMap, BTreeSet};

/// In the order of [`read`] and [`values`].
macro_rules! columns {
    () => {
        "name, public_key, serial, first_serial, recipient, labels, enrolled_at, revoked_at, cloned, session, earlier, \
         numbered, target, reported, hub, away_since, heard_at, version"
    };
}

const SELECT: &str = concat!("SELECT ", columns!(), " FROM machine WHERE name = $1");

/// In no order: for one by name, SQLite would go through all that there are.
const CHANGED: &str = concat!("SELECT ", columns!(), " FROM machine WHERE version > $1");

const PUT: &str = concat!(
    "INSERT INTO machine (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT (name) DO \
     UPDATE SET public_key = excluded.public_key, serial = excluded.serial, first_serial = excluded.first_serial, \
     recipient = excluded.recipient, labels = excluded.labels, enrolled_at = excluded.enrolled_at, \
     revoked_at = excluded.revoked_at, cloned = excluded.cloned, session = excluded.session, \
     earlier = excluded.earlier, numbered = excluded.numbered, target = excluded.target, \
     reported = excluded.reported, hub = excluded.hub, away_since = excluded.away_since, \
     heard_at = excluded.heard_at, version = excluded.version"
);

const HAPPENED: &str = "SELECT happened FROM history WHERE name = $1";

const PUT_HAPPENED: &str = "INSERT INTO history (name, happened) VALUES ($1, $2) \
                            ON CONFLICT (name) DO UPDATE SET happened = excluded.happened";

/// One of them.
pub(in crate::store) fn get(from: &mut dyn Statements, name: &Name) -> Result<Option<Machine>, StoreError> {
    let row = from.row(SELECT, text(name.as_str()))?;
    row.map(|row| read(row, from)).transpose()
}

/// Those of these names that there are.
pub(in crate::store) fn get_all<'n>(
    from: &mut dyn Statements,
    names: impl IntoIterator<Item = &'n Name>,
) -> Result<BTreeMap<Name, Machine>, StoreError> {
    let answers = from.run(SELECT, names.into_iter().map(|name| text(name.as_str())).collect())?;
    let rows = answers.into_iter().flat_map(|answer| answer.rows);
    rows.map(|row| read(row, from).map(|machine| (machine.name.clone(), machine))).collect()
}

/// Those with a later version, by name.
pub(in crate::store) fn changed(from: &mut dyn Statements, since: i64) -> Result<Vec<Machine>, StoreError> {
    let rows = from.once(CHANGED, vec![since.to_value()])?.rows;
    let mut machines: Vec<Machine> = rows.into_iter().map(|row| read(row, from)).collect::<Result<_, _>>()?;
    machines.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(machines)
}

/// Writes them as they are now.
pub(in crate::store) fn put<'m>(
    to: &mut dyn Statements,
    machines: impl IntoIterator<Item = &'m Machine>,
) -> Result<(), StoreError> {
    to.run(PUT, machines.into_iter().map(values).collect()).map(drop)
}

/// What was noticed, in order; false if nothing of it is news. `version` is that of machines that change.
pub(in crate::store) fn record(
    to: &mut dyn Statements,
    facts: &[Fact],
    now: Millis,
    version: i64,
) -> Result<bool, StoreError> {
    let names: BTreeSet<&Name> = facts.iter().map(Fact::name).collect();
    let mut machines = get_all(to, names)?;
    let mut happened: BTreeMap<&Name, Vec<Happening>> = BTreeMap::new();
    for fact in facts {
        let Some(machine) = machines.get_mut(fact.name()) else { continue };
        if machine.apply(fact, now) {
            machine.version = version;
            if let Fact::Reported { report, .. } = fact {
                happened.entry(fact.name()).or_default().extend(report.happened.iter().cloned().map(bounded));
            }
        }
    }
    // Nobody else has this version.
    machines.retain(|_, machine| machine.version == version);
    if machines.is_empty() {
        return Ok(false);
    }
    put(to, machines.values())?;
    for (name, happened) in happened.into_iter().filter(|(_, happened)| !happened.is_empty()) {
        let mut all = happenings(to, name)?;
        all.extend(happened);
        all.drain(..all.len().saturating_sub(HAPPENINGS_MAX));
        to.once(PUT_HAPPENED, vec![name.to_value(), Json(all).to_value()])?;
    }
    Ok(true)
}

/// What happened on one lately.
pub(in crate::store) fn happenings(from: &mut dyn Statements, name: &Name) -> Result<Vec<Happening>, StoreError> {
    let row = from.row(HAPPENED, text(name.as_str()))?;
    Ok(row.map(|mut row| row.next::<Json<_>>(from)).transpose()?.map_or(Vec::new(), |Json(all)| all))
}

fn bounded(mut happening: Happening) -> Happening {
    cut(&mut happening.unit);
    cut(&mut happening.text);
    happening
}

fn values(machine: &Machine) -> Vec<Value> {
    let (hub, away_since) = match &machine.presence {
        Presence::Here { hub } => (Some(hub.clone()), None),
        Presence::Away { since } => (None, Some(*since)),
    };
    vec![
        machine.name.to_value(),
        machine.key.to_value(),
        machine.serial.to_value(),
        machine.first_serial.to_value(),
        machine.recipient.to_value(),
        Json(machine.labels.clone()).to_value(),
        machine.enrolled_at.to_value(),
        machine.revoked_at.to_value(),
        machine.cloned.to_value(),
        machine.session.to_value(),
        Json(machine.earlier.clone()).to_value(),
        machine.numbered.to_value(),
        machine.target.clone().map(Json).to_value(),
        machine.reported.clone().map(Json).to_value(),
        hub.to_value(),
        away_since.to_value(),
        machine.heard_at.to_value(),
        machine.version.to_value(),
    ]
}

fn read(mut row: Row, from: &dyn Statements) -> Result<Machine, StoreError> {
    // Fields are read in the order in which they are written here.
    Ok(Machine {
        name: row.next(from)?,
        key: row.next(from)?,
        serial: row.next(from)?,
        first_serial: row.next(from)?,
        recipient: row.next(from)?,
        labels: row.next::<Json<_>>(from)?.0,
        enrolled_at: row.next(from)?,
        revoked_at: row.next(from)?,
        cloned: row.next(from)?,
        session: row.next(from)?,
        earlier: row.next::<Json<_>>(from)?.0,
        numbered: row.next(from)?,
        target: row.next::<Option<Json<_>>>(from)?.map(|Json(target)| target),
        reported: row.next::<Option<Json<_>>>(from)?.map(|Json(reported)| reported),
        presence: match (row.next::<Option<String>>(from)?, row.next::<Option<Millis>>(from)?) {
            (Some(hub), None) => Presence::Here { hub },
            (None, Some(since)) => Presence::Away { since },
            both => return Err(from.damaged(format!("a machine's presence is {both:?}"))),
        },
        heard_at: row.next(from)?,
        version: row.next(from)?,
    })
}
