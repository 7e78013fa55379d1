//! `kubectl explain` says of every field what it is for.

use crate::cluster::Cluster;
use abide_operator::crd;
use serde_json::Value;

/// Paths of the objects below a schema.
fn objects(path: &str, schema: &Value, into: &mut Vec<String>) {
    let schema = schema.get("items").unwrap_or(schema);
    let schema = schema.get("additionalProperties").unwrap_or(schema);
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return };
    into.push(path.to_owned());
    for (name, field) in fields {
        objects(&format!("{path}.{name}"), field, into);
    }
}

#[test]
fn every_field_is_explained() {
    let cluster = Cluster::start();
    let mut fields = 0;
    for definition in crd::definitions() {
        let kind = definition["spec"]["names"]["singular"].as_str().unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut paths = Vec::new();
        objects(kind, schema, &mut paths);
        for path in paths {
            let shown = cluster.server.kubectl(&["explain", &path]);
            let lines: Vec<&str> = shown.lines().collect();
            let head = lines.iter().position(|line| *line == "FIELDS:").unwrap_or_else(|| panic!("{path}: {shown}"));
            // A field is indented once, what it is for twice.
            for (n, line) in lines.iter().enumerate().skip(head + 1) {
                let is_field = line.starts_with("  ") && !line.starts_with("   ");
                if !is_field {
                    continue;
                }
                let next = lines.get(n + 1).copied().unwrap_or_default();
                let next = if next.trim().starts_with("enum:") { lines[n + 2] } else { next };
                let is_explained =
                    next.starts_with("    ") && next.trim().len() > 5 && !next.contains("<no description>");
                assert!(is_explained, "{path}.{}:\n{shown}", line.trim());
                fields += 1;
            }
        }
    }
    assert!(fields > 100, "{fields}");
}
