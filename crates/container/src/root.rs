//! What a container sees: its layers, what is mounted over them, and what it sees nothing of or can't write.

use crate::{
    files::{self, NETWORK_FILES},
    layer::Layer,
    user::Credentials,
};
use abide_host::{
    fs::Dir,
    keeper::{Base, Mount, MountSource, Root, Upper},
};
use abide_reconcile::{
    Name,
    spec::kind::{self, ContainerSpec},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// As much as Docker gives.
const SHARED_MEMORY_BYTES: u64 = 64 << 20;

/// What shows the host's hardware and kernel, or lets one meddle with them (the list of moby and runc).
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Processors, by the names of their folders.
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// What a root is made of.
pub(crate) struct Parts<'a> {
    pub(crate) spec: &'a ContainerSpec,
    /// The instance's directory.
    pub(crate) dir: &'a Path,
    /// Of the image, the top one first.
    pub(crate) layers: &'a [PathBuf],
    pub(crate) layer: &'a Layer,
    pub(crate) credentials: &'a Credentials,
    /// Where the data of each volume is.
    pub(crate) volumes: &'a BTreeMap<Name, PathBuf>,
    /// [`processors`].
    pub(crate) processors: &'a [String],
}

/// The root of a container.
pub(crate) fn root(parts: &Parts<'_>) -> Root {
    let Parts { spec, dir, layers, layer, processors, .. } = parts;
    let upper = Upper { upper: text(&layer.upper), work: text(&layer.work) };
    let lowers: Vec<_> = layers.iter().map(|layer| text(layer)).collect();
    let mut mounts = of_kernel();
    mounts.extend(NETWORK_FILES.map(|file| {
        let source = MountSource::Bind(text(&files::of_network(dir, file)));
        // What is written there would be in memory of the host, without a limit.
        Mount { source, target: format!("/etc/{file}"), read_only: true, no_exec: true }
    }));
    let mut of_spec: Vec<_> = spec.volumes.iter().filter_map(|mount| of_spec(parts, mount)).collect();
    // What is further down comes later, or it would be hidden. What the spec says goes over what is ours.
    of_spec.sort_by_key(|mount| mount.target.matches('/').count());
    mounts.extend(of_spec);
    let heat = processors.iter().map(|name| format!("{PROCESSORS}/{name}/thermal_throttle"));
    Root {
        base: Base { at: text(&dir.join(MOUNT_POINT)), lowers: lowers.into(), upper: Some(upper) },
        mounts: mounts.into(),
        masked: MASKED.iter().map(ToString::to_string).chain(heat).collect::<Vec<_>>().into(),
        read_only: READ_ONLY.map(str::to_owned).to_vec().into(),
        is_read_only: spec.read_only_root,
    }
}

/// Of an instance's directory, what the keeper mounts its root on.
pub(crate) const MOUNT_POINT: &str = "root";

fn of_kernel() -> Vec<Mount> {
    let mounts = [
        (MountSource::Proc, "/proc"),
        (MountSource::Sysfs, "/sys"),
        (MountSource::Cgroup, "/sys/fs/cgroup"),
        (MountSource::Devices { shm_size: SHARED_MEMORY_BYTES }, "/dev"),
        (MountSource::Mqueue, "/dev/mqueue"),
    ];
    // They are restricted as each of them has to be by who mounts them.
    mounts.map(|(source, target)| Mount { source, target: target.to_owned(), read_only: false, no_exec: false }).into()
}

/// `None` for a volume without data, which nobody is launched with.
fn of_spec(parts: &Parts<'_>, mount: &kind::Mount) -> Option<Mount> {
    let Parts { dir, credentials, volumes, .. } = parts;
    let (source, is_data) = match mount.source()? {
        kind::MountSource::Volume(name) => (MountSource::Bind(text(volumes.get(name)?)), false),
        kind::MountSource::HostPath(path) => (MountSource::Bind(path.to_owned()), false),
        kind::MountSource::ConfigMap(name) => (MountSource::Bind(text(&files::of_config_map(dir, name))), true),
        kind::MountSource::Secret(name) => (MountSource::Bind(text(&files::of_secret(dir, name))), true),
        kind::MountSource::Tmpfs(size) => {
            let Credentials { uid, gid, .. } = **credentials;
            // As /tmp is, but the container's user's own, who may want to change that.
            (MountSource::Tmpfs { size: size.0, mode: 0o1777, uid, gid, files: Vec::new().into() }, false)
        }
    };
    let target = mount.mount_path.trim_end_matches('/').to_owned();
    Some(Mount { source, target, read_only: is_data || mount.read_only, no_exec: is_data })
}

/// The names of this machine's processors, as `cpu0`: how hot each is tells of what others do
/// (GHSA-6fw5-f8r9-fgfm). None where the kernel doesn't say.
pub(crate) fn processors() -> Vec<String> {
    let names = Dir::open(Path::new(PROCESSORS)).and_then(|dir| dir.names()).unwrap_or_default();
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let is_one = |name: &String| {
        name.strip_prefix("cpu").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    names.filter(is_one).collect()
}

/// A path below the agent's root, which is UTF-8 (checked when the runtime was made).
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn what_is_further_down_is_mounted_later() {
        let spec = ContainerSpec {
            volumes: serde_json::from_value(serde_json::json!([
                { "tmpfs": "1Mi", "mountPath": "/a/b/" },
                { "volume": "data", "mountPath": "/a", "readOnly": true },
                { "configMap": "web", "mountPath": "/etc/web" },
                { "volume": "gone", "mountPath": "/b" },
                { "hostPath": "/srv", "mountPath": "/etc" },
            ]))
            .unwrap(),
            ..testing::container("x")
        };
        let layer = Layer { upper: "/u".into(), work: "/w".into() };
        let credentials = Credentials { uid: 7, gid: 8, groups: vec![8], home: "/".to_owned() };
        let parts = Parts {
            spec: &spec,
            dir: Path::new("/run/x"),
            layers: &["/l/2".into(), "/l/1".into()],
            layer: &layer,
            credentials: &credentials,
            volumes: &[("data".parse().unwrap(), "/v/data".into())].into(),
            processors: &["cpu3".to_owned()],
        };
        let root = root(&parts);
        let shown = root.mounts.0.iter().skip(5).map(|mount| {
            let source = match &mount.source {
                MountSource::Bind(path) => path.clone(),
                MountSource::Tmpfs { uid, gid, size, .. } => format!("tmpfs {size} {uid}:{gid}"),
                other => format!("{other:?}"),
            };
            let sign = |is, text| if is { text } else { "" };
            format!("{source} {}{}{}", mount.target, sign(mount.read_only, " ro"), sign(mount.no_exec, " noexec"))
        });
        let expected = [
            "/run/x/network/hosts /etc/hosts ro noexec",
            "/run/x/network/hostname /etc/hostname ro noexec",
            "/run/x/network/resolv.conf /etc/resolv.conf ro noexec",
            "/v/data /a ro",
            "/srv /etc",
            "tmpfs 1048576 7:8 /a/b",
            "/run/x/config-maps/web /etc/web ro noexec",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert_eq!(root.base.lowers.0, ["/l/2", "/l/1"]);
        assert!(root.masked.0.contains(&"/sys/devices/system/cpu/cpu3/thermal_throttle".to_owned()));
    }
}
