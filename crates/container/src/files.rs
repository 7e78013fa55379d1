//! Files that an instance is given: of its network, of ConfigMaps and, in memory alone, of Secrets.
//!
//! ```text
//! DIR/network/{hosts,hostname,resolv.conf}    mounted one by one over /etc/…
//! DIR/config-maps/NAME/KEY                    a ConfigMap as a folder, mounted read-only
//! DIR/secrets/NAME/KEY                        the same of a Secret; DIR/secrets is a tmpfs
//! ```
//!
//! DIR is the instance's, which nobody but root can enter; what is mounted into the container can be read by all in there,
//! whatever user it runs as.

use crate::network;
use abide_host::{
    fs::{self, Dir, Resolve, Sync},
    mount,
};
use abide_reconcile::{
    Name, Unit,
    spec::{Data, kind::ContainerSpec},
};
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// Mounted over those of the same name in `/etc`.
pub(crate) const NETWORK_FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

const NETWORK: &str = "network";
const CONFIG_MAPS: &str = "config-maps";
const SECRETS: &str = "secrets";
/// What the file system in memory needs besides the data: a page for each file, at most.
const PAGE_BYTES: u64 = 4096;
/// More than any list of resolvers has.
const RESOLVERS_BYTES_MAX: u64 = 64 << 10;

/// Why the files of an instance could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// Of a file or folder.
    #[error("cannot make the files of the instance")]
    File(#[from] fs::Error),
    /// Of the file system for secrets.
    #[error("cannot keep the instance's secrets in memory")]
    Memory(#[from] mount::Error),
}

/// Whose network a container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Its own, with this address if there is a bridge.
    Own(Option<Ipv4Addr>),
    /// The host's.
    Host,
}

/// Makes the files in an instance's directory.
pub(crate) fn make(dir: &Path, unit: &Unit, spec: &ContainerSpec, network: Network) -> Result<(), FilesError> {
    let dir = Dir::open(dir)?;
    let files = dir.make_dirs(NETWORK, 0o700)?;
    let name = unit.id.name.as_str();
    let host = Dir::open(Path::new("/"))?;
    let resolvers = |path: &str| {
        let bytes = host.read(path, Resolve::InRoot, RESOLVERS_BYTES_MAX).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (address, resolvers) = match network {
        Network::Host => (None, resolvers("etc/resolv.conf")),
        Network::Own(address) => {
            let behind = resolvers("run/systemd/resolve/resolv.conf");
            (address, network::resolvers(&resolvers("etc/resolv.conf"), Some(behind.as_str())))
        }
    };
    let texts = [network::hosts(name, address), format!("{name}\n"), resolvers];
    for (file, text) in NETWORK_FILES.iter().zip(texts) {
        files.write(file, text.as_bytes(), 0o644, Sync::ThisBoot)?;
    }
    // What is for the environment alone needs no files.
    let config_maps = mounted(&unit.config_maps, spec.volumes.iter().filter_map(|mount| mount.config_map.as_ref()));
    write_all(&dir.make_dirs(CONFIG_MAPS, 0o700)?, &config_maps)?;
    let of_unit = mounted(&unit.secrets, spec.volumes.iter().filter_map(|mount| mount.secret.as_ref()));
    if of_unit.is_empty() {
        return Ok(());
    }
    let secrets = dir.make_dirs(SECRETS, 0o700)?;
    let data = of_unit.values().copied().flat_map(BTreeMap::values);
    let bytes: u64 = data.map(|data| (data.0.len() as u64).next_multiple_of(PAGE_BYTES) + PAGE_BYTES).sum();
    mount::tmpfs(secrets.path(), bytes + PAGE_BYTES, 0o700)?;
    // Opened again: the directory from before is the one below the mount.
    write_all(&dir.open_dir(SECRETS, Resolve::Beneath)?, &of_unit)
}

/// What has names of ConfigMaps, or of Secrets.
type ByName<'a> = BTreeMap<&'a Name, &'a BTreeMap<String, Data>>;

/// Those of a unit that it mounts.
fn mounted<'a>(all: &'a BTreeMap<Name, BTreeMap<String, Data>>, names: impl Iterator<Item = &'a Name>) -> ByName<'a> {
    names.filter_map(|name| all.get_key_value(name)).collect()
}

/// A folder for each, with a file for each key.
fn write_all(dir: &Dir, all: &ByName<'_>) -> Result<(), FilesError> {
    for (name, data) in all {
        let folder = dir.make_dirs(name.as_str(), 0o755)?;
        // Whatever the agent's umask is: who runs in the container must get in.
        dir.set_mode(name.as_str(), 0o755)?;
        for (key, value) in *data {
            folder.write(key, &value.0, 0o444, Sync::ThisBoot)?;
        }
    }
    Ok(())
}

/// Takes them away again.
pub(crate) fn remove(dir: &Path) -> Result<(), FilesError> {
    mount::unmount_all(&dir.join(SECRETS))?;
    let dir = match Dir::open(dir) {
        Err(error) if error.is_missing() => return Ok(()),
        dir => dir?,
    };
    [NETWORK, CONFIG_MAPS, SECRETS].into_iter().try_for_each(|name| Ok(dir.remove_all(name)?))
}

/// Where a file of the network is.
pub(crate) fn of_network(dir: &Path, file: &str) -> PathBuf {
    dir.join(NETWORK).join(file)
}

/// Where the folder of a ConfigMap is.
pub(crate) fn of_config_map(dir: &Path, name: &Name) -> PathBuf {
    dir.join(CONFIG_MAPS).join(name.as_str())
}

/// Where the folder of a Secret is.
pub(crate) fn of_secret(dir: &Path, name: &Name) -> PathBuf {
    dir.join(SECRETS).join(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::os::unix::fs::PermissionsExt as _;

    const YAML: &str = "
apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {name: web}
spec:
  image: x
  volumes: [{configMap: settings, mountPath: /etc/web}, {secret: db, mountPath: /run/db}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: fast, empty: \"\"}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: hush}
";

    #[test]
    fn secrets_are_in_memory_alone_and_all_goes_again() {
        let folder = tempfile::tempdir().unwrap();
        let (unit, spec) = testing::unit(YAML);
        make(folder.path(), &unit, &spec, Network::Own(Some(Ipv4Addr::new(10, 0, 0, 7)))).unwrap();
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(of_config_map(folder.path(), &"settings".parse().unwrap()).join("mode")), "fast");
        let secret = of_secret(folder.path(), &"db".parse().unwrap());
        assert_eq!(read(secret.join("password")), "hush");
        assert_eq!(secret.join("password").metadata().unwrap().permissions().mode() & 0o7777, 0o444);
        assert_eq!(mount::below(folder.path()).unwrap(), [folder.path().join(SECRETS)]);
        assert!(read(of_network(folder.path(), "hosts")).contains("10.0.0.7\tweb"));
        for _ in 0..2 {
            remove(folder.path()).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
