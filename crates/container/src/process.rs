//! The first process: what the image says, and what the spec says over it, by the rules of Kubernetes.

use abide_reconcile::{
    Unit,
    spec::kind::{ContainerSpec, EnvValue},
};
use std::collections::BTreeMap;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why no process can be made of image and spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProcessError {
    /// Nobody says what to run.
    #[error("neither the image nor the spec says what to run: write `command`")]
    NoCommand,
    /// The kernel ends texts at NUL.
    #[error("{what} has a NUL byte, which no argument or variable can have")]
    Nul {
        /// Which text.
        what: String,
    },
    /// The image asks to be stopped in a way that doesn't exist.
    #[error("the image's stop signal {0:?} is no signal")]
    StopSignal(String),
}

/// Program and arguments. `command` replaces the image's entrypoint *and* its arguments.
pub(crate) fn arguments(
    spec: &ContainerSpec,
    entrypoint: &[String],
    command: &[String],
) -> Result<Vec<String>, ProcessError> {
    let program = spec.command.as_deref().unwrap_or(entrypoint);
    let arguments = match (&spec.args, &spec.command) {
        (Some(args), _) => args,
        (None, Some(_)) => &[][..],
        (None, None) => command,
    };
    let all: Vec<_> = program.iter().chain(arguments).cloned().collect();
    match all.iter().find(|argument| argument.contains('\0')) {
        Some(_) => Err(ProcessError::Nul { what: "the command".to_owned() }),
        None if all.first().is_none_or(String::is_empty) => Err(ProcessError::NoCommand),
        None => Ok(all),
    }
}

/// The environment as `NAME=VALUE`, sorted: defaults, the image's over them, the spec's over those.
pub(crate) fn environment(
    unit: &Unit,
    spec: &ContainerSpec,
    image: &[String],
    home: &str,
) -> Result<Vec<Vec<u8>>, ProcessError> {
    let defaults = [("PATH", PATH), ("HOME", home), ("HOSTNAME", unit.id.name.as_str())];
    let defaults = defaults.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let mut variables = BTreeMap::from(defaults);
    // What has no `=` is dropped: looking it up in our own environment would hand secrets of the host to the image.
    let of_image = image.iter().filter_map(|entry| entry.split_once('=')).filter(|(name, _)| !name.is_empty());
    variables.extend(of_image.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
    for (name, value) in &spec.env {
        variables.insert(name.clone(), value_of(unit, value));
    }
    let join = |(name, value): (String, Vec<u8>)| {
        let entry = [name.as_bytes(), b"=", &value].concat();
        if entry.contains(&0) { Err(ProcessError::Nul { what: format!("variable {name}") }) } else { Ok(entry) }
    };
    variables.into_iter().map(join).collect()
}

fn value_of(unit: &Unit, value: &EnvValue) -> Vec<u8> {
    let (data, key) = match value {
        EnvValue::Value { value } => return value.as_bytes().to_vec(),
        EnvValue::ConfigMap { config_map, key } => (unit.config_maps.get(config_map), key),
        EnvValue::Secret { secret, key } => (unit.secrets.get(secret), key),
    };
    // A unit holds every key that its spec names: it was resolved so.
    data.and_then(|data| data.get(key)).map(|data| data.0.to_vec()).unwrap_or_default()
}

/// Where the first process starts. Images may say it without the first slash.
pub(crate) fn working_dir(text: &str) -> Result<String, ProcessError> {
    match text {
        text if text.contains('\0') => Err(ProcessError::Nul { what: "the working directory".to_owned() }),
        text => Ok(format!("/{}", text.trim_start_matches('/'))),
    }
}

/// How the first process is asked to stop.
pub(crate) fn stop_signal(of_image: Option<&str>) -> Result<i32, ProcessError> {
    let Some(text) = of_image.filter(|text| !text.is_empty()) else { return Ok(libc::SIGTERM) };
    crate::signal::parse(text).ok_or_else(|| ProcessError::StopSignal(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn command_and_arguments_are_kubernetes() {
        // Of the image: entrypoint, arguments; of the spec: command, arguments.
        let cases = [
            ("entry", "arg", None, None, "entry arg"),
            ("entry", "arg", Some("cmd"), None, "cmd"),
            ("entry", "arg", None, Some("a b"), "entry a b"),
            ("entry", "arg", Some("cmd"), Some("a"), "cmd a"),
            ("", "arg", None, None, "arg"),
            ("entry", "arg", None, Some(""), "entry"),
        ];
        for (entrypoint, command, of_spec, args, all) in cases {
            let (of_spec, args) = (of_spec.map(words), args.map(words));
            let spec = ContainerSpec { command: of_spec, args, ..testing::container("x") };
            assert_eq!(arguments(&spec, &words(entrypoint), &words(command)).unwrap(), words(all));
        }
        assert_eq!(arguments(&testing::container("x"), &[], &[]), Err(ProcessError::NoCommand));
        let spec = ContainerSpec { command: Some(vec!["a\0b".to_owned()]), ..testing::container("x") };
        assert!(matches!(arguments(&spec, &[], &[]), Err(ProcessError::Nul { .. })));
    }

    #[test]
    fn the_environment_is_layered_and_takes_nothing_from_the_host() {
        let yaml = "
apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {name: web}
spec:
  image: x
  env: {LOG: {value: debug}, PASSWORD: {secret: db, key: password}, MODE: {configMap: web, key: mode}}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: hush}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {mode: fast}
";
        let (unit, spec) = testing::unit(yaml);
        let image = ["LOG=info", "CARGO_MANIFEST_DIR", "=odd", "EMPTY=", "PATH=/bin", "MULTI=a=b"].map(str::to_owned);
        let found = environment(&unit, &spec, &image, "/root").unwrap();
        let found: Vec<_> = found.into_iter().map(|entry| String::from_utf8(entry).unwrap()).collect();
        let expected = [
            "EMPTY=",
            "HOME=/root",
            "HOSTNAME=web",
            "LOG=debug",
            "MODE=fast",
            "MULTI=a=b",
            "PASSWORD=hush",
            "PATH=/bin",
        ];
        assert_eq!(found, expected);
        let image = ["A=\0".to_owned()];
        assert!(matches!(environment(&unit, &spec, &image, "/"), Err(ProcessError::Nul { .. })));
    }

    #[test]
    fn the_working_directory_is_absolute() {
        for (text, path) in [("", "/"), ("/", "/"), ("app", "/app"), ("/srv/web", "/srv/web"), ("//x", "/x")] {
            assert_eq!(working_dir(text).as_deref(), Ok(path));
        }
        assert!(working_dir("/a\0").is_err());
    }

    #[test]
    fn the_stop_signal_is_the_images() {
        assert_eq!(stop_signal(None), Ok(15));
        assert_eq!(stop_signal(Some("SIGQUIT")), Ok(3));
        assert!(stop_signal(Some("SIGX")).is_err());
    }
}
