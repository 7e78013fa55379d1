//! Validator and server read the same grammar, whatever is written.

use crate::{
    cluster::{Cluster, document},
    refused::{is_said_by, validator},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Texts that are nearly right, or right.
fn container() -> impl Strategy<Value = Value> {
    let image = "((a[.]b|localhost|[A-Z][.]x|a-|-a)(:[0-9]{1,6}|:)?/)?[a-z0-9._/A-Z-]{0,8}(:[a-zA-Z0-9._-]{0,4})?(@(sha256:)?[0-9a-g]{64}|@)?";
    let bytes = "-?[0-9]{0,3}([.][0-9]{0,2})?(|k|K|Ki|Mi|Gi|G|m|E|Ei|e3|B| )";
    let cpu = "[0-9]{0,3}([.][0-9]{0,4})?(|m|k|c)";
    let span = "0{0,3}[0-9]{0,12}(|ms|s|m|h|d)";
    let path = "/{0,2}(proc|sys|dev|procs|[.]{1,3}|a|)/{0,2}([.]{1,2}|b|)/?";
    let unit = "(Container|Pod|)/?(other|Other|-o|o-|[a-z0-9-]{0,3})";
    let variable = "[A-Z=_ ]{0,3}";
    (image, bytes, cpu, span, [path, path, path], unit, variable).prop_map(
        |(image, bytes, cpu, span, [one, two, directory], unit, variable)| {
            json!({
                "image": image,
                "resources": { "memory": bytes, "cpu": cpu },
                "stopGracePeriod": span,
                "volumes": [{ "tmpfs": "1Mi", "mountPath": one }, { "tmpfs": "1Mi", "mountPath": two }],
                "workingDir": directory,
                "dependsOn": [{ "unit": unit }],
                "env": { variable: { "value": "" } },
            })
        },
    )
}

fn machine() -> impl Strategy<Value = Value> {
    let cpu = "0{0,2}[0-9]{0,2}(000|500|)(|m)";
    let memory = "([0-9]{0,2}(Mi|Ki|M|Gi|)|1677721[5-7])";
    let volume = "(disk|Disk|)";
    ("(/|)[a-z.]{0,3}(/[.]{1,3}|)", cpu, memory, volume, "[ -~é]{0,6}").prop_map(|(path, cpu, memory, volume, line)| {
        json!({
            "boot": { "kernel": { "hostPath": path }, "cmdline": line },
            "resources": { "cpu": cpu, "memory": memory },
            "disks": [{ "volume": volume }],
        })
    })
}

fn volume() -> impl Strategy<Value = Value> {
    let size = "(0{0,2}[0-9]{0,3}(|k|K|Ki|G|Gi|E|Ei)|[0-9]{1,25}(|Ki|E)|512|1024)";
    let form = prop_oneof![Just("Disk"), Just("Directory")];
    (form, proptest::option::of(size)).prop_map(|(form, size)| match size {
        Some(size) => json!({ "form": form, "size": size }),
        None => json!({ "form": form }),
    })
}

#[test]
fn what_one_refuses_the_other_refuses() {
    let cluster = Cluster::start();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let any = prop_oneof![
        2 => container().prop_map(|spec| ("Container", spec)),
        1 => machine().prop_map(|spec| ("VirtualMachine", spec)),
        1 => volume().prop_map(|spec| ("Volume", spec)),
    ];
    let agree = |(kind, spec): (&str, Value)| {
        let document = document(kind, "one", &spec);
        // Whether another object is there is no question to a server.
        let expected: Vec<String> =
            validator(&document).into_iter().filter(|sentence| !sentence.starts_with("there is no ")).collect();
        let causes = cluster.mistakes(&document);
        for sentence in &expected {
            prop_assert!(
                causes.iter().any(|(_, said)| is_said_by(said, sentence)),
                "only the validator: {sentence}\n{causes:#?}"
            );
        }
        for (field, said) in &causes {
            prop_assert!(
                expected.iter().any(|sentence| is_said_by(said, sentence)),
                "only the server: {field}: {said}\n{expected:#?}"
            );
        }
        Ok(())
    };
    runner.run(&any, agree).unwrap();
}
