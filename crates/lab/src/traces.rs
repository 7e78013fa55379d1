//! What the kernel has of a root: to be compared before and after, and to be gone in the end.
//!
//! Everything that belongs to a root has its tag in its name, or lies below its folder; so tests side by side don't see each
//! other's.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What there is, by kind. Equal traces are not the same: names have numbers of instances in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces(BTreeMap<&'static str, Vec<String>>);

/// How many there are of each kind.
pub type Counts = BTreeMap<&'static str, usize>;

impl Traces {
    /// Of the root in this folder. A root that was never opened has none.
    pub fn of(root: &Path) -> Self {
        let Some(tag) = tag(root) else { return Self::default() };
        let root = root.canonicalize().unwrap();
        let found = [
            ("process", processes(&root, &tag).into_iter().map(|(pid, what)| format!("{pid} {what}")).collect()),
            ("mount", mounts(&root)),
            ("control group", cgroups(&tag).iter().map(|path| path.display().to_string()).collect()),
            ("link", names(fs::read_dir("/sys/class/net").unwrap(), &tag)),
            ("table", tables(&tag)),
            ("rule", rules(&tag)),
            ("loop device", loops(&root)),
        ];
        Self(found.into_iter().filter(|(_, found): &(_, Vec<String>)| !found.is_empty()).collect())
    }

    /// How many there are of each kind.
    pub fn counts(&self) -> Counts {
        self.0.iter().map(|(kind, found)| (*kind, found.len())).collect()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Ends everything of a root by force, as a power failure does: nobody is asked.
pub fn erase(root: &Path) {
    let Some(tag) = tag(root) else { return };
    let root = root.canonicalize().unwrap();
    // Whoever is killed may be starting somebody.
    while let found @ [_, ..] = processes(&root, &tag).as_slice() {
        for (pid, _) in found {
            attempt("kill", &["-KILL", &pid.to_string()]);
        }
    }
    for mount in mounts(&root).iter().rev() {
        attempt("umount", &["-l", mount]);
    }
    for link in names(fs::read_dir("/sys/class/net").unwrap(), &tag) {
        attempt("ip", &["link", "delete", &link]);
    }
    for table in tables(&tag) {
        let words: Vec<_> = table.split(' ').collect();
        attempt("nft", &[&["delete"], words.as_slice()].concat());
    }
    for device in loops(&root) {
        attempt("losetup", &["-d", &device]);
    }
    // The innermost first.
    for group in cgroups(&tag).iter().rev() {
        let _ = fs::remove_dir(group);
    }
}

/// Something may have gone by itself in the meantime.
fn attempt(program: &str, arguments: &[&str]) {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
}

/// What is in the names of a root.
fn tag(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("state/root.json")).ok()?;
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    Some(record["id"].as_str().unwrap()[..6].to_owned())
}

/// Those in control groups of the root, and those that were told of its folder.
fn processes(root: &Path, tag: &str) -> Vec<(i32, String)> {
    let root = root.to_str().unwrap();
    let mut found = Vec::new();
    for pid in fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()) {
        // They come and go.
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let [groups, command, stat] = ["cgroup", "cmdline", "stat"].map(read);
        let [groups, command, stat] = [groups, command, stat].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let is_zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
        if !is_zombie && (groups.contains(tag) || command.contains(root)) {
            found.push((pid, command.replace('\0', " ")));
        }
    }
    found
}

fn mounts(root: &Path) -> Vec<String> {
    let below = format!("{}/", root.display());
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| point.starts_with(&below)).map(str::to_owned).collect()
}

fn cgroups(tag: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from("/sys/fs/cgroup")]);
    while let Some(folder) = folders.pop() {
        // Groups come and go.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
                if entry.path().to_string_lossy().contains(tag) {
                    found.push(entry.path());
                }
            }
        }
    }
    found.sort();
    found
}

fn tables(tag: &str) -> Vec<String> {
    let output = Command::new("nft").args(["list", "tables"]).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs nft: {error}"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.contains(tag)).map(str::to_owned).collect()
}

/// Every line of its tables: chains, rules, elements of maps.
fn rules(tag: &str) -> Vec<String> {
    let mut rules = Vec::new();
    for table in tables(tag) {
        let words: Vec<_> = table.split(' ').collect();
        let listed = Command::new("nft").arg("list").args(words).output().unwrap();
        rules.extend(String::from_utf8_lossy(&listed.stdout).lines().map(|line| line.trim().to_owned()));
    }
    rules
}

fn loops(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").unwrap().flatten() {
        // Only those in use have one.
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if Path::new(file.trim_end()).starts_with(root) {
            found.push(format!("/dev/{}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

fn names(folder: fs::ReadDir, tag: &str) -> Vec<String> {
    let names = folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<_> = names.filter(|name| name.contains(tag)).collect();
    found.sort();
    found
}
