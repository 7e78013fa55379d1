//! Ports, and how a unit is found to be well.

use crate::crd::rule::{FIRST, Rule};
use abide_spec::words;

pub(super) fn rules() -> Vec<(&'static str, Rule)> {
    let port = || Rule::about("self >= 1 && self <= 65535", &words::no_port(FIRST), &["self"]);
    let time = || Rule::new("!string(self).matches('^0+(ms|s|m|h)$')", words::NO_TIME);
    let actions = "[has(self.exec), has(self.http), has(self.tcp)].exists_one(is_there, is_there)";
    vec![
        ("Port.port", port()),
        ("Port.hostPort", port()),
        ("HttpProbe.port", port()),
        ("TcpProbe.port", port()),
        ("Probe", Rule::new(actions, words::exactly_one(&["exec", "http", "tcp"]))),
        ("Probe.interval", time()),
        ("Probe.timeout", time()),
        ("Probe.failureThreshold", Rule::new("self >= 1", words::AT_LEAST_ONE)),
        ("ExecProbe.command", Rule::new("self.size() > 0", words::PROBE_COMMAND_EMPTY)),
        ("HttpProbe.path", Rule::new(r"self.startsWith('/') && !self.matches(r'[ \r\n]')", words::HTTP_PATH)),
        ("ContainerSpec.ports", twice()),
        ("VirtualMachineSpec.ports", twice()),
    ]
}

/// No port is written twice.
fn twice() -> Rule {
    // With `orValue` an API server would have no bound for the texts that it compares.
    let protocol = |of: &str| format!("(has({of}.protocol) ? {of}.protocol : 'TCP')");
    let same = format!(
        "a.port == b.port && {} == {} && a.?hostPort.orValue(0) == b.?hostPort.orValue(0)",
        protocol("a"),
        protocol("b")
    );
    let once = format!("self.exists_one(b, {same})");
    let first = format!("self.filter(a, !{once})[0].port");
    Rule::about(format!("self.all(a, {once})"), &words::port_twice(FIRST), &[&first])
}
