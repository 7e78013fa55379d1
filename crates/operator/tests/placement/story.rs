//! Stories: each file of `stories` tells what a cluster has, in the notation of [`crate::notation`]. After a line `place`
//! stands where everything goes then; `ABIDE_UPDATE=1` writes those lines, which begin with `|`, anew.

use crate::notation::Cluster;
use abide_operator::placement::place::{Place, place};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Set to rewrite what is expected.
const UPDATE: &str = "ABIDE_UPDATE";

#[test]
fn stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/placement/stories");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 8, "{paths:?}");
    let differing: Vec<String> = paths.iter().filter_map(|path| tell(path)).collect();
    assert!(differing.is_empty(), "{UPDATE}=1 rewrites these:\n{}", differing.join("\n"));
}

/// What is wrong with a story, if anything.
fn tell(path: &Path) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap();
    let mut cluster = Cluster::default();
    let mut text = String::new();
    for line in expected.lines().filter(|line| !line.starts_with('|')) {
        writeln!(text, "{line}").unwrap();
        match line.trim() {
            line if line.starts_with('#') => {}
            "place" => {
                let places = place(&cluster.objects, &cluster.nodes);
                for (unit, place) in &places {
                    writeln!(text, "| {}/{} {}", unit.kind, unit.name, words(place)).unwrap();
                }
                cluster.take(&places);
            }
            line => cluster.read(line),
        }
    }
    if std::env::var_os(UPDATE).is_some() {
        fs::write(path, &text).unwrap();
        return None;
    }
    (text != expected).then(|| format!("{}:\n{text}", path.display()))
}

fn words(place: &Place) -> String {
    match place {
        Place::On(node) => format!("on {node}"),
        Place::Stays(node, why) => format!("stays on {node}: {why}"),
        Place::Nowhere(why) => format!("nowhere: {why}"),
        Place::Released => "released".to_owned(),
        Place::Ending => "ends".to_owned(),
    }
}
