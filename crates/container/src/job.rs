//! Everything about a container, put together for its keeper. Pure: all that had to be looked up or made is there.

use crate::{
    capability::{Capabilities, UnknownCapability},
    files::Network,
    process::{self, ProcessError},
    seccomp,
    user::Credentials,
};
use abide_host::keeper::{Identity, Job, OpenFiles, Program, Root};
use abide_image::Config;
use abide_reconcile::{Name, Unit, spec::kind::ContainerSpec};

/// What systemd gives its services; Docker passes on the same.
const OPEN_FILES: OpenFiles = OpenFiles { soft: 1024, hard: 512 << 10 };

/// In a network of its own, a container is asked no rights for low ports and for ping.
const SYSCTLS: [&str; 2] = ["net/ipv4/ip_unprivileged_port_start=0", "net/ipv4/ping_group_range=0 2147483647"];

const NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWCGROUP;

/// Why image and spec make no process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Its program.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its rights.
    #[error(transparent)]
    Capability(#[from] UnknownCapability),
}

/// The first process of a container.
pub(crate) struct First {
    pub(crate) program: Program,
    identity: Identity,
    stop_signal: i32,
}

/// What image and spec come to.
pub(crate) fn first(
    unit: &Unit,
    spec: &ContainerSpec,
    config: &Config,
    credentials: &Credentials,
) -> Result<First, JobError> {
    let security = &spec.security;
    let capabilities = Capabilities::new(&security.capabilities_add, &security.capabilities_drop)?;
    let arguments = process::arguments(spec, &config.entrypoint, &config.command)?;
    let program = Program {
        args: arguments.into_iter().map(String::into_bytes).collect::<Vec<_>>().into(),
        env: process::environment(unit, spec, &config.env, &credentials.home)?.into(),
        working_dir: process::working_dir(spec.working_dir.as_deref().unwrap_or(&config.working_dir))?,
    };
    let identity = Identity {
        uid: credentials.uid,
        gid: credentials.gid,
        groups: credentials.groups.clone().into(),
        capabilities: capabilities.0,
        no_new_privileges: !security.allow_privilege_escalation,
        seccomp: vec![seccomp::program(|name| capabilities.has(name))].into(),
    };
    let stop_signal = process::stop_signal(config.stop_signal.as_deref())?;
    Ok(First { program, identity, stop_signal })
}

/// The job of a container, but for control groups, log and directory, which are the instance's.
pub(crate) fn job(hostname: &Name, first: First, network: Network, root: Root) -> Job {
    let First { program, identity, stop_signal } = first;
    let (own_network, sysctls) = match network {
        Network::Host => (0, Vec::new()),
        Network::Own(_) => (libc::CLONE_NEWNET, SYSCTLS.map(str::to_owned).to_vec()),
    };
    Job {
        program,
        identity,
        root: Some(root),
        namespaces: u64::from((NAMESPACES | own_network).unsigned_abs()),
        hostname: hostname.to_string(),
        // The agent may be protected from the kernel when memory is short; what it runs isn't.
        oom_score_adj: 0,
        open_files: OPEN_FILES,
        sysctls: sysctls.into(),
        stop_signal,
        ..Job::default()
    }
}
