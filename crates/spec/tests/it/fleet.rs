//! `fleet.yaml`: what it may say, who gets what by it, and in which order.

use crate::support::{expect, folder, scope, tree};
use abide_spec::{
    Context, MemoryTree, Name, Tree, Unseal,
    fleet::{self, FleetFile, FleetSpec, Labels, RolloutSpec},
    kind::Grants,
    schema,
};
use proptest::prelude::*;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const HEAD: &str = "apiVersion: abide.dev/v1alpha1\n";
const ID: &str = "5f2b91c07e3d4a688b1f0c9de2a47351";
const COMMIT: &str = "00112233445566778899aabbccddeeff00112233";
const ANNA: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBu76BmFV08wWq5bmK6s9Lw+1JgpSZS/NtzZEoknuynm";

fn read(text: &str) -> Result<FleetFile, String> {
    let text_of =
        |mistakes: Vec<abide_spec::Diagnostic>| mistakes.iter().map(|mistake| format!("{mistake}\n")).collect();
    fleet::parse("fleet.yaml", text.as_bytes()).map_err(text_of)
}

fn written(fleet: &str, rollout: &str) -> String {
    format!(
        "{HEAD}kind: Fleet\nmetadata: {{name: shops}}\nspec: {{{fleet}}}\n---\n{HEAD}kind: Rollout\nmetadata: {{name: all}}\nspec: {{{rollout}}}\n"
    )
}

fn spec(fleet: &str) -> FleetSpec {
    read(&written(&format!("id: {ID}, {fleet}"), "")).unwrap_or_else(|mistakes| panic!("{mistakes}")).fleet.1
}

