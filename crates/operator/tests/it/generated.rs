//! What is generated is what the repository has.

use abide_operator::crd;
use std::{fs, path::Path};

/// Set to rewrite what is expected.
const UPDATE: &str = "ABIDE_UPDATE";

#[test]
fn definitions_are_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/crds.yaml");
    let manifest = crd::manifest().unwrap();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &manifest).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == manifest, "{} differs; {UPDATE}=1 rewrites it", path.display());
}
