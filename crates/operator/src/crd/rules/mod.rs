//! What is refused of one object, by the type and field of `abide_spec` that it is about.

mod container;
mod machine;
mod object;
mod probe;
mod word;

use super::rule::Rule;
use std::collections::BTreeMap;

/// Rules by what they are about: `Mount` (a type), `Mount.mountPath` (a field of it), `Security.capabilitiesAdd[]` (each
/// item of a list) or `Volume` (a whole object).
pub(super) type Rules = BTreeMap<&'static str, Vec<Rule>>;

/// All of them.
pub(super) fn rules() -> Rules {
    let mut rules = Rules::new();
    let all = [word::rules(), container::rules(), probe::rules(), machine::rules(), object::rules()];
    for (about, rule) in all.into_iter().flatten() {
        rules.entry(about).or_default().push(rule);
    }
    rules
}

/// Bounds of what rules look at, by type and field as above: an API server estimates what a rule costs at most.
///
/// Nothing that is valid reaches them: a path has 4095 bytes at most, an image's reference 455.
pub(super) const BOUNDS: &[(&str, &str, usize)] = &[
    ("Boot.cmdline", "maxLength", 4096),
    ("BootFile.file", "maxLength", 4096),
    ("BootFile.hostPath", "maxLength", 4096),
    ("Bytes", "maxLength", 64),
    ("ContainerSpec.dependsOn", "maxItems", abide_spec::limits::DEPENDENCIES_MAX),
    ("ContainerSpec.env", "maxProperties", abide_spec::limits::VARIABLES_MAX),
    ("ContainerSpec.image", "maxLength", 4096),
    ("ContainerSpec.ports", "maxItems", abide_spec::limits::PORTS_MAX),
    ("ContainerSpec.volumes", "maxItems", abide_spec::limits::MOUNTS_MAX),
    ("ContainerSpec.workingDir", "maxLength", 4096),
    ("Cpu", "maxLength", 64),
    ("EnvValue.key", "maxLength", 253),
    ("HttpProbe.path", "maxLength", 4096),
    ("Mount.hostPath", "maxLength", 4096),
    ("Mount.mountPath", "maxLength", 4096),
    // A name may have 63: whoever writes more is told so in the validator's words.
    ("Name", "maxLength", 253),
    // As above.
    ("NodeName", "maxLength", 512),
    ("Placement.nodeSelector", "maxProperties", 64),
    ("Security.capabilitiesAdd", "maxItems", 64),
    ("Security.capabilitiesAdd[]", "maxLength", 64),
    ("Security.capabilitiesDrop", "maxItems", 64),
    ("Security.capabilitiesDrop[]", "maxLength", 64),
    ("Span", "maxLength", 64),
    ("Status.addresses", "maxItems", 64),
    ("Status.conditions", "maxItems", 16),
    ("UnitRef", "maxLength", 512),
    ("VirtualMachineSpec.dependsOn", "maxItems", abide_spec::limits::DEPENDENCIES_MAX),
    ("VirtualMachineSpec.disks", "maxItems", abide_spec::limits::DISKS_MAX),
    ("VirtualMachineSpec.ports", "maxItems", abide_spec::limits::PORTS_MAX),
];
