//! What is generated is what the repository has.

use abide_fleet::server::openapi;
use std::{fs, path::Path};

/// Set to rewrite what is expected.
const UPDATE: &str = "ABIDE_UPDATE";

#[test]
fn the_protocols_description_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/hub.openapi.json");
    let text = openapi::text();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs; {UPDATE}=1 rewrites it", path.display());
}

#[test]
fn every_reference_leads_somewhere() {
    let document = openapi::document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let name = reference.split('"').next().unwrap().strip_prefix("#/components/schemas/").unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert_eq!(document["paths"].as_object().unwrap().len(), 8);
}
