//! What the environment says.

use std::{path::PathBuf, str::FromStr, time::Duration};

/// When it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    Never,
    After(Duration),
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) greeting: String,
    pub(crate) port: u16,
    pub(crate) exit: Option<u8>,
    pub(crate) delay: Duration,
    pub(crate) ready: Ready,
    pub(crate) data: Option<PathBuf>,
    /// All of it, sorted.
    pub(crate) all: String,
}

impl Settings {
    pub(crate) fn of(variables: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let mut settings = Self {
            greeting: "hello".to_owned(),
            port: 8080,
            exit: None,
            delay: Duration::ZERO,
            ready: Ready::After(Duration::ZERO),
            data: None,
            all: String::new(),
        };
        let mut all = Vec::new();
        for (name, value) in variables {
            match name.as_str() {
                "GREETING" => settings.greeting.clone_from(&value),
                "PORT" => settings.port = number(&name, &value)?,
                "EXIT" => settings.exit = Some(number(&name, &value)?),
                "DELAY_MS" => settings.delay = Duration::from_millis(number(&name, &value)?),
                "READY" if value == "never" => settings.ready = Ready::Never,
                "READY" => settings.ready = Ready::After(Duration::from_millis(number(&name, &value)?)),
                "DATA" => settings.data = Some(PathBuf::from(&value)),
                _ => (),
            }
            all.push(format!("{name}={value}\n"));
        }
        all.sort();
        settings.all = all.concat();
        Ok(settings)
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} is {value:?}, which is no such number"))
}
