//! Virtual machines and volumes.

use super::{
    container::ABSOLUTE,
    word::{BYTES, CPU, FACTORS},
};
use crate::crd::rule::Rule;
use abide_spec::{
    limits::{CMDLINE_BYTES_MAX, MACHINE_MEMORY_MIN, SECTOR, VCPUS_MAX},
    words,
};

/// What is booted names a file of a repository.
const NO_REPOSITORY: &str =
    "this names a file of a repository, and a cluster has none: use `hostPath`, with a path that the node grants";

/// A volume's form, which is a directory unless said.
const FORM: &str = "self.?form.orValue('Directory')";

pub(super) fn rules() -> Vec<(&'static str, Rule)> {
    let mut rules = vec![
        ("BootFile", Rule::new("has(self.file) != has(self.hostPath)", words::exactly_one(&["file", "hostPath"]))),
        ("BootFile.file", Rule::new("false", NO_REPOSITORY)),
        ("BootFile.hostPath", Rule::new(ABSOLUTE, words::ABSOLUTE)),
        (
            "Boot.cmdline",
            Rule::new(format!("self.size() <= {CMDLINE_BYTES_MAX} && self.matches('^[ -~]*$')"), words::command_line()),
        ),
    ];
    rules.extend(machine().map(|rule| ("VirtualMachineSpec", rule)));
    rules.extend(volume().map(|rule| ("VolumeSpec", rule)));
    rules
}

fn machine() -> [Rule; 5] {
    let cpu = "string(self.resources.cpu)";
    let memory = "string(self.resources.memory)";
    let no_exec = |probe: &str| Rule::new(format!("!self.?{probe}.?exec.hasValue()"), words::MACHINE_EXEC);
    [
        Rule::new(
            format!(
                "!self.?resources.?cpu.hasValue() || !{cpu}.matches(r'{CPU}') || \
                 [{cpu}.endsWith('m') ? int({cpu}.replace('m', '')) : int({cpu}) * 1000]\
                 .all(millis, millis % 1000 == 0 && millis <= {VCPUS_MAX}000)"
            ),
            words::MACHINE_CPU,
        )
        .at(".resources.cpu"),
        Rule::new(
            format!(
                "!self.?resources.?memory.hasValue() || !{memory}.matches(r'{BYTES}') || \
                 !quantity({memory}).isLessThan(quantity('{MACHINE_MEMORY_MIN}'))"
            ),
            words::MACHINE_MEMORY,
        )
        .at(".resources.memory"),
        Rule::new("!self.?resources.?pids.hasValue()", words::MACHINE_PIDS).at(".resources.pids"),
        no_exec("readiness").at(".readiness.exec"),
        no_exec("liveness").at(".liveness.exec"),
    ]
}

fn volume() -> [Rule; 3] {
    let size = "string(self.size)";
    let bytes = format!("int({size}.find('^[0-9]+')) * {FACTORS}[{size}.find('[A-Za-z]*$')]");
    [
        Rule::new(format!("{FORM} != 'Disk' || has(self.size)"), words::DISK_WITHOUT_SIZE),
        Rule::new(
            format!(
                "{FORM} != 'Disk' || !has(self.size) || !{size}.matches(r'{BYTES}') || \
                 !quantity({size}).isLessThan(quantity('8Ei')) || ({bytes} > 0 && {bytes} % {SECTOR} == 0)"
            ),
            words::DISK_SIZE,
        )
        .at(".size"),
        Rule::new(format!("{FORM} != 'Directory' || !has(self.size)"), words::DIRECTORY_SIZE).at(".size"),
    ]
}
