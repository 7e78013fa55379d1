//! Arguments about becoming a machine of a fleet.

use super::Output;
use abide_spec::{Name, kind::Grants};
use clap::ValueHint;
use std::{path::PathBuf, str::FromStr};

/// Become a machine of a fleet, and run what its repository says
///
/// Makes this machine's keys, gets it a certificate for its name by a token that `abide hub token create` printed, and has
/// it follow the hub from then on. The token names the hub's root too, so that nobody can answer in its place. Keys never
/// leave the machine. After a crash or without an answer, the same command goes on with the same keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Enroll {
    /// The hub, as https://hub.example.org:7443
    #[arg(required_unless_present_any = ["renew", "recipient"])]
    pub(crate) url: Option<String>,
    /// What `abide hub token create` printed
    #[arg(long, env = "ABIDE_TOKEN", hide_env_values = true, required_unless_present_any = ["renew", "recipient"])]
    pub(crate) token: Option<String>,
    /// How the machine is called in the fleet, by which the repository says what it runs; its host name unless said
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// Something that the repository may ask for: hostNetwork, privileged, hostPath=DIR, registry=HOST or insecureRegistry=HOST
    #[arg(long = "grant", value_name = "GRANT", conflicts_with = "source")]
    pub(crate) grants: Vec<Grant>,
    /// A file of kind Source that follows the hub: what the repository may ask for
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) source: Option<PathBuf>,
    /// A fleet.yaml whose signers must have signed the first commit; unless said, those that it names itself
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) signers: Option<PathBuf>,
    /// Though it is enrolled: with new keys, as after it was revoked, or where its disk was copied
    #[arg(long)]
    pub(crate) again: bool,
    /// Get a new certificate now, which happens by itself in time
    #[arg(long, conflicts_with_all = ["url", "name", "grants", "source", "signers", "again"])]
    pub(crate) renew: bool,
    /// Say what values for this machine are encrypted to, `age1…`, as it knows itself and the hub may lie about
    #[arg(long, conflicts_with_all = ["url", "name", "grants", "source", "signers", "again", "renew"])]
    pub(crate) recipient: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Something that documents may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    HostNetwork,
    Privileged,
    HostPath(String),
    Registry(String),
    InsecureRegistry(String),
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, value) = text.split_once('=').map_or((text, None), |(word, value)| (word, Some(value)));
        match (word, value) {
            ("hostNetwork", None) => Ok(Self::HostNetwork),
            ("privileged", None) => Ok(Self::Privileged),
            ("hostPath", Some(path)) if path.starts_with('/') => Ok(Self::HostPath(path.to_owned())),
            ("registry", Some(host)) if !host.is_empty() => Ok(Self::Registry(host.to_owned())),
            ("insecureRegistry", Some(host)) if !host.is_empty() => Ok(Self::InsecureRegistry(host.to_owned())),
            _ => Err("write hostNetwork, privileged, hostPath=/DIR, registry=HOST or insecureRegistry=HOST".to_owned()),
        }
    }
}

/// All of them.
pub(crate) fn all(grants: &[Grant]) -> Grants {
    let mut all = Grants::default();
    for grant in grants.iter().cloned() {
        match grant {
            Grant::HostNetwork => all.host_network = true,
            Grant::Privileged => all.privileged = true,
            Grant::HostPath(path) => all.host_paths.push(path),
            Grant::Registry(host) => all.registries.push(host),
            Grant::InsecureRegistry(host) => all.insecure_registries.push(host),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_add_up() {
        let texts =
            ["hostNetwork", "hostPath=/srv/a", "hostPath=/srv/b", "registry=r", "insecureRegistry=127.0.0.1:5000"];
        let grants: Vec<Grant> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let Grants { host_paths, host_network, privileged, registries, insecure_registries } = all(&grants);
        assert_eq!((host_network, privileged), (true, false));
        assert_eq!(
            (host_paths, registries, insecure_registries),
            (vec!["/srv/a".to_owned(), "/srv/b".to_owned()], vec!["r".to_owned()], vec!["127.0.0.1:5000".to_owned()])
        );
        for bad in ["", "host", "hostNetwork=yes", "hostPath=srv", "registry", "registry="] {
            assert!(bad.parse::<Grant>().is_err(), "{bad}");
        }
    }
}
