//! Containers: images, environments, mounts, capabilities.

use crate::crd::rule::{FIRST, Rule, quoted};
use abide_spec::{
    limits::{CAPABILITIES, KERNEL_PATHS},
    words,
};

/// An absolute path without `.` and `..`.
pub(super) const ABSOLUTE: &str = r"self.startsWith('/') && !self.matches(r'(^|/)[.][.]?(/|$)')";

/// An image names a file of a repository.
const NO_REPOSITORY: &str = "this names a file of a repository, and a cluster has none: use a registry, or an absolute path that the node grants";

pub(super) fn rules() -> Vec<(&'static str, Rule)> {
    let mut rules = vec![
        ("ContainerSpec.command", Rule::new("self.size() > 0", words::COMMAND_EMPTY)),
        ("ContainerSpec.workingDir", Rule::new(ABSOLUTE, words::ABSOLUTE)),
        ("ContainerSpec.env", variables()),
        ("ContainerSpec.volumes", two_mounts()),
        (
            "ContainerSpec",
            Rule::new(
                "!(has(self.hostNetwork) && self.hostNetwork && has(self.ports) && self.ports.size() > 0)",
                words::HOST_NETWORK_PORTS,
            )
            .at(".ports"),
        ),
        ("Security.capabilitiesAdd[]", capability(&[])),
        ("Security.capabilitiesDrop[]", capability(&["ALL"])),
    ];
    rules.extend(image().into_iter().map(|rule| ("ContainerSpec.image", rule)));
    rules.extend(value().map(|rule| ("EnvValue", rule)));
    rules.extend(mount());
    rules
}

/// The grammar of references (see `abide_spec::reference`), one rule a part: each is kept only where those before it are, as
/// the validator says the first mistake alone.
fn image() -> Vec<Rule> {
    const PATH: &str = "^(oci|docker-archive):";
    const HOST: &str = "([^/@]*[.:][^/@]*|localhost)";
    const PART: &str = "[a-z0-9]([a-z0-9._-]*[a-z0-9])?";
    const LABEL: &str = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";
    const PORT: &str = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
    const TAG: &str = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    const TAIL: &str = "(:[^/:@]*)?(@.*)?$";
    let parts = [
        ("!self.contains('@') || self.matches('^[^@]*@sha256:[0-9a-fA-F]{64}$')".to_owned(), words::IMAGE_DIGEST),
        (format!("!self.matches('^[^@]*:[^/:@]*(@.*)?$') || self.matches('^[^@]*:{TAG}(@.*)?$')"), words::IMAGE_TAG),
        (
            format!("self.matches('^({HOST}/)?{PART}(/{PART})*{TAIL}') && self.matches('^[^@]{{0,255}}{TAIL}')"),
            words::IMAGE_REPOSITORY,
        ),
        (
            format!("!self.matches('^{HOST}/') || self.matches('^{LABEL}([.]{LABEL})*(:{PORT})?/')"),
            words::IMAGE_REGISTRY,
        ),
    ];
    let mut told = format!("self.matches('{PATH}')");
    let mut rules = Vec::new();
    for (cel, why) in parts {
        rules.push(Rule::about(format!("{told} || ({cel})"), &words::no_image(FIRST, why), &["self"]));
        told = format!("{told} || !({cel})");
    }
    let path = |cel: &str, sentence: &str| Rule::new(format!("!self.matches('{PATH}{cel}')"), sentence);
    rules.push(path("(/.*)?/[.][.]?(/|$)", words::ABSOLUTE));
    rules.push(path("([^/]|$)", NO_REPOSITORY));
    rules
}

fn variables() -> Rule {
    let is_name = r"name.matches(r'^[^=\x00]+$')";
    let first = format!("self.filter(name, !{is_name})[0]");
    Rule::about(format!("self.all(name, {is_name})"), &words::no_variable(FIRST), &[&first])
}

fn value() -> [Rule; 3] {
    let of_key = "(has(self.configMap) || has(self.secret))";
    [
        Rule::new(
            "[has(self.value), has(self.configMap), has(self.secret)].exists_one(is_there, is_there)",
            words::exactly_one(&["value", "configMap", "secret"]),
        ),
        Rule::new(format!("!{of_key} || has(self.key)"), words::missing("key")),
        Rule::new(format!("!has(self.key) || !has(self.value) || {of_key}"), words::unknown_field("key", ["value"])),
    ]
}

fn mount() -> Vec<(&'static str, Rule)> {
    let sources = ["volume", "configMap", "secret", "tmpfs", "hostPath"];
    let has: Vec<String> = sources.iter().map(|source| format!("has(self.{source})")).collect();
    let one = format!("[{}].exists_one(is_there, is_there)", has.join(", "));
    let mut rules = vec![
        ("Mount", Rule::new(one, words::exactly_one(&sources))),
        ("Mount.hostPath", Rule::new(ABSOLUTE, words::ABSOLUTE)),
        ("Mount.mountPath", Rule::new(format!("{ABSOLUTE} && self.matches('[^/]')"), words::MOUNT_PATH)),
    ];
    // Of a path that leads elsewhere nobody can say where.
    let is_odd = r"self.matches(r'(^|/)[.][.]?(/|$)')";
    rules.extend(KERNEL_PATHS.map(|path| {
        (
            "Mount.mountPath",
            Rule::new(format!("!self.matches('^/+{}(/|$)') || {is_odd}", &path[1..]), words::kernels_path(path)),
        )
    }));
    rules
}

/// No two mounts on one place, however many slashes are behind it.
fn two_mounts() -> Rule {
    let places = "self.map(mount, mount.mountPath.find('^.*[^/]'))";
    let once = format!("[{places}].all(places, places.all(a, places.exists_one(b, a == b)))");
    let second = format!("[{places}].map(places, places.filter(a, !places.exists_one(b, a == b)))[0][0]");
    Rule::about(once, &words::two_mounts(FIRST), &[&second])
}

fn capability(more: &[&str]) -> Rule {
    let names: Vec<String> = CAPABILITIES.iter().chain(more).map(|name| quoted(name)).collect();
    Rule::about(format!("self in [{}]", names.join(", ")), &words::unknown_capability(FIRST), &["self"])
}
