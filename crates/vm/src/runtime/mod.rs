//! The runtime behind instances of kind VirtualMachine: what their VMM is told, and how it is asked to end.
//!
//! ```text
//!  prepare   /dev/kvm is there, the boot files are, and a machine is made of them and forgotten again
//!  launch    vm.json in the instance's directory; the keeper executes `abide vmm DIRECTORY`, descriptor 3 is the tap
//!  stop      the power button, over vm.sock
//! ```

mod told;

use crate::{
    machine::{self, BuildError, KernelError},
    vmm::{self, CONFIG, CONSOLE_SOCKET, CONTROL_SOCKET, Order},
};
use abide_host::{
    cgroup::{Device, Limits},
    fs::{Dir, Sync},
};
use abide_instance::{Launch, Link, Place, Runtime, VolumeData, Volumes, fault::again};
use abide_reconcile::{
    Attend, Fault, Kind, Unit, UnitSpec,
    spec::kind::{BootFile, VirtualMachineSpec},
    with_causes,
};
use kvm_ioctls::Kvm;
use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use told::Files;

const KVM: &str = "/dev/kvm";

/// Virtual machines of one root.
#[derive(Debug)]
pub struct VirtualMachines {
    volumes: Arc<Volumes>,
    /// The repositories' files, each by the digest that is its name.
    files: PathBuf,
    /// What a keeper executes: `PROGRAM vmm DIRECTORY`.
    program: PathBuf,
    kvm: PathBuf,
}

impl VirtualMachines {
    /// Those whose disks are these volumes, whose boot files are in this store, and whose VMM is this program.
    pub fn new(volumes: Arc<Volumes>, files: &Path, program: &Path) -> Self {
        Self { volumes, files: files.to_owned(), program: program.to_owned(), kvm: KVM.into() }
    }

    fn boot_file(&self, unit: &Unit, file: &BootFile) -> Result<PathBuf, Fault> {
        let stored = |written: &String| unit.files.get(written).map(|file| self.files.join(file.digest.to_string()));
        let path = file.file.as_ref().and_then(stored).or_else(|| file.host_path.as_ref().map(PathBuf::from));
        // A spec that was checked says one of both, and what the repository has is resolved with it.
        path.ok_or_else(|| Fault::Never("a boot file is neither of the repository nor of the host".into()))
    }

    fn files(&self, unit: &Unit, spec: &VirtualMachineSpec, disks: Vec<PathBuf>) -> Result<Files, Fault> {
        Ok(Files {
            kernel: self.boot_file(unit, &spec.boot.kernel)?,
            initrd: spec.boot.initrd.as_ref().map(|file| self.boot_file(unit, file)).transpose()?,
            disks,
        })
    }

    fn disks(&self, unit: &Unit, spec: &VirtualMachineSpec) -> Result<Vec<PathBuf>, Fault> {
        let path = |name| match self.volumes.data(&unit.id.scope, name).map_err(again)? {
            Some(VolumeData::Disk(path)) => Ok(path),
            Some(VolumeData::Directory(_)) => Err(Fault::Never(
                format!("Volume/{name} is a directory, which is no disk: make it `form: Disk`").into(),
            )),
            None => Err(Fault::Again(format!("Volume/{name} is not there").into())),
        };
        spec.disks.iter().map(|disk| path(&disk.volume)).collect()
    }
}

impl Runtime for VirtualMachines {
    fn kind(&self) -> Kind {
        Kind::VirtualMachine
    }

    /// Disks are left to the launch: a volume may be made at the same time.
    fn prepare(&self, unit: &Unit, _: &dyn Attend) -> Result<(), Fault> {
        let spec = machine(unit)?;
        if told::has_too_many_disks(spec) {
            let (count, max) = (spec.disks.len(), machine::DISKS_MAX);
            return Err(Fault::Never(format!("{count} disks are more than a machine can have: {max}").into()));
        }
        let kvm = open_kvm(&self.kvm)?;
        let mut config = told::config(spec, self.files(unit, spec, Vec::new())?, &unit.id.name, None);
        config.disks.clear();
        let config = config.open().map_err(again)?;
        machine::rehearse(&kvm, &config).map_err(|error| of_build(&error))
    }

    fn limits(&self, unit: &Unit) -> Limits {
        machine(unit).map(told::limits).unwrap_or_default()
    }