fn rollout(spec: &str) -> RolloutSpec {
    let file = read(&written(&format!("id: {ID}"), spec)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    file.rollouts[0].1.clone()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn labels(text: &str) -> Labels {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn example() -> MemoryTree {
    folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/fleet"))
}

#[test]
fn mistakes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fleet");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert!(paths.len() > 3);
    for path in paths {
        let mistakes = read(&fs::read_to_string(&path).unwrap()).expect_err("it has mistakes");
        expect(&path.with_extension("txt"), &mistakes);
    }
}

#[test]
fn elsewhere_it_is_a_mistake() {
    let text = written(&format!("id: {ID}"), "");
    let (scope, grants) = (scope(), Grants::default());
    let mistakes = abide_spec::parse(&tree([("a.yaml", text.as_str())]), Context::plain(&scope, &grants)).unwrap_err();
    insta::assert_snapshot!(mistakes.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>().join("\n"));
}

/// Every rule that has the name counts, labels lead to folders, and the name is all that counts.
#[test]
fn content_follows_from_a_name() {
    let spec = spec(
        "machines: [{names: ['*'], paths: [base]}, {names: ['till-*'], labels: {role: till, site: any}}, \
         {names: [till-1, till-2], labels: {site: berlin}, paths: [hosts/berlin]}], \
         content: [{labels: {role: till}, paths: [roles/till]}, {labels: {role: till, site: berlin}, paths: [both, base]}]",
    );
    let content = |machine: &str| {
        let content = spec.content_of(&name(machine));
        let labels: Vec<String> = content.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{}: {}", labels.join(" "), content.paths.into_iter().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(content("hub"), ": base");
    assert_eq!(content("till-9"), "role=till site=any: base roles/till");
    assert_eq!(content("till-1"), "role=till site=berlin: base both hosts/berlin roles/till");
}

#[test]
fn waves_are_taken_in_order() {
    let machines: BTreeMap<Name, Labels> =
        [("a", ""), ("b", "ring=early"), ("c", ""), ("d", "ring=early"), ("e", ""), ("f", ""), ("g", "")]
            .map(|(machine, words)| (name(machine), labels(words)))
            .into();
    let waves = |spec: &str| {
        let waves = rollout(spec).waves(&machines);
        let shown = |wave: &BTreeSet<Name>| wave.iter().map(Name::as_str).collect::<String>();
        waves.iter().map(shown).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(waves(""), "abcdefg");
    assert_eq!(waves("waves: [{count: 1}, {labels: {ring: early}}, {share: 30%}]"), "a bd ce fg");
    assert_eq!(waves("waves: [{labels: {ring: late}}, {count: 9}, {share: 1%}]"), " abcdefg ");
    assert_eq!(waves("waves: [{share: 1%}, {share: 100%}]"), "a bcdefg");
}

#[test]
fn some_may_be_unavailable() {
    let cases = [("", 3, 1), ("", 4, 1), ("", 11, 2), ("maxUnavailable: 3", 2, 3), ("maxUnavailable: 100%", 7, 7)];
    for (spec, of, max) in cases {
        assert_eq!(rollout(spec).unavailable_max(of).get(), max, "{spec} of {of}");
    }
}

#[test]
fn a_machine_is_in_the_first_rollout_that_selects_it() {
    let more =
        |name: &str, spec: &str| format!("---\n{HEAD}kind: Rollout\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n");
    let mut text = format!("{HEAD}kind: Fleet\nmetadata: {{name: shops}}\nspec: {{id: {ID}}}\n");
    text += &more("berlin", "selector: {site: berlin}");
    text += &more("early", "selector: {ring: early}");
    let file = read(&text).unwrap();
    let of = |words: &str| file.rollout_of(&labels(words)).map(|(name, _)| name.as_str());
    assert_eq!(of("site=berlin ring=early"), Some("berlin"));
    assert_eq!(of("site=paris ring=early"), Some("early"));
    assert_eq!(of(""), None);
}

/// A value of each field that isn't the one of the base document.
const FIELDS: &[(&str, &str, &str)] = &[
    ("FleetSpec", "id", "00000000000000000000000000000000"),
    ("FleetSpec", "floor", COMMIT),
    ("FleetSpec", "replaces", "[00112233445566778899aabbccddeeff00112233]"),
    ("FleetSpec", "signers", "{version: 1, keys: [KEY]}"),
    ("FleetSpec", "machines", "[]"),
    ("FleetSpec", "content", "[{labels: {role: till}, paths: [roles]}]"),
    ("Signers", "version", "2"),
    ("Signers", "require", "Tag"),
    ("Signers", "keys", "[KEY anna]"),
    ("MachineRule", "names", "['*']"),
    ("MachineRule", "labels", "{role: display}"),
    ("MachineRule", "paths", "[other]"),
    ("ContentRule", "labels", "{site: berlin}"),
    ("ContentRule", "paths", "[other]"),
    ("RolloutSpec", "selector", "{site: berlin}"),
    ("RolloutSpec", "waves", "[{count: 1}]"),
    ("RolloutSpec", "maxUnavailable", "1"),
    ("RolloutSpec", "soak", "1s"),
    ("RolloutSpec", "progressDeadline", "20m"),
    ("RolloutSpec", "failuresMax", "1"),
    ("RolloutSpec", "paused", "true"),
    ("WaveSpec", "count", "2"),
    ("WaveSpec", "share", "2%"),
    ("WaveSpec", "labels", "{ring: late}"),
];

fn base(of: &str) -> BTreeMap<&'static str, &'static str> {
    match of {
        "FleetSpec" => [("id", ID), ("machines", "[{names: [till], labels: {role: till}, paths: [base]}]")].into(),
        "Signers" => [("version", "1"), ("keys", "[KEY]")].into(),
        "MachineRule" => [("names", "[till]"), ("labels", "{role: till}"), ("paths", "[base]")].into(),
        "ContentRule" => [("labels", "{role: till}"), ("paths", "[base]")].into(),
        _ => BTreeMap::new(),
    }
}

fn document(of: &str, fields: &BTreeMap<&str, &str>) -> String {
    let fields: Vec<String> = fields.iter().map(|(field, value)| format!("{field}: {value}")).collect();
    let fields = fields.join(", ");
    let fleet = |more: &str| written(&format!("id: {ID}, {more}"), "");
    let given = "machines: [{names: [x], labels: {role: till, site: berlin}}]";
    let text = match of {
        "FleetSpec" => written(&fields, ""),
        "Signers" => fleet(&format!("signers: {{{fields}}}")),
        "MachineRule" => fleet(&format!("machines: [{{{fields}}}]")),
        "ContentRule" => fleet(&format!("{given}, content: [{{{fields}}}]")),
        "RolloutSpec" => written(&format!("id: {ID}"), &fields),
        _ => written(&format!("id: {ID}"), &format!("waves: [{{{fields}}}, {{count: 1}}]")),
    };
    text.replace("KEY", ANNA)
}

#[test]
fn each_field_counts() {
    for (of, field, value) in FIELDS {
        let mut fields = base(of);
        let old = match *of {
            "WaveSpec" => read(&document(of, &[("count", "1")].into())),
            _ => read(&document(of, &fields)),
        };
        fields.insert(field, value);
        let new = read(&document(of, &fields));
        let both = old.and_then(|old| Ok((old, new?)));
        let (old, new) = both.unwrap_or_else(|mistakes| panic!("{of}.{field}:\n{mistakes}"));
        assert_ne!((&old.fleet, &old.rollouts), (&new.fleet, &new.rollouts), "{of}.{field}");
        let json = serde_json::to_string(&(&new.fleet, &new.rollouts)).unwrap();
        let again: ((Name, FleetSpec), Vec<(Name, RolloutSpec)>) = serde_json::from_str(&json).unwrap();
        assert_eq!(again, (new.fleet, new.rollouts), "what is recorded reads the same: {json}");
    }
}

#[test]
fn every_field_is_in_the_table() {
    let schema = schema::fleet();
    let mut known = BTreeSet::new();
    for of in ["FleetSpec", "Signers", "MachineRule", "ContentRule", "RolloutSpec", "WaveSpec"] {
        let schema = &schema["$defs"][of];
        let forms = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        let fields = forms.iter().flat_map(|form| form["properties"].as_object().unwrap().keys());
        known.extend(fields.map(|field| (of.to_owned(), field.clone())));
    }
    let table = FIELDS.iter().map(|(of, field, _)| ((*of).to_owned(), (*field).to_owned())).collect();
    assert_eq!(known, table);
}

/// Opens what it was told, and counts.
struct Key(RefCell<usize>, Result<&'static str, &'static str>);

impl Unseal for Key {
    fn unseal(&self, armored: &str) -> Result<Vec<u8>, String> {
        assert!(armored.starts_with("-----BEGIN AGE"), "{armored}");
        *self.0.borrow_mut() += 1;
        self.1.map(|text| text.as_bytes().to_vec()).map_err(str::to_owned)
    }
}

fn units_of(machine: &str, unseal: Option<&dyn Unseal>) -> Result<Vec<String>, String> {
    let (tree, scope, grants) = (example(), scope(), Grants::default());
    let file = read(str::from_utf8(&tree.read("fleet.yaml").unwrap()).unwrap())?;
    let parsed = file.documents_of(&name(machine), &tree, Context::sealed(&scope, &grants, unseal));
    let parsed =
        parsed.map_err(|mistakes| mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>())?;
    let secret = |unit: &abide_spec::Unit| {
        let values = unit.secrets.values().flat_map(BTreeMap::values);
        values.map(|data| format!(" {}", String::from_utf8_lossy(&data.0))).collect::<String>()
    };
    Ok(parsed.units.iter().map(|unit| format!("{}{}", unit.id, secret(unit))).collect())
}

#[test]
fn each_machine_gets_its_folders() {
    let key = Key(RefCell::default(), Ok("opened"));
    let all =
        ["test:Container/metrics", "test:Container/printer", "test:Container/till opened", "test:Volume/receipts"];
    assert_eq!(units_of("till-1", Some(&key)).unwrap(), all);
    assert_eq!(*key.0.borrow(), 1);
    assert_eq!(units_of("display-7", Some(&key)).unwrap(), ["test:Container/display", "test:Container/metrics"]);
    assert_eq!(*key.0.borrow(), 1, "what it doesn't run, it doesn't open");
    assert_eq!(units_of("till-2", None).unwrap().len(), 3, "without a key the form is enough");
}

#[test]
fn what_cannot_be_opened_is_a_mistake_of_its_place() {
    let key = Key(RefCell::default(), Err("it is for others: encrypt it for this machine too"));
    insta::assert_snapshot!(units_of("till-1", Some(&key)).unwrap_err());
}

#[test]
fn what_is_not_there_is_said() {
    let (mut tree, scope, grants) = (example(), scope(), Grants::default());
    let text = String::from_utf8(tree.read("fleet.yaml").unwrap().to_vec()).unwrap();
    let text = text.replace("names: [\"*\"]", "names: [\"till-*\"]");
    tree.0.retain(|path, _| !path.starts_with("hosts/"));
    let file = read(&text).unwrap();
    let context = Context::sealed(&scope, &grants, None);
    let say = |machine: &str| {
        let mistakes = file.documents_of(&name(machine), &tree, context).unwrap_err();
        mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>()
    };
    insta::assert_snapshot!(format!("{}{}", say("till-1"), say("other")));
}

#[test]
fn secrets_are_sealed_or_they_are_not() {
    let (scope, grants) = (scope(), Grants::default());
    let container = "---\napiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {name: web}\nspec: {image: nginx, env: {A: {secret: db, key: a}}}\n";
    let plain =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{a: very-secret}}\n{container}");
    let sealed = format!("{HEAD}kind: Secret\nmetadata: {{name: db}}\nspec: {{data: {{a: very-secret}}}}\n{container}");
    let armor =
        "-----BEGIN AGE ENCRYPTED FILE-----\\nYWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+\\n-----END AGE ENCRYPTED FILE-----";
    let right = sealed.replace("very-secret", &format!("\"{armor}\""));
    let twice = format!("{right}---\n{}", plain.split("---").next().unwrap());
    let mut shown = String::new();
    for text in [&plain, &sealed, &right, &twice] {
        for context in [Context::plain(&scope, &grants), Context::sealed(&scope, &grants, None)] {
            let parsed = abide_spec::parse(&tree([("a.yaml", text.as_str())]), context);
            let mistakes = parsed.err().unwrap_or_default();
            shown += &format!("{:?}:\n", context.secrets);
            shown.extend(mistakes.iter().map(|mistake| format!("{mistake}\n")));
        }
    }
    assert!(!shown.contains("very-secret"), "a secret is shown:\n{shown}");
    insta::assert_snapshot!(shown);
}

/// What is written out and what is like a pattern is checked as a whole; only what no name leads to, by itself.
#[test]
fn contents_are_what_machines_get() {
    let spec = spec(
        "machines: [{names: ['*'], paths: [base]}, {names: ['till-*'], labels: {role: till}}, \
         {names: [till-1], paths: [hosts/till-1], labels: {site: berlin}}, {names: ['*-9'], labels: {site: paris}}], \
         content: [{labels: {role: till}, paths: [roles/till]}, {labels: {role: till, site: paris}, paths: [both]}]",
    );
    let contents = spec.contents().into_iter().map(|set| set.into_iter().collect::<Vec<_>>().join(" "));
    assert_eq!(contents.collect::<Vec<_>>(), ["base", "base hosts/till-1 roles/till", "base roles/till", "both"]);
}

#[test]
fn a_fleet_is_checked_as_a_whole() {
    let (mut tree, scope, grants) = (example(), scope(), Grants::default());
    let context = Context::sealed(&scope, &grants, None);
    let text = String::from_utf8(tree.read("fleet.yaml").unwrap().to_vec()).unwrap();
    assert_eq!(read(&text).unwrap().check(&tree, context), Ok(5));
    // A mistake of what many run is one mistake.
    let broken = b"apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {name: metrics}\nspec: {}\n";
    tree.0.insert("base/base.yaml".to_owned(), broken[..].into());
    let mistakes = read(&text.replace("hosts/till-1", "host/till-1")).unwrap().check(&tree, context).unwrap_err();
    insta::assert_snapshot!(mistakes.iter().map(|mistake| format!("{mistake}\n")).collect::<String>());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = fleet::parse("fleet.yaml", &bytes);
    }

    #[test]
    fn no_damaged_file_panics(at in 0_usize..2000, byte: u8, cut in 0_usize..50) {
        let mut bytes = include_bytes!("fleet/meaning.yaml").to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let end = (at + cut).min(bytes.len());
        bytes.drain(at + 1..end.max(at + 1));
        let _ = fleet::parse("fleet.yaml", &bytes);
    }

    /// However waves are written, each machine is in one of them, and only in one.
    #[test]
    fn waves_leave_nobody_out(
        machines in prop::collection::btree_map("[a-z]{1,2}", 0_u8..3, 0..30),
        waves in prop::collection::vec(prop_oneof![
            (1_u32..9).prop_map(|count| format!("{{count: {count}}}")),
            (1_u32..=100).prop_map(|share| format!("{{share: {share}%}}")),
            (0_u8..3).prop_map(|ring| format!("{{labels: {{ring: '{ring}'}}}}")),
        ], 0..6),
    ) {
        let machines: BTreeMap<Name, Labels> =
            machines.iter().map(|(machine, ring)| (name(machine), labels(&format!("ring={ring}")))).collect();
        let spec = rollout(&format!("waves: [{}]", waves.join(", ")));
        let found = spec.waves(&machines);
        let mut all: Vec<&Name> = found.iter().flatten().collect();
        all.sort();
        prop_assert_eq!(all, machines.keys().collect::<Vec<_>>());
        prop_assert!(found.len() == waves.len() || found.len() == waves.len() + 1);
        prop_assert!(spec.unavailable_max(machines.len()).get() <= machines.len().max(1));
    }
}
