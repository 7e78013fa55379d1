//! Volumes: what their data goes through.

use crate::{
    rig::Rig,
    scripts::{Nobody, name, owner},
};
use abide_instance::VolumeData;
use abide_reconcile::{
    Backend as _, Fault, Found, Kind, Look, Order, Owner, Phase, Reclaim, Role, Step, Ticket, Unit, UnitId, UnitSpec,
    Want, spec::kind::VolumeSpec,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, sync::Arc};

fn volume(called: &str, spec: &Value) -> Arc<Want> {
    let spec: VolumeSpec = serde_json::from_value(spec.clone()).unwrap();
    let id = UnitId { scope: name("infra"), kind: Kind::Volume, name: name(called), index: 0 };
    let unit = Unit {
        id,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: UnitSpec::Volume(Arc::new(spec)),
        config_maps: BTreeMap::new(),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        insecure_registries: Vec::new(),
    };
    Arc::new(Want::new(Arc::new(unit)))
}

struct Disk {
    rig: Rig,
    n: u64,
}

impl Disk {
    fn run(&mut self, unit: &UnitId, step: Step) -> Result<Ticket, Fault> {
        self.n += 1;
        let ticket = Ticket { epoch: 1, n: self.n };
        self.rig.ground.volumes().run(&Order { ticket, unit: unit.clone(), step, stamp: 0 }, &Nobody).map(|()| ticket)
    }

    fn start(&mut self, want: &Arc<Want>, owner: Owner) -> Result<Ticket, Fault> {
        self.run(&want.unit.id, Step::Start { want: Arc::clone(want), owner, attempt: 0 })
    }

    fn found(&self, unit: &UnitId) -> Option<Found> {
        let found = self.rig.ground.volumes().observe(&Look::All).unwrap().remove(unit);
        let look = Look::Units([unit.clone()].into());
        assert_eq!(self.rig.ground.volumes().observe(&look).unwrap().remove(unit), found);
        found
    }

    fn data(&self, unit: &UnitId) -> Option<VolumeData> {
        self.rig.ground.volumes().data(&unit.scope, &unit.name).unwrap()
    }
}

#[test]
fn data_stays_until_it_is_told_to_go() {
    let mut disk = Disk { rig: Rig::new(), n: 0 };
    let want = volume("data", &json!({}));
    let unit = want.unit.id.clone();
    assert_eq!((disk.found(&unit), disk.data(&unit)), (None, None));
    let instance = disk.start(&want, owner()).unwrap();
    let found = disk.found(&unit).unwrap();
    assert_eq!(found.owner, Some(owner()));
    let seen = &found.instances[0];
    assert_eq!((seen.instance, seen.role, seen.want.digest), (instance, Role::Active, want.digest));
    assert!(matches!(seen.phase, Phase::Running { ready: Some(_), failing: false, .. }));
    let Some(VolumeData::Directory(data)) = disk.data(&unit) else { panic!("{:?}", disk.data(&unit)) };
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o755);
    fs::write(data.join("file"), "precious").unwrap();

    // Nobody forgets what is in use.
    disk.run(&unit, Step::Forget { reclaim: Reclaim::Delete }).unwrap();
    assert_eq!(disk.found(&unit), Some(found));
    disk.run(&unit, Step::Stop { instance }).unwrap();
    assert_eq!(disk.found(&unit), Some(Found { owner: Some(owner()), ..Found::default() }));
    assert_eq!(disk.data(&unit), None);
    disk.run(&unit, Step::Forget { reclaim: Reclaim::Keep }).unwrap();
    assert_eq!(disk.found(&unit), None);
    assert_eq!(disk.rig.ground.volumes().orphaned().unwrap(), [(unit.scope.clone(), unit.name.clone())]);

    let other = Owner { reclaim: Reclaim::Delete, ..owner() };
    let instance = disk.start(&want, other.clone()).unwrap();
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "precious");
    assert_eq!(disk.found(&unit).unwrap().owner, Some(other));
    disk.run(&unit, Step::Adopt(owner())).unwrap();
    assert_eq!(disk.found(&unit).unwrap().owner, Some(owner()));
    disk.run(&unit, Step::Stop { instance }).unwrap();
    disk.run(&unit, Step::Forget { reclaim: Reclaim::Delete }).unwrap();
    assert_eq!(disk.found(&unit), None);
    assert_eq!(fs::read_dir(disk.rig.paths.state.join("volumes")).unwrap().count(), 0);
    disk.rig.tear_down();
}

