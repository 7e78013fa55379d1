//! Units as people address them: `[SCOPE:]KIND/NAME[#INDEX]`, or a bare name where that is unique.

use crate::exit::Failure;
use abide_agent::api::{Snapshot, UnitStatus};
use abide_reconcile::{Kind, Name, UnitId};

/// How many names are suggested, if none is near.
const SUGGESTED: usize = 8;

/// What a person wrote.
#[derive(Debug, PartialEq, Eq)]
struct Address<'a> {
    scope: Option<&'a str>,
    kind: Option<&'a str>,
    name: &'a str,
    index: Option<&'a str>,
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Self {
        let (scope, rest) = text.split_once(':').map_or((None, text), |(scope, rest)| (Some(scope), rest));
        let (kind, rest) = rest.split_once('/').map_or((None, rest), |(kind, rest)| (Some(kind), rest));
        let (name, index) = rest.split_once('#').map_or((rest, None), |(name, index)| (name, Some(index)));
        Self { scope, kind, name, index }
    }

    fn is(&self, unit: &UnitStatus) -> bool {
        let is_kind = |kind: &str| kind.eq_ignore_ascii_case(&unit.kind);
        self.scope.is_none_or(|scope| scope == unit.scope)
            && self.kind.is_none_or(is_kind)
            && self.name == unit.name
            && self.index.is_none_or(|index| index == unit.index.to_string())
    }
}

/// The one unit that is meant.
pub(crate) fn find<'a>(snapshot: &'a Snapshot, text: &str) -> Result<&'a UnitStatus, Failure> {
    find_among(snapshot, text, &Kind::ALL)
}

/// The one unit that is meant where units of other kinds make no sense: a machine's logs, not those of its volume of the
/// same name.
pub(crate) fn find_among<'a>(snapshot: &'a Snapshot, text: &str, kinds: &[Kind]) -> Result<&'a UnitStatus, Failure> {
    let address = Address::parse(text);
    let mut found: Vec<&UnitStatus> = snapshot.units.iter().filter(|unit| address.is(unit)).collect();
    let is_among = |unit: &UnitStatus| kinds.iter().any(|kind| kind.as_str() == unit.kind);
    if found.iter().any(|unit| is_among(unit)) {
        found.retain(|unit| is_among(unit));
    }
    match &found[..] {
        [unit] => Ok(unit),
        [] => Err(Failure::refused(missing(snapshot, text))),
        several => {
            let names: Vec<String> = several.iter().map(|unit| full(unit)).collect();
            Err(Failure::refused(format!("{text} could be any of {}: write one of these", names.join(", "))))
        }
    }
}

/// A unit's whole name.
pub(crate) fn full(unit: &UnitStatus) -> String {
    let index = if unit.index == 0 { String::new() } else { format!("#{}", unit.index) };
    format!("{}:{}/{}{index}", unit.scope, unit.kind, unit.name)
}

/// The unit that a status is of.
pub(crate) fn id(unit: &UnitStatus) -> Result<UnitId, Failure> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == unit.kind);
    let kind = kind.ok_or_else(|| {
        Failure::failed(format!(
            "the agent knows a kind {} that this program doesn't: is it of another release?",
            unit.kind
        ))
    })?;
    Ok(UnitId { scope: Name::new(&unit.scope)?, kind, name: Name::new(&unit.name)?, index: unit.index })
}

fn missing(snapshot: &Snapshot, text: &str) -> String {
    if snapshot.units.is_empty() {
        return format!("there is no unit {text}: nothing runs here, and nothing is to; `abide get` shows why");
    }
    let wanted = Address::parse(text).name;
    let distance = |unit: &&UnitStatus| strsim::damerau_levenshtein(&unit.name, wanted);
    let mut units: Vec<&UnitStatus> = snapshot.units.iter().collect();
    units.sort_by_key(distance);
    let nearest = units.first().map_or(usize::MAX, distance);
    let is_near = nearest <= 1 + wanted.chars().count() / 3;
    let shown = units.iter().filter(|unit| !is_near || distance(unit) == nearest).take(SUGGESTED);
    let names: Vec<String> = shown.map(|unit| full(unit)).collect();
    let question = if is_near { "did you mean" } else { "there are" };
    let mark = if is_near { "?" } else { "; `abide get` shows all" };
    format!("there is no unit {text}: {question} {}{mark}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::status::tests::machine;

    #[test]
    fn addresses() {
        let machine = machine();
        let found = |text: &str| find(&machine, text).map(full).map_err(|failure| failure.text);
        for text in ["web", "Container/web", "container/web", "infra:Container/web", "infra:web", "web#0"] {
            assert_eq!(found(text), Ok("infra:Container/web".to_owned()), "{text}");
        }
        let unknown = ["wep", "VirtualMachine/web", "something", "web#1"].map(|text| found(text).unwrap_err());
        insta::assert_snapshot!(unknown.join("\n"));
    }

    #[test]
    fn a_name_that_is_not_unique() {
        let mut machine = machine();
        machine.units[1].name = "web".to_owned();
        insta::assert_snapshot!(find(&machine, "web").unwrap_err().text, @"web could be any of infra:Container/web, infra:VirtualMachine/web: write one of these");
        let machines = find_among(&machine, "web", &[Kind::VirtualMachine]);
        assert_eq!(machines.map(full).map_err(|failure| failure.text), Ok("infra:VirtualMachine/web".to_owned()));
    }
}
