//! The JSON Schema that editors complete and check from, out of the types that parse.

use crate::{
    document::API_VERSION,
    fleet::{FleetSpec, RolloutSpec},
    kind::{ContainerSpec, Metadata, SealedSecretSpec, SourceSpec, VirtualMachineSpec, VolumeSpec},
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// What may be in a repository: any of its kinds.
pub fn repository() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let kinds = [
        ours::<ContainerSpec>("Container", true, &mut generator),
        ours::<VirtualMachineSpec>("VirtualMachine", true, &mut generator),
        ours::<VolumeSpec>("Volume", false, &mut generator),
        data("ConfigMap", &["data", "binaryData"], &mut generator),
        data("Secret", &["data", "stringData", "type"], &mut generator),
        ours::<SealedSecretSpec>("Secret", true, &mut generator),
    ];
    whole("abide: what a repository may say", json!({ "oneOf": kinds }), &mut generator)
}

/// What the machine's owner may write about a source.
pub fn source() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let kind = ours::<SourceSpec>("Source", true, &mut generator);
    whole("abide: a source to follow", kind, &mut generator)
}

/// What may be in a fleet's `fleet.yaml`.
pub fn fleet() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let kinds =
        [ours::<FleetSpec>("Fleet", true, &mut generator), ours::<RolloutSpec>("Rollout", false, &mut generator)];
    whole("abide: a fleet, and how commits get to its machines", json!({ "oneOf": kinds }), &mut generator)
}

fn whole(title: &str, schema: Value, generator: &mut SchemaGenerator) -> Value {
    let mut whole = Map::new();
    whole.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    whole.insert("title".into(), title.into());
    if let Value::Object(schema) = schema {
        whole.extend(schema.into_iter().filter(|(key, _)| key != "title"));
    }
    whole.insert("$defs".into(), Value::Object(generator.take_definitions(true)));
    Value::Object(whole)
}

fn ours<T: JsonSchema>(kind: &str, needs_spec: bool, generator: &mut SchemaGenerator) -> Value {
    let spec = generator.subschema_for::<T>();
    let metadata = generator.subschema_for::<Metadata>();
    let required = if needs_spec {
        json!(["apiVersion", "kind", "metadata", "spec"])
    } else {
        json!(["apiVersion", "kind", "metadata"])
    };
    json!({
        "title": kind,
        "type": "object",
        "properties": {
            "apiVersion": { "const": API_VERSION },
            "kind": { "const": kind },
            "metadata": metadata,
            "spec": spec,
        },
        "required": required,
        "additionalProperties": false,
    })
}

/// Kubernetes' own configuration kinds.
fn data(kind: &str, fields: &[&str], generator: &mut SchemaGenerator) -> Value {
    let mut properties = Map::new();
    properties.insert("apiVersion".into(), json!({ "const": "v1" }));
    properties.insert("kind".into(), json!({ "const": kind }));
    properties.insert("metadata".into(), generator.subschema_for::<Metadata>().to_value());
    properties.insert("immutable".into(), json!({ "type": "boolean" }));
    for field in fields {
        let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
        let schema = if *field == "type" { json!({ "type": "string" }) } else { texts };
        properties.insert((*field).into(), schema);
    }
    json!({
        "title": kind,
        "type": "object",
        "properties": properties,
        "required": ["apiVersion", "kind", "metadata"],
        "additionalProperties": false,
    })
}
