use super::{frame::Frames, place::InFile, *};
use abide_reconcile::{
    Digest, Kind, Name, Permit, Reclaim, SourceId, Unit, UnitId, UnitSpec,
    spec::kind::{SourceSpec, VolumeSpec},
};
use std::{fs, path::Path, slice, sync::Arc};

fn open(path: &Path) -> Result<(Journal, State), LoadError> {
    let (medium, frames) = InFile::open(path)?;
    Journal::begin(Box::new(medium), &frames)
}

fn append(journal: &mut Journal, records: &[Record]) -> Result<(), AppendError> {
    journal.append(&Lines::of(records).unwrap())
}

fn unit_id(name: &str) -> UnitId {
    UnitId { scope: Name::new("infra").unwrap(), kind: Kind::Volume, name: Name::new(name).unwrap(), index: 0 }
}

fn unit(name: &str) -> Arc<Unit> {
    let spec: VolumeSpec = serde_json::from_str("{}").unwrap();
    Arc::new(Unit {
        id: unit_id(name),
        labels: [("app".to_owned(), name.to_owned())].into(),
        annotations: Default::default(),
        spec: UnitSpec::Volume(Arc::new(spec)),
        config_maps: Default::default(),
        secrets: Default::default(),
        files: Default::default(),
        insecure_registries: Vec::new(),
    })
}

fn accepted(generation: u64, commit: &str) -> Record {
    Record::Accepted(Accepted {
        generation,
        commit: commit.to_owned(),
        summary: format!("what {commit} does"),
        owned_before: 3,
        removals: [(unit_id("old"), Reclaim::Delete)].into(),
    })
}

/// One of each, in an order in which they happen.
fn one_of_each() -> Vec<Record> {
    let spec: SourceSpec = serde_json::from_str(r#"{"git": {"url": "/srv/infra.git"}}"#).unwrap();
    let permit = Permit {
        source: SourceId(Name::new("infra").unwrap()),
        wish: Digest::of(b"wish"),
        removals: [(unit_id("old"), Reclaim::Delete)].into(),
    };
    vec![
        Record::Registered { spec: Box::new(spec), origin: Origin::Followed },
        accepted(1, "c1"),
        Record::Good { unit: unit("a") },
        Record::Settled { commit: "c1".to_owned() },
        Record::Refused(Refused {
            commit: "c2".to_owned(),
            summary: "a typo".to_owned(),
            message: "web.yaml:3:1: unknown field `imgae`".to_owned(),
        }),
        Record::Allowed { permit },
        accepted(2, "c3"),
        Record::Bad { unit: unit("b"), why: "exited with 3".to_owned() },
        Record::Completed { unit: unit("c") },
        Record::Retried { id: unit_id("b") },
        Record::Pinned { commit: "c1".to_owned(), over: "c3".to_owned() },
        Record::Unpinned,
        Record::Suspended { how: Suspension::Down },
        Record::Forgotten { id: unit_id("c") },
        Record::Withdrawn,
    ]
}

fn fixture() -> String {
    let lines = one_of_each().into_iter().map(|record| Line { v: VERSION, at: 1_800_000_000_000, record });
    lines.map(|line| serde_json::to_string(&line).unwrap() + "\n").collect()
}

/// Journals of every released version are read for ever: `v1.jsonl` and its successors are never changed, only added.
#[test]
fn journals_of_all_versions_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals/v1.jsonl");
    if std::env::var_os("ABIDE_UPDATE").is_some() {
        fs::write(&path, fixture()).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let records: Vec<Record> = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().record).collect();
    assert_eq!(records, one_of_each());
    assert_eq!(fixture(), text, "this release writes another form: raise VERSION and add a fixture");
}

/// What is written is there after any crash, and a batch is there wholly or not at all.
#[test]
fn a_cut_at_any_byte_leaves_what_was_synced() {
    // In memory: it is synced some thousand times.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = open(&path).unwrap();
    let mut promised = vec![(fs::metadata(&path).unwrap().len(), State::default())];
    for batch in one_of_each().chunks(2) {
        append(&mut journal, batch).unwrap();
        let mut state = promised.last().unwrap().1.clone();
        batch.iter().cloned().for_each(|record| state.apply(record));
        promised.push((fs::metadata(&path).unwrap().len(), state));
    }
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (_, state) = open(&path).unwrap();
        let expected = promised.iter().rev().find(|(length, _)| *length <= cut as u64);
        let expected = expected.map(|(_, state)| state.clone()).unwrap_or_default();
        assert_eq!(state, expected, "cut at {cut}");
    }
}

