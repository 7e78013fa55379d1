//! From the execution of the VMM to the first byte that its guest says, against qemu's smallest machine with the same guest.

use super::Row;
use crate::{
    Problem,
    figure::{Figure, Statistic, Unit},
    measure::Duel,
    process::Ended,
    programs,
};
use abide_vm::vmm;
use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) const ROW: Row =
    Row { name: "vmm", what: "execution of the VMM → first serial byte of the guest", measure };

const TURNS: usize = 20;
const MEMORY: u64 = 128 << 20;

fn measure() -> Result<Vec<Figure>, Problem> {
    let guest = abide_lab::guest();
    let vmm = programs::release("abide-vm", "abide-vmm")?;
    let config = vmm::Config {
        format: vmm::FORMAT,
        memory: MEMORY,
        vcpus: 1,
        kernel: guest.clone(),
        initrd: None,
        cmdline: String::new(),
        disks: Vec::new(),
        net: None,
    };
    let config = serde_json::to_vec(&config)?;
    let ours = || {
        // Each has a directory of its own, as an instance has.
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(vmm::CONFIG), &config)?;
        first_byte(Command::new(&vmm).arg("vmm").arg(folder.path()))
    };
    let duel = Duel::fight(TURNS, ours, || first_byte(&mut qemu(&guest)))?;
    Ok(vec![
        Figure::new("ours", Unit::Milliseconds, duel.ours),
        Figure::new("qemu-system-x86_64 -M microvm", Unit::Milliseconds, duel.peers),
        Figure::new("ratio", Unit::Times, duel.ratio).at_most(Statistic::Median, 0.2),
    ])
}

fn qemu(guest: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-M", "microvm", "-enable-kvm", "-m", &format!("{}M", MEMORY >> 20), "-nodefaults"]);
    command.args(["-no-user-config", "-display", "none", "-serial", "stdio", "-kernel"]).arg(guest);
    command
}

fn first_byte(command: &mut Command) -> Result<Duration, Problem> {
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = Ended(child.map_err(|error| format!("{}: {error}", command.get_program().display()))?);
    let mut said = [0];
    let count = child.0.stdout.take().map_or(Ok(0), |mut output| output.read(&mut said))?;
    let time = start.elapsed();
    if count == 1 {
        return Ok(time);
    }
    let mut why = String::new();
    child.0.stderr.take().map_or(Ok(0), |mut errors| errors.read_to_string(&mut why))?;
    Err(format!("{} ended without a word of its guest: {why}", command.get_program().display()).into())
}
