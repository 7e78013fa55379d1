use super::{
    Controller, Error, Group, life,
    mounts::{Mounted, mounted, mounts},
    read, write,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Processes that stand in the way of handing controllers on are moved to a group of this name.
const LEAF: &str = "abide-agent";

/// Where the machine's controllers are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies {
    v1: BTreeMap<Controller, PathBuf>,
    /// The folder below which our groups go, and its controllers.
    v2: Option<(PathBuf, Vec<Controller>)>,
}

/// What the machine offers, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// "v1", "v2", "hybrid" or "none".
    pub layout: &'static str,
    /// What limits can't hold for want of a controller.
    pub missing: Vec<Controller>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "control groups {}", self.layout)?;
        for (n, controller) in self.missing.iter().enumerate() {
            f.write_str(if n == 0 { ", without " } else { ", " })?;
            write!(f, "{controller}")?;
        }
        Ok(())
    }
}

impl Hierarchies {
    /// Looks at what is mounted, and where we are in it.
    pub fn detect() -> Result<Self, Error> {
        let mounts = mounts()?;
        let own = read(Path::new("/proc/self/cgroup"))?;
        Ok(Self::parse(&mounts, &own, |base| fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default()))
    }

    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup` (proc_pid_mountinfo(5), cgroups(7)).
    pub(super) fn parse(mounts: &str, own: &str, controllers: impl Fn(&Path) -> String) -> Self {
        let mut found = Self::default();
        for Mounted { root, point, kind, options } in mounted(mounts) {
            match kind {
                "cgroup2" if found.v2.is_none() => {
                    let base = base(point, root, own);
                    let names = controllers(&base);
                    let has = |controller: &Controller| names.split_whitespace().any(|name| name == controller.name());
                    found.v2 = Some((base, Controller::ALL.into_iter().filter(has).collect()));
                }
                "cgroup" => {
                    for controller in Controller::ALL {
                        if options.split(',').any(|option| option == controller.name()) {
                            found.v1.entry(controller).or_insert_with(|| point.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// What the machine offers.
    pub fn report(&self) -> Report {
        let layout = match (self.v1.is_empty(), &self.v2) {
            (true, None) => "none",
            (true, Some(_)) => "v2",
            (false, None) => "v1",
            (false, Some(_)) => "hybrid",
        };
        let has = |controller| match (controller, &self.v2) {
            (controller, _) if self.v1.contains_key(&controller) => true,
            (Controller::Devices, Some(_)) => true,
            (controller, Some((_, controllers))) => controllers.contains(&controller),
            (_, None) => false,
        };
        Report { layout, missing: Controller::ALL.into_iter().filter(|controller| !has(*controller)).collect() }
    }

    /// Makes a group, or takes the one that is there.
    pub fn create(&self, parent: &str, name: &str) -> Result<Group, Error> {
        let group = self.group(parent, name)?;
        if let Some((base, _)) = &self.v2 {
            let parent = base.join(parent);
            self.hand_on(base)?;
            make(&parent)?;
            self.hand_on(&parent)?;
        }
        for folder in group.folders() {
            if let Some(parent) = folder.parent() {
                make(parent)?;
            }
            make(folder)?;
        }
        Ok(group)
    }

    /// The names of the groups below `parent`, in any hierarchy.
    pub fn list(&self, parent: &str) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        for base in self.bases() {
            names.extend(life::groups_in(&base.join(parent))?);
        }
        Ok(names)
    }

    /// Removes `parent` where it is empty.
    pub fn remove_parent(&self, parent: &str) {
        for base in self.bases() {
            // It is shared: whoever has a group in it keeps it.
            let _ = fs::remove_dir(base.join(parent));
        }
    }

    /// The group of these names, without making it.
    pub fn group(&self, parent: &str, name: &str) -> Result<Group, Error> {
        for name in [parent, name] {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0', '\n']) {
                return Err(Error::Name(name.to_owned()));
            }
        }
        let below = |base: &PathBuf| base.join(parent).join(name);
        let v1 = self.v1.iter().map(|(controller, base)| (*controller, below(base))).collect();
        let (v2, v2_controllers) =
            self.v2.as_ref().map(|(base, controllers)| (below(base), controllers.clone())).unzip();
        Ok(Group { v1, v2, v2_controllers: v2_controllers.unwrap_or_default() })
    }

    fn bases(&self) -> BTreeSet<&Path> {
        self.v1.values().chain(self.v2.as_ref().map(|(base, _)| base)).map(PathBuf::as_path).collect()
    }

    /// Lets the groups below `folder` have the controllers that limits need.
    fn hand_on(&self, folder: &Path) -> Result<(), Error> {
        let Some((_, controllers)) = &self.v2 else { return Ok(()) };
        let file = folder.join("cgroup.subtree_control");
        for controller in controllers {
            let text = format!("+{controller}");
            match write(&file, &text) {
                Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::ResourceBusy => {
                    clear_out(folder)?;
                    write(&file, &text)?;
                }
                result => result?,
            }
        }
        Ok(())
    }
}

/// Below which folder our groups go.
fn base(point: &Path, root: &str, own: &str) -> PathBuf {
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new);
    let delegated = own.filter(|own| own.ends_with(LEAF)).and_then(Path::parent);
    match delegated.and_then(|delegated| delegated.strip_prefix(root).ok()) {
        Some(delegated) => point.join(delegated),
        None => point.to_owned(),
    }
}

/// Moves the processes of a group of v2 into a leaf of it.
fn clear_out(folder: &Path) -> Result<(), Error> {
    let leaf = folder.join(LEAF);
    make(&leaf)?;
    for pid in read(&folder.join("cgroup.procs"))?.lines() {
        match write(&leaf.join("cgroup.procs"), pid) {
            // It has ended meanwhile.
            Err(Error::File { source, .. }) if source.raw_os_error() == Some(libc::ESRCH) => {}
            result => result?,
        }
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), Error> {
    match fs::create_dir(folder) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::File { act: "make".to_owned(), path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}
