use super::*;

fn id(n: u8) -> ObjectId {
    ObjectId([n; 20])
}

fn state() -> State {
    let keys = vec!["ssh-ed25519 AAAA anna".to_owned()];
    let mut state = State::new("0f6c", Some(Signers { version: 3, require: Require::Tag, keys }));
    state.head = Some(Head { commit: id(2), floor: Some(id(1)) });
    state.went_on(0, id(1));
    state.went_on(0, id(2));
    state
}

/// What the first release wrote is read for ever.
#[test]
fn the_first_form() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), include_str!("v1.json")).unwrap();
    assert_eq!(State::read(folder.path()).unwrap(), Some(state()));
    state().write(folder.path()).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), include_str!("v1.json").trim_end());
    let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_write_that_is_cut_anywhere_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    state().write(folder.path()).unwrap();
    let mut newer = state();
    newer.went_on(0, id(3));
    let bytes = serde_json::to_vec_pretty(&newer).unwrap();
    for cut in 0..=bytes.len() {
        fs::write(folder.path().join(NEXT), &bytes[..cut]).unwrap();
        assert_eq!(State::open(folder.path(), "0f6c", None).unwrap(), state(), "cut at {cut}");
    }
    newer.write(folder.path()).unwrap();
    assert_eq!(State::open(folder.path(), "0f6c", None).unwrap(), newer);
    assert!(!folder.path().join(NEXT).exists());
}

#[test]
fn what_is_not_understood_is_not_taken_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(State::read(folder.path()).unwrap(), None);
    let read = |text: &str| {
        fs::write(folder.path().join(FILE), text).unwrap();
        State::open(folder.path(), "0f6c", None)
    };
    assert!(matches!(read(""), Err(StateError::Form { .. })));
    assert!(matches!(read("{\"version\": 2, \"more\": 1}"), Err(StateError::Version { version: 2, .. })));
    assert!(matches!(read("{\"version\": 1, \"fleet\": \"other\"}"), Err(StateError::Fleet { .. })));
    assert!(matches!(read("{\"version\": 1, \"fleet\": \"0f6c\", \"more\": 1}"), Err(StateError::Form { .. })));
}

#[test]
fn numbers_only_grow_on_the_way_back_and_count_anew_from_what_goes_forward() {
    let mut state = state();
    state.went_on(u64::MAX, id(3));
    state.went_on(7, id(4));
    state.went_back(5, id(2));
    assert_eq!(state.number, 7);
    let folder = tempfile::tempdir().unwrap();
    state.write(folder.path()).unwrap();
    assert_eq!(State::read(folder.path()).unwrap(), Some(state));
}

#[test]
fn what_ran_is_bounded_and_in_order() {
    let mut state = State::new("0f6c", None);
    for n in 0..100 {
        state.went_on(0, id(n));
    }
    state.went_on(0, id(50));
    assert_eq!((state.ran.len(), state.ran[0], state.ran[1]), (RAN_MAX, id(50), id(99)));
    assert_eq!(state.ran.iter().filter(|ran| **ran == id(50)).count(), 1);
}
