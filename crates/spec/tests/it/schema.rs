//! The generated schemas are the ones in the repository, and the table of changes has every field of them.

use abide_spec::{
    Kind,
    change::{FIELDS, Impact},
    schema,
};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

#[test]
fn schemas_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    for (name, schema) in
        [("abide.json", schema::repository()), ("source.json", schema::source()), ("fleet.json", schema::fleet())]
    {
        crate::support::expect(&folder.join(name), &format!("{schema:#}\n"));
    }
}

#[test]
fn every_field_has_its_place_in_the_table_of_changes() {
    let schema = schema::repository();
    let fields =
        |spec: &str| schema["$defs"][spec]["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let specs = [("Container", "ContainerSpec"), ("VirtualMachine", "VirtualMachineSpec"), ("Volume", "VolumeSpec")];
    let written: BTreeSet<(String, String)> = specs
        .iter()
        .flat_map(|(kind, spec)| fields(spec).into_iter().map(|field| ((*kind).to_owned(), field)))
        .collect();
    let documents = FIELDS.iter().filter(|(kind, ..)| Kind::WRITTEN.contains(kind));
    let table = documents.map(|(kind, field, _)| (kind.to_string(), (*field).to_owned())).collect();
    assert_eq!(written, table);
    assert!(FIELDS.iter().any(|(.., impact)| *impact == Impact::Live));
}

/// An editor can't say of a field without a description what it is for.
#[test]
fn every_field_is_described() {
    for schema in [schema::repository(), schema::source(), schema::fleet()] {
        let mut todo = vec![(String::new(), &schema["$defs"])];
        while let Some((path, value)) = todo.pop() {
            let Value::Object(map) = value else { continue };
            if let Some(Value::Object(properties)) = map.get("properties") {
                for (name, property) in properties {
                    assert!(property.get("description").is_some(), "{path}.{name} has no description");
                }
            }
            todo.extend(map.iter().map(|(key, value)| (format!("{path}/{key}"), value)));
        }
    }
}
