//! How values without a serialized form of their own are written in a journal: JSON has no maps with such keys.

use abide_reconcile::{Digest, Permit, Reclaim, SourceId, UnitId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct Removal {
    unit: UnitId,
    reclaim: Reclaim,
}

pub(super) mod removals {
    use super::{BTreeMap, Deserialize, Deserializer, Reclaim, Removal, Serializer, UnitId};

    pub(crate) fn serialize<S: Serializer>(map: &BTreeMap<UnitId, Reclaim>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map.iter().map(|(unit, reclaim)| Removal { unit: unit.clone(), reclaim: *reclaim }))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<UnitId, Reclaim>, D::Error> {
        let list = Vec::<Removal>::deserialize(from)?;
        Ok(list.into_iter().map(|removal| (removal.unit, removal.reclaim)).collect())
    }
}

pub(super) mod permit {
    use super::{
        BTreeMap, Deserialize, Deserializer, Digest, Permit, Reclaim, Serialize, Serializer, SourceId, UnitId,
    };

    #[derive(Serialize, Deserialize)]
    struct Form {
        source: SourceId,
        wish: Digest,
        #[serde(with = "super::removals")]
        removals: BTreeMap<UnitId, Reclaim>,
    }

    pub(crate) fn serialize<S: Serializer>(permit: &Permit, to: S) -> Result<S::Ok, S::Error> {
        let Permit { source, wish, removals } = permit.clone();
        Form { source, wish, removals }.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Permit, D::Error> {
        let Form { source, wish, removals } = Form::deserialize(from)?;
        Ok(Permit { source, wish, removals })
    }
}
