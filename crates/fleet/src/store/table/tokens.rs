//! Tokens.

use super::text;
use crate::store::{
    StoreError, Token,
    sql::{Column as _, Json, Row, Statements},
};
use std::collections::BTreeMap;

/// Adds or replaces one.
pub(in crate::store) fn put(to: &mut dyn Statements, token: &Token) -> Result<(), StoreError> {
    let values = vec![
        token.id.to_value(),
        token.secret.to_value(),
        token.uses_left.to_value(),
        token.expires_at.to_value(),
        token.names.to_value(),
        Json(token.labels.clone()).to_value(),
    ];
    let sql = "INSERT INTO token (id, secret, uses_left, expires_at, names, labels) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (id) DO UPDATE SET secret = excluded.secret, uses_left = excluded.uses_left, \
               expires_at = excluded.expires_at, names = excluded.names, labels = excluded.labels";
    to.once(sql, values).map(drop)
}

/// Those of these ids that there are.
pub(in crate::store) fn get_all<'t>(
    from: &mut dyn Statements,
    ids: impl IntoIterator<Item = &'t String>,
) -> Result<BTreeMap<String, Token>, StoreError> {
    let sql = "SELECT id, secret, uses_left, expires_at, names, labels FROM token WHERE id = $1";
    let answers = from.run(sql, ids.into_iter().map(|id| text(id)).collect())?;
    let rows = answers.into_iter().flat_map(|answer| answer.rows);
    rows.map(|row| read(row, from).map(|token| (token.id.clone(), token))).collect()
}

/// Writes how many they still let in. One that was removed meanwhile stays so.
pub(in crate::store) fn put_uses<'t>(
    to: &mut dyn Statements,
    tokens: impl IntoIterator<Item = &'t Token>,
) -> Result<(), StoreError> {
    let sets = tokens.into_iter().map(|token| vec![token.id.to_value(), token.uses_left.to_value()]);
    to.run("UPDATE token SET uses_left = $2 WHERE id = $1", sets.collect()).map(drop)
}

/// All of them.
pub(in crate::store) fn all(from: &mut dyn Statements) -> Result<Vec<Token>, StoreError> {
    let sql = "SELECT id, secret, uses_left, expires_at, names, labels FROM token";
    let rows = from.once(sql, Vec::new())?.rows;
    let mut tokens: Vec<Token> = rows.into_iter().map(|row| read(row, from)).collect::<Result<_, _>>()?;
    // Databases differ in what order texts have.
    tokens.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(tokens)
}

/// Whether there was one.
pub(in crate::store) fn remove(to: &mut dyn Statements, id: &str) -> Result<bool, StoreError> {
    Ok(to.once("DELETE FROM token WHERE id = $1", text(id))?.changed > 0)
}

fn read(mut row: Row, from: &dyn Statements) -> Result<Token, StoreError> {
    Ok(Token {
        id: row.next(from)?,
        secret: row.next(from)?,
        uses_left: row.next(from)?,
        expires_at: row.next(from)?,
        names: row.next(from)?,
        labels: row.next::<Json<_>>(from)?.0,
    })
}
