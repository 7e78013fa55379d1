//! Values as both databases have them, and what of ours becomes one.

use super::Statements;
use crate::{
    protocol::ObjectId,
    store::{Millis, StoreError},
};
use abide_reconcile::InstanceId;
use abide_spec::Name;
use serde::{Serialize, de::DeserializeOwned};
use std::vec;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row, read from the left.
#[derive(Debug)]
pub(in crate::store) struct Row(pub(super) vec::IntoIter<Value>);

/// What is kept in a column.
pub(in crate::store) trait Column: Sized {
    /// As it is kept.
    fn to_value(&self) -> Value;
    /// What was kept; none if that is no such.
    fn of(value: Value) -> Option<Self>;
}

/// Kept as JSON.
pub(in crate::store) struct Json<T>(pub(in crate::store) T);

impl Row {
    /// The next column.
    pub(in crate::store) fn next<T: Column>(&mut self, from: &dyn Statements) -> Result<T, StoreError> {
        let value = self.0.next();
        let what = || format!("a column has {value:?}, which is no {}", std::any::type_name::<T>());
        value.clone().and_then(T::of).ok_or_else(|| from.damaged(what()))
    }
}

impl Column for i64 {
    fn to_value(&self) -> Value {
        Value::Integer(*self)
    }
    fn of(value: Value) -> Option<Self> {
        if let Value::Integer(value) = value { Some(value) } else { None }
    }
}

impl Column for String {
    fn to_value(&self) -> Value {
        // PostgreSQL has no texts with it, and a machine's words shall not stop a hub.
        Value::Text(self.replace('\0', "\u{fffd}"))
    }
    fn of(value: Value) -> Option<Self> {
        if let Value::Text(value) = value { Some(value) } else { None }
    }
}

impl Column for Vec<u8> {
    fn to_value(&self) -> Value {
        Value::Bytes(self.clone())
    }
    fn of(value: Value) -> Option<Self> {
        if let Value::Bytes(value) = value { Some(value) } else { None }
    }
}

impl<T: Column> Column for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
    fn of(value: Value) -> Option<Self> {
        if value == Value::Null { Some(None) } else { T::of(value).map(Some) }
    }
}

impl Column for [u8; 32] {
    fn to_value(&self) -> Value {
        Value::Bytes(self.to_vec())
    }
    fn of(value: Value) -> Option<Self> {
        Vec::of(value)?.try_into().ok()
    }
}

impl<T: Serialize + DeserializeOwned> Column for Json<T> {
    fn to_value(&self) -> Value {
        // What is kept so has nothing that can't be JSON.
        Value::Text(serde_json::to_string(&self.0).unwrap_or_default())
    }
    fn of(value: Value) -> Option<Self> {
        serde_json::from_str(&String::of(value)?).ok().map(Self)
    }
}

/// What is kept as an integer or text that stands for it.
macro_rules! column {
    ($($type:ty as $kept:ty: $to:expr, $of:expr;)*) => {$(
        impl Column for $type {
            fn to_value(&self) -> Value {
                let to: fn(&Self) -> $kept = $to;
                to(self).to_value()
            }
            fn of(value: Value) -> Option<Self> {
                let of: fn($kept) -> Option<Self> = $of;
                of(<$kept>::of(value)?)
            }
        }
    )*};
}

column! {
    bool as i64: |is| i64::from(*is), |kept| Some(kept != 0);
    u32 as i64: |number| i64::from(*number), |kept| kept.try_into().ok();
    // Numbers of ours are far from the end.
    u64 as i64: |number| i64::try_from(*number).unwrap_or(i64::MAX), |kept| kept.try_into().ok();
    Millis as i64: |time| time.0, |kept| Some(Millis(kept));
    Name as String: |name| name.as_str().to_owned(), |kept| Name::new(&kept).ok();
    ObjectId as String: |id| id.to_string(), |kept| kept.parse().ok();
    InstanceId as String: |id| id.to_string(), |kept| kept.parse().ok();
}
