//! A hub behind a cable, and a machine of its fleet on this side of it. All that crosses the cable is counted at the hub's end,
//! by the kernel.

use crate::{
    Problem,
    process::Ended,
    world::{self, Container},
};
use abide_lab::{END, HostPort, Neighbour, Rig, host_port, oci, run};
use serde_json::Value;
use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    ops::Sub,
    process::{Command, Output},
};

/// One wave, which is judged at once: nothing is to happen later.
const TREE: &str = "apiVersion: abide.dev/v1alpha1
kind: Fleet
metadata: {name: shops}
spec:
  id: ID
  machines:
  - {names: [\"*\"], paths: [machines, images]}
---
apiVersion: abide.dev/v1alpha1
kind: Rollout
metadata: {name: all}
spec: {soak: 0s}
";

/// In both directions.
const COUNTERS: &str = "
table inet bench {
  counter of_ip {}
  chain in { type filter hook prerouting priority raw; iifname END counter name of_ip; }
  chain out { type filter hook postrouting priority srcnat + 100; oifname END counter name of_ip; }
}
table arp bench {
  counter of_arp {}
  chain in { type filter hook input priority filter; iifname END counter name of_arp; }
  chain out { type filter hook output priority filter; oifname END counter name of_arp; }
}
";

/// A hub, and a machine that has come to it.
pub(crate) struct Outpost {
    process: Ended,
    machine: Rig,
    hub: Rig,
    neighbour: Neighbour,
    metrics: SocketAddr,
    commit: String,
    _port: HostPort,
}

/// What has crossed the cable so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crossed {
    /// Bytes of IP packets, with their headers.
    pub(crate) ip_bytes: u64,
    /// How many these were.
    pub(crate) ip_packets: u64,
    /// ARP's packets.
    pub(crate) arp_packets: u64,
    /// Bytes of everything, with Ethernet's headers.
    pub(crate) bytes: u64,
    /// How many frames these were.
    pub(crate) frames: u64,
}

impl Sub for Crossed {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            ip_bytes: self.ip_bytes - before.ip_bytes,
            ip_packets: self.ip_packets - before.ip_packets,
            arp_packets: self.arp_packets - before.arp_packets,
            bytes: self.bytes - before.bytes,
            frames: self.frames - before.frames,
        }
    }
}

impl Outpost {
    /// With a machine that was enrolled a moment ago, and is to run a container with a probe.
    pub(crate) fn begin() -> Result<Self, Problem> {
        let (hub, mut machine, neighbour, port) = (world::rig()?, world::rig()?, Neighbour::new(), host_port());
        let address = neighbour.address();
        let id = said(&hub.must(&["hub", "init", "--name", &address.to_string(), "-o", "json"]), "fleetId")?;
        let repository = hub.plain("fleet");
        oci::hello().write_layout(&repository.path("images/hello"), "hello");
        let container = Container { name: "web".to_owned(), has_readiness: true, ..Container::default() };
        repository.write("machines/web.yaml", &container.document());
        repository.write("fleet.yaml", &TREE.replace("ID", &id));
        let commit = repository.land("the fleet");
        neighbour.within(|| run("nft", &[&COUNTERS.replace("END", END)]));
        let listen = SocketAddr::from((address, port.number));
        // It has all ports to itself there.
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number));
        let mut serve = hub.command(&["hub", "serve", "--repository"]);
        serve.arg(&repository.bare).args(["--listen", &listen.to_string(), "--metrics", &metrics.to_string()]);
        let log = File::create(hub.path("hub.log"))?;
        serve.stdout(log.try_clone()?).stderr(log);
        let process = Ended(neighbour.within(|| serve.spawn())?);
        hub.until("the hub answers", || (hub.abide(&["hub", "machine", "list"]).code == 0).then_some(()));
        let token = said(&hub.must(&["hub", "token", "create", "-o", "json"]), "token")?;
        machine.must(&["enroll", &format!("https://{listen}"), "--token", &token, "--name", "till-1"]);
        machine.start();
        Ok(Self { process, machine, hub, neighbour, metrics, commit, _port: port })
    }

    /// Waits until the machine is as the repository says.
    pub(crate) fn until_settled(&self) {
        self.machine.in_force("fleet", &self.commit);
    }

    /// Some of the hub's own numbers. Asking for them crosses nothing.
    pub(crate) fn metrics<const N: usize>(&self, names: [&str; N]) -> Result<[u64; N], Problem> {
        let url = format!("http://{}/metrics", self.metrics);
        let ask = || ureq::get(url).call()?.body_mut().read_to_string();
        let text = self.neighbour.within(ask)?;
        let mut values = [0; N];
        for (value, name) in values.iter_mut().zip(names) {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            *value = line.ok_or_else(|| format!("the hub doesn't tell {name}"))?.parse()?;
        }
        Ok(values)
    }

    /// What has crossed so far.
    pub(crate) fn crossed(&self) -> Result<Crossed, Problem> {
        let read = |program: &str, words: &str| -> Result<Value, Problem> {
            let mut command = Command::new(program);
            command.args(words.split(' '));
            let Output { status, stdout, stderr } = self.neighbour.within(|| command.output())?;
            if !status.success() {
                return Err(format!("{command:?}: {}", String::from_utf8_lossy(&stderr)).into());
            }
            Ok(serde_json::from_slice(&stdout)?)
        };
        let (rules, link) = (read("nft", "-j list counters")?, read("ip", &format!("-j -s link show {END}"))?);
        let number = |value: &Value| value.as_u64().ok_or("the kernel's counters aren't as they were");
        let counter = |name: &str, what: &str| {
            let all = rules["nftables"].as_array().into_iter().flatten().map(|entry| &entry["counter"]);
            all.into_iter().find(|counter| counter["name"] == name).map_or(Ok(0), |counter| number(&counter[what]))
        };
        let both = |what: &str| Ok(number(&link[0]["stats64"]["rx"][what])? + number(&link[0]["stats64"]["tx"][what])?);
        let sums: [Result<u64, &str>; 2] = [both("bytes"), both("packets")];
        let [bytes, frames] = sums;
        Ok(Crossed {
            ip_bytes: counter("of_ip", "bytes")?,
            ip_packets: counter("of_ip", "packets")?,
            arp_packets: counter("of_arp", "packets")?,
            bytes: bytes?,
            frames: frames?,
        })
    }

    /// Nothing is left of it.
    pub(crate) fn end(self) {
        let Self { process, machine, hub, .. } = self;
        let roots = [machine.root(), hub.root()];
        machine.end();
        drop((process, hub));
        roots.iter().for_each(world::forget);
    }
}

/// A text of what a command said.
fn said(json: &str, name: &str) -> Result<String, Problem> {
    let said: Value = serde_json::from_str(json)?;
    Ok(said[name].as_str().ok_or_else(|| format!("there is no {name} in {said}"))?.to_owned())
}
