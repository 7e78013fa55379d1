//! What an image says about how it is run.

use crate::manifest::{DocumentError, Platform, digest_text};
use abide_spec::Digest;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// What an image says about its first process. All of it is the image's author's word, to be checked where it is used.
///
/// Nothing else of a config has any effect, its labels and annotations least of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// The program and its first arguments.
    #[serde(default, deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// More arguments, or the program where there is no entrypoint.
    #[serde(default, deserialize_with = "or_default", rename = "Cmd")]
    pub command: Vec<String>,
    /// `NAME=VALUE`, or anything else.
    #[serde(default, deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// `USER[:GROUP]` by name or number; empty for root.
    #[serde(default, deserialize_with = "or_default")]
    pub user: String,
    /// Empty for `/`.
    #[serde(default, deserialize_with = "or_default")]
    pub working_dir: String,
    /// By name or number.
    #[serde(default, deserialize_with = "or_default")]
    pub stop_signal: Option<String>,
    /// Paths that the author wants on a volume.
    #[serde(default, deserialize_with = "keys")]
    pub volumes: Vec<String>,
}

/// A config, and which layers it is for: the digests of their plain archives, the lowest first.
#[derive(Debug)]
pub(crate) struct ImageConfig {
    pub(crate) config: Config,
    pub(crate) layers: Vec<Digest>,
}

impl ImageConfig {
    /// Reads a config, if it is for this machine.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(default)]
            os: String,
            #[serde(default)]
            architecture: String,
            #[serde(default, deserialize_with = "or_default")]
            config: Config,
            rootfs: RootFs,
        }
        #[derive(Deserialize)]
        struct RootFs {
            r#type: String,
            #[serde(default, deserialize_with = "or_default")]
            diff_ids: Vec<DiffId>,
        }
        #[derive(Deserialize)]
        struct DiffId(#[serde(with = "digest_text")] Digest);

        let malformed = |why| DocumentError::Malformed { what: "config", why };
        let document: Document = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if document.rootfs.r#type != "layers" {
            return Err(malformed("its root file system isn't made of layers".to_owned()));
        }
        let (own, found) = (
            Platform::own(),
            Platform { os: document.os, architecture: document.architecture, variant: String::new() },
        );
        // Images from scratch say nothing, sometimes.
        let is_other = |own: &str, found: &str| !found.is_empty() && own != found;
        if is_other(&own.os, &found.os) || is_other(&own.architecture, &found.architecture) {
            return Err(DocumentError::Platform { found: found.text(), wanted: own.text() });
        }
        let layers = document.rootfs.diff_ids.into_iter().map(|id| id.0).collect();
        Ok(Self { config: document.config, layers })
    }

    /// What identifies each layer together with those below it, the lowest first (OCI image spec, *config.md*, "Layer
    /// ChainID"): the same archive over other layers can be another directory.
    pub(crate) fn chain_ids(&self) -> Vec<Digest> {
        let mut below: Option<Digest> = None;
        let next = |layer: &Digest| {
            let chain = below.map_or(*layer, |below| Digest::of(format!("sha256:{below} sha256:{layer}").as_bytes()));
            below = Some(chain);
            chain
        };
        self.layers.iter().map(next).collect()
    }
}

/// Go writes `null` for what is empty.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let map: Option<BTreeMap<String, serde::de::IgnoredAny>> = Option::deserialize(from)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_taken() {
        let diff = "ab".repeat(32);
        let text = format!(
            r#"{{"os":"linux","config":{{"Entrypoint":["/a"],"Cmd":null,"Env":["A=1","B"],"User":"7:8","WorkingDir":"/w",
                "StopSignal":"SIGQUIT","Volumes":{{"/v":{{}},"/w":{{}}}},"Labels":{{"x":"y"}},"Healthcheck":{{"Test":[]}}}},
                "rootfs":{{"type":"layers","diff_ids":["sha256:{diff}"]}},"history":[]}}"#
        );
        let found = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(found.layers, [diff.parse().unwrap()]);
        let text = |text: &str| text.to_owned();
        let wanted = Config {
            entrypoint: vec![text("/a")],
            command: vec![],
            env: vec![text("A=1"), text("B")],
            user: text("7:8"),
            working_dir: text("/w"),
            stop_signal: Some(text("SIGQUIT")),
            volumes: vec![text("/v"), text("/w")],
        };
        assert_eq!(found.config, wanted);
        let none = ImageConfig::parse(br#"{"config":null,"rootfs":{"type":"layers","diff_ids":null}}"#).unwrap();
        assert_eq!(none.config, Config::default());
    }

    #[test]
    fn another_machines_is_refused() {
        let windows = br#"{"os":"windows","architecture":"amd64","rootfs":{"type":"layers"}}"#;
        assert!(matches!(ImageConfig::parse(windows), Err(DocumentError::Platform { .. })));
        for broken in
            ["", "[]", r#"{"rootfs":{"type":"layers","diff_ids":["sha256:x"]}}"#, r#"{"rootfs":{"type":"x"}}"#]
        {
            let found = ImageConfig::parse(broken.as_bytes());
            assert!(matches!(found, Err(DocumentError::Malformed { .. })), "{broken}");
        }
    }

    #[test]
    fn chains_are_those_of_the_specification() {
        let layers = [[1; 32], [2; 32], [3; 32]].map(Digest).to_vec();
        let chains = ImageConfig { config: Config::default(), layers: layers.clone() }.chain_ids();
        assert_eq!(chains[0], layers[0]);
        assert_eq!(chains[1], Digest::of(format!("sha256:{} sha256:{}", layers[0], layers[1]).as_bytes()));
        assert_eq!(chains[2], Digest::of(format!("sha256:{} sha256:{}", chains[1], layers[2]).as_bytes()));
    }
}