    fn devices(&self) -> Vec<Device> {
        told::DEVICES.to_vec()
    }

    fn launch(&self, place: &Place, unit: &Unit) -> Result<Launch, Fault> {
        let spec = machine(unit)?;
        let files = self.files(unit, spec, self.disks(unit, spec)?)?;
        let config = told::config(spec, files, &unit.id.name, Some(place));
        // Paths that are no text have no form in JSON.
        let text = serde_json::to_vec(&config).map_err(|error| Fault::Never(with_causes(&error).into()))?;
        // It is of this boot alone, so nothing is synced.
        Dir::open(&place.dir).and_then(|dir| dir.write(CONFIG, &text, 0o600, Sync::ThisBoot)).map_err(again)?;
        let link = if config.net.is_some() { Link::Tap } else { Link::None };
        Ok(Launch { job: told::job(&self.program, &place.dir), link })
    }

    fn update(&self, _: &Place, _: &Unit, _: &Unit) -> Result<(), Fault> {
        // Of a machine's live fields, none is the machine's: they are read when they are needed.
        Ok(())
    }

    fn ask_to_stop(&self, place: &Place, _: &Unit) -> Result<(), Fault> {
        // One that doesn't listen has no guest that could lose anything: who can't be asked is killed.
        vmm::order(&place.dir, Order::Shutdown).map(drop).map_err(again)
    }

    fn clear_away(&self, place: &Place) -> Result<(), Fault> {
        let dir = match Dir::open(&place.dir) {
            Err(error) if error.is_missing() => return Ok(()),
            dir => dir.map_err(again)?,
        };
        let made = [CONFIG, CONSOLE_SOCKET, CONTROL_SOCKET, vmm::EMPTY];
        made.iter().try_for_each(|name| dir.remove_all(name)).map_err(again)
    }
}

fn machine(unit: &Unit) -> Result<&VirtualMachineSpec, Fault> {
    match &unit.spec {
        UnitSpec::VirtualMachine(spec) => Ok(spec),
        _ => Err(Fault::Never(format!("{} is no virtual machine", unit.id).into())),
    }
}

/// Without it the unit waits: it may be there after the next boot, or be given to us meanwhile.
fn open_kvm(path: &Path) -> Result<Kvm, Fault> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(again)?;
    let failed = |error: kvm_ioctls::Error| {
        let advice = match error.errno() {
            libc::ENOENT | libc::ENXIO | libc::ENODEV => {
                "switch virtualisation on in the machine's firmware (in a virtual machine: nested virtualisation in its \
                 host), and load the module kvm_intel or kvm_amd"
            }
            libc::EACCES | libc::EPERM => "run the agent as root, and let its control group use the device",
            _ => "see what the kernel's log says of kvm",
        };
        Fault::Again(format!("cannot use {}: {error}; {advice}", path.display()).into())
    };
    let kvm = Kvm::new_with_path(&name).map_err(failed)?;
    match kvm.get_api_version() {
        KVM_API_VERSION => Ok(kvm),
        other => {
            let why = format!("{} does not answer as KVM does: version {other}, not {KVM_API_VERSION}", path.display());
            Err(Fault::Again(why.into()))
        }
    }
}

/// The only one that there has been since Linux 2.6.22.
const KVM_API_VERSION: i32 = 12;

/// What lies in the unit stays so until it changes; what lies in the machine doesn't.
fn of_build(error: &BuildError) -> Fault {
    let text = with_causes(error).into();
    match error {
        BuildError::MemorySize(_) | BuildError::Count { .. } => Fault::Never(text),
        BuildError::Kernel(KernelError::Read(..)) => Fault::Again(text),
        BuildError::Kernel(_) => Fault::Never(text),
        BuildError::Kvm { .. } | BuildError::Lacks(_) | BuildError::Memory { .. } | BuildError::Device { .. } => {
            Fault::Again(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_device_a_unit_waits_and_says_for_what() {
        let cases = [("/nosuch", "firmware"), ("/dev/null", "does not answer as KVM does")];
        for (path, advice) in cases {
            let Err(Fault::Again(why)) = open_kvm(Path::new(path)) else { panic!("{path} is no KVM") };
            assert!(why.contains(path) && why.contains(advice), "{why}");
        }
    }
}