#[test]
fn a_disk_grows_and_never_shrinks() {
    let mut disk = Disk { rig: Rig::new(), n: 0 };
    let sized = |size: &str| volume("disk", &json!({ "form": "Disk", "size": size }));
    let unit = sized("1Mi").unit.id.clone();
    let refused = disk.start(&volume("disk", &json!({ "form": "Disk" })), owner()).unwrap_err();
    assert_eq!(refused, Fault::Never("a disk needs a size: write `size: 10Gi`".into()));
    let instance = disk.start(&sized("1Gi"), owner()).unwrap();
    let Some(VolumeData::Disk(file)) = disk.data(&unit) else { panic!("{:?}", disk.data(&unit)) };
    let size = || fs::metadata(&file).unwrap().len();
    assert_eq!(size(), 1 << 30);
    assert!(fs::metadata(&file).unwrap().blocks() < 16, "sparse");
    disk.run(&unit, Step::Update { instance, to: sized("2Gi") }).unwrap();
    assert_eq!(size(), 2 << 30);
    assert_eq!(disk.found(&unit).unwrap().instances[0].want.digest, sized("2Gi").digest);
    let refused = disk.run(&unit, Step::Update { instance, to: sized("1Gi") }).unwrap_err();
    assert!(matches!(&refused, Fault::Never(why) if why.contains("can't shrink")), "{refused}");
    let refused = disk.run(&unit, Step::Update { instance, to: volume("disk", &json!({})) }).unwrap_err();
    assert!(matches!(&refused, Fault::Never(why) if why.contains("its data is a disk")), "{refused}");
    assert_eq!(size(), 2 << 30);
    disk.rig.tear_down();
}

#[test]
fn what_is_out_of_date_is_dropped() {
    let mut disk = Disk { rig: Rig::new(), n: 7 };
    let want = volume("data", &json!({}));
    let instance = disk.start(&want, owner()).unwrap();
    disk.n = 3;
    assert_eq!(disk.run(&want.unit.id, Step::Stop { instance }), Err(Fault::Cancelled));
    assert!(disk.data(&want.unit.id).is_some());
    disk.rig.tear_down();
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let mut disk = Disk { rig: Rig::new(), n: 0 };
    let want = volume("data", &json!({}));
    let volumes = disk.rig.paths.state.join("volumes");
    abide_host::mount::tmpfs(&volumes, 64 << 10, 0o700).unwrap();
    disk.rig.restart();
    let mut volumes = Full(volumes);
    volumes.fill();
    let order = |epoch, n, step| Order { ticket: Ticket { epoch, n }, unit: want.unit.id.clone(), step, stamp: 0 };
    let start = Step::Start { want: Arc::clone(&want), owner: owner(), attempt: 0 };
    let fault = disk.rig.ground.volumes().run(&order(2, 1, start.clone()), &Nobody).unwrap_err();
    assert!(
        matches!(&fault, Fault::Again(why) if why.ends_with("No space left on device (os error 28); free some space on that disk")),
        "{fault}"
    );
    assert_eq!(disk.found(&want.unit.id), None);
    volumes.make_room();
    disk.rig.ground.volumes().run(&order(2, 2, start), &Nobody).unwrap();
    assert!(disk.data(&want.unit.id).is_some());
    drop(volumes);
    disk.rig.restart();
    disk.rig.tear_down();
}

/// A small file system with something large in it.
struct Full(std::path::PathBuf);

impl Full {
    fn fill(&mut self) {
        use std::io::Write as _;
        let mut file = fs::File::create(self.0.join("large")).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    fn make_room(&mut self) {
        fs::remove_file(self.0.join("large")).unwrap();
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        abide_host::mount::unmount_all(&self.0).unwrap();
    }
}
