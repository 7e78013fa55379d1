//! A change of each field of each kind does what the table says.

use crate::support::{scope, tree};
use abide_spec::{
    Change, Context, Kind, MachineTarget, Unit, UnitSpec, change,
    change::{FIELDS, Impact},
    kind::Grants,
    parse,
};
use std::{collections::BTreeMap, sync::Arc};

const OTHERS: &str = "
---
apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {name: other}
spec: {image: nginx}
---
apiVersion: abide.dev/v1alpha1
kind: Volume
metadata: {name: data}
---
apiVersion: abide.dev/v1alpha1
kind: Volume
metadata: {name: disk}
spec: {form: Disk, size: 1Gi}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: SETTING}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {a: SECRET}
";

fn unit(kind: &str, fields: &str, others: &str) -> Arc<Unit> {
    let head =
        format!("apiVersion: abide.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: it}}\nspec: {{{fields}}}\n{others}");
    let grants = Grants { host_network: true, privileged: true, ..Grants::default() };
    let scope = scope();
    let tree = tree([("a.yaml", head.as_str()), ("kernel", "k"), ("kernel2", "l")]);
    let parsed = parse(&tree, Context::plain(&scope, &grants)).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    Arc::clone(parsed.units.iter().find(|unit| unit.id.name.as_str() == "it").unwrap())
}

fn base(kind: &str) -> BTreeMap<&'static str, &'static str> {
    match kind {
        "Container" => [("image", "nginx:1")].into(),
        "VirtualMachine" => [("boot", "{kernel: {file: kernel}}")].into(),
        _ => [("form", "Disk"), ("size", "1Gi")].into(),
    }
}

fn written(fields: &BTreeMap<&str, &str>) -> String {
    fields.iter().map(|(field, value)| format!("{field}: {value}")).collect::<Vec<_>>().join(", ")
}

/// Another value than the base has, of every field.
fn changed(kind: &str, field: &str) -> &'static str {
    match (kind, field) {
        (_, "args" | "command") => "[x]",
        (_, "dependsOn") => "[{unit: Container/other}]",
        (_, "env") => "{A: {value: x}}",
        (_, "hostNetwork" | "readOnlyRoot") => "true",
        (_, "image") => "nginx:2",
        (_, "liveness" | "readiness") => "{tcp: {port: 80}}",
        (_, "ports") => "[{port: 80}]",
        ("Container", "resources") => "{memory: 1Gi}",
        (_, "resources") => "{cpu: 2}",
        (_, "restartPolicy") => "Never",
        (_, "security") => "{capabilitiesAdd: [NET_ADMIN]}",
        (_, "stopGracePeriod") => "1s",
        (_, "user") => "nobody",
        (_, "volumes") => "[{volume: data, mountPath: /data}]",
        (_, "workingDir") => "/tmp",
        (_, "boot") => "{kernel: {file: kernel2}}",
        (_, "disks") => "[{volume: disk}]",
        (_, "form") => "Directory",
        (_, "reclaim") => "Delete",
        (_, "size") => "2Gi",
        other => panic!("no other value for {other:?}"),
    }
}

#[test]
fn each_field_does_what_the_table_says() {
    for (kind, field, impact) in FIELDS.iter().filter(|(kind, ..)| Kind::WRITTEN.contains(kind)) {
        let kind = kind.as_str();
        let mut fields = base(kind);
        let old = unit(kind, &written(&fields), OTHERS);
        fields.insert(field, changed(kind, field));
        if *field == "form" {
            fields.remove("size");
        }
        let new = unit(kind, &written(&fields), OTHERS);
        assert_ne!(old.digest(), new.digest(), "{kind}.{field}");
        assert_eq!(old.shape() == new.shape(), *impact == Impact::Live, "{kind}.{field}");
        let change = change(&old, &new);
        let fields = match (impact, &change) {
            (Impact::Live, Change::Live(fields)) | (Impact::Replace, Change::Replace(fields)) => fields,
            _ => panic!("{kind}.{field} is {impact:?}: {change:?}"),
        };
        assert!(fields.iter().any(|change| change.path.starts_with(&format!("spec.{field}"))), "{fields:?}");
    }
}

#[test]
fn what_a_unit_refers_to_is_part_of_it() {
    let fields = "image: nginx, env: {A: {configMap: settings, key: a}, B: {secret: keys, key: a}}";
    let old = unit("Container", fields, OTHERS);
    let settings = unit("Container", fields, &OTHERS.replace("SETTING", "another"));
    assert!(matches!(change(&old, &settings), Change::Replace(_)));
    assert_ne!(old.shape(), settings.shape());
    let keys = unit("Container", fields, &OTHERS.replace("SECRET", "another"));
    assert_ne!(old.shape(), keys.shape());
    let Change::Replace(fields) = change(&old, &keys) else { panic!("a secret changed") };
    assert!(!format!("{fields:?}{old:?}").contains("SECRET"), "{fields:?}");
}

/// Who decides about machines tells them another commit; they are the same machines.
#[test]
fn another_commit_is_no_other_machine() {
    let mut old = (*unit("Container", "image: nginx", "")).clone();
    old.id.kind = Kind::Machine;
    let on = |commit: &str| UnitSpec::Machine(Arc::new(MachineTarget { commit: commit.repeat(40) }));
    old.spec = on("a");
    let new = Unit { spec: on("b"), ..old.clone() };
    let Change::Live(fields) = change(&old, &new) else { panic!("{:?}", change(&old, &new)) };
    assert_eq!((fields.len(), fields[0].path.as_str()), (1, "spec.commit"));
    assert_eq!(old.shape(), new.shape());
}

#[test]
fn a_label_restarts_nothing() {
    let old = unit("Container", "image: nginx", "");
    let mut new = (*old).clone();
    new.labels.insert("tier".into(), "web".into());
    assert!(matches!(change(&old, &new), Change::Live(_)));
    assert_eq!(old.shape(), new.shape());
    assert_eq!(change(&old, &old), Change::None);
}