#[test]
fn the_fewest_records_add_up_to_the_same() {
    let mut state = State::default();
    for record in one_of_each() {
        state.apply(record);
        let mut again = State::default();
        state.records().into_iter().for_each(|record| again.apply(record));
        assert_eq!(again, state);
    }
}

#[test]
fn a_long_journal_is_shortened_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, mut state) = open(&path).unwrap();
    for generation in 0..800 {
        let record = accepted(generation, "c1");
        append(&mut journal, slice::from_ref(&record)).unwrap();
        append(&mut journal, &[Record::Good { unit: unit("a") }]).unwrap();
        state.apply(record);
        state.apply(Record::Good { unit: unit("a") });
    }
    let before = fs::metadata(&path).unwrap().len();
    assert!(before > COMPACT_FROM);
    let (mut journal, opened) = open(&path).unwrap();
    assert_eq!(opened, state);
    assert!(fs::metadata(&path).unwrap().len() < before / COMPACT_FACTOR);
    append(&mut journal, &[Record::Unpinned]).unwrap();
    assert_eq!(open(&path).unwrap().1, state);
}

/// An agent may run for years.
#[test]
fn a_journal_is_shortened_while_it_is_open() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("journal");
    let (mut journal, mut state) = open(&path).unwrap();
    for generation in 0..5000 {
        if journal.is_long() {
            journal.shorten(&state);
        }
        let record = accepted(generation, "c1");
        append(&mut journal, slice::from_ref(&record)).unwrap();
        state.apply(record);
    }
    assert!(fs::metadata(&path).unwrap().len() < 2 * COMPACT_FROM);
    assert_eq!(open(&path).unwrap().1, state);
}

#[test]
fn a_record_of_a_later_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut frames, _) = Frames::open(&path).unwrap();
    frames.append(br#"{"v":2,"at":0,"record":"unpinned"}"#).unwrap();
    assert!(matches!(open(&path), Err(LoadError::Later { version: 2, .. })));
    let before = fs::read(&path).unwrap();
    frames.append(br#"{"v":1,"at":0,"record":"teleported"}"#).unwrap();
    assert!(open(&path).is_err());
    assert!(fs::read(&path).unwrap().starts_with(&before));
}

/// Needs root: it mounts a small tmpfs.
#[test]
fn a_full_disk_loses_nothing() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let folder = tempfile::tempdir().unwrap();
    mount(Some("none"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some("size=64k"))
        .expect("mounting a tmpfs needs root");
    let tried = std::panic::catch_unwind(|| {
        let path = folder.path().join("journal");
        let (mut journal, mut state) = open(&path).unwrap();
        let failed = (0..10_000).find_map(|generation| {
            let record = accepted(generation, "c1");
            append(&mut journal, slice::from_ref(&record)).map(|()| state.apply(record)).err()
        });
        assert_eq!(failed.unwrap().source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(open(&path).unwrap().1, state);

        let most = fs::metadata(&path).unwrap().len() / 2;
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(most).unwrap();
        let (mut journal, mut state) = open(&path).unwrap();
        append(&mut journal, &[accepted(7, "c7")]).unwrap();
        state.apply(accepted(7, "c7"));
        assert_eq!(open(&path).unwrap().1, state, "there is room again");
    });
    umount2(folder.path(), MntFlags::MNT_DETACH).unwrap();
    tried.unwrap();
}

/// Who is in a fleet changes often, and must not push out what one would go back to.
#[test]
fn a_commit_that_settles_again_is_no_other_commit() {
    let mut state = State::default();
    for (generation, commit) in [(1, "c1+a"), (2, "c2+a"), (3, "c2+b"), (4, "c2+c")] {
        state.apply(accepted(generation, commit));
        state.apply(Record::Settled { commit: commit.to_owned() });
    }
    let history: Vec<&str> = state.history.iter().map(|accepted| accepted.commit.as_str()).collect();
    assert_eq!(history, ["c1+a", "c2+c"]);
}
