//! One kind's definition.

use super::{
    CATEGORY, GROUP, VERSION, placement::Placement, plural, rules::rules, status::Status, structural::Structural,
};
use abide_spec::{
    Kind,
    kind::{ContainerSpec, VirtualMachineSpec, VolumeSpec},
};
use serde_json::{Value, json};

/// None if no document is of that kind.
pub(super) fn definition(kind: Kind) -> Option<Value> {
    let structural = Structural::new(rules());
    let (plural, singular) = (plural(kind), kind.as_str().to_lowercase());
    let (short, spec) = match kind {
        Kind::Container => ("abc", structural.of::<ContainerSpec>()),
        Kind::VirtualMachine => ("abvm", structural.of::<VirtualMachineSpec>()),
        Kind::Volume => ("abvol", structural.of::<VolumeSpec>()),
        Kind::Machine => return None,
    };
    Some(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.as_str(),
                "listKind": format!("{kind}List"),
                "plural": plural,
                "singular": singular,
                "shortNames": [short],
                "categories": [CATEGORY],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "selectableFields": [{ "jsonPath": ".spec.node" }],
                "additionalPrinterColumns": columns(kind),
                "schema": { "openAPIV3Schema": object(kind, spec, &structural) },
            }],
        },
    }))
}

fn object(kind: Kind, mut spec: Value, structural: &Structural) -> Value {
    let description = spec["description"].clone();
    if let (Value::Object(fields), Value::Object(more)) =
        (&mut spec["properties"], &mut structural.of::<Placement>()["properties"])
    {
        fields.append(more);
    }
    let mut status = structural.of::<Status>();
    // An object that nobody has looked at isn't current: kstatus takes one without a status for that.
    status["default"] = json!({ "observedGeneration": -1 });
    // Others may have conditions of their own beside ours.
    status["properties"]["conditions"]["x-kubernetes-list-type"] = "map".into();
    status["properties"]["conditions"]["x-kubernetes-list-map-keys"] = json!(["type"]);
    let mut object = json!({
        "type": "object",
        "description": description,
        "properties": { "spec": spec, "status": status },
    });
    // As in a repository: a volume may have nothing to say.
    if kind != Kind::Volume {
        object["required"] = json!(["spec"]);
    }
    if let Some(rules) = structural.rules(kind.as_str()) {
        object["x-kubernetes-validations"] = rules;
    }
    object
}

/// What `kubectl get` shows; `-o wide` shows those with a priority too.
fn columns(kind: Kind) -> Value {
    let ready = |field: &str| format!(".status.conditions[?(@.type==\"Ready\")].{field}");
    let column = |name: &str, path: &str, means: &str| json!({ "name": name, "type": "string", "jsonPath": path, "description": means });
    let wide = |name: &str, path: &str, means: &str| {
        let mut column = column(name, path, means);
        column["priority"] = 1.into();
        column
    };
    let mut columns = vec![
        column("Ready", &ready("status"), "Whether it is as wished, and serves or has completed."),
        column("Status", &ready("message"), "Why it is ready, or why not."),
        column("Node", ".spec.node", "The node on which it is."),
    ];
    if kind == Kind::Volume {
        columns.push(wide("Form", ".spec.form", "What it is for: a Directory unless said."));
        columns.push(wide("Size", ".spec.size", "Of a disk, its size."));
    } else {
        let mut restarts =
            column("Restarts", ".status.restarts", "How often it was started again after it had exited.");
        restarts["type"] = "integer".into();
        columns.push(restarts);
        columns.push(wide("Address", ".status.addresses[0]", "Where it is reached on its node."));
    }
    if kind == Kind::Container {
        columns.push(wide("Image", ".spec.image", "What it runs."));
    }
    columns.push(json!({ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" }));
    Value::Array(columns)
}
