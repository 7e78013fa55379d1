//! Units, worlds and plans as short texts.
//!
//! A unit is its kind, name and spec, and perhaps its labels: `Container/web {image: web:1} {tier: front}`. ConfigMaps and
//! Secrets have their data instead. What there is of a unit is such a line with words behind `is`: see [`world`].

use abide_reconcile::{
    Away, Complete, Group, Kind, Name, Observed, Owner, Phase, Plan, Preview, Record, Role, Seen, SourceId, Step,
    Ticket, Time, UnitId, UnitSpec, Verdict, Want, Wave, spec,
};
use std::{collections::BTreeMap, fmt::Write as _, num::NonZeroUsize, sync::Arc};

pub(crate) const NOW: Time = Time::from_secs(1_000);

pub(crate) fn source(name: &str) -> SourceId {
    SourceId(Name::new(name).unwrap())
}

/// The wish that these lines write down. A line `confirms UNIT UNIT …` says what somebody wants to go, and `missing 5` how
/// many were missing at once; a unit of another scope than the source's has that before it: `b:Container/web {image: web:1}`.
pub(crate) fn wish<'a>(source: &SourceId, lines: impl IntoIterator<Item = &'a str>) -> Arc<Complete> {
    let mut confirmed = Vec::new();
    let mut missing = 0;
    let mut groups = BTreeMap::new();
    let mut scopes: BTreeMap<Name, String> = BTreeMap::new();
    for line in lines.into_iter().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(units) = line.strip_prefix("confirms ") {
            confirmed.extend(units.split(' ').map(unit));
            continue;
        }
        if let Some(count) = line.strip_prefix("missing ") {
            missing = count.parse().unwrap();
            continue;
        }
        if line.starts_with("Group/") {
            groups.extend([group(source, line)]);
            continue;
        }
        let head = line.split(' ').next().unwrap();
        let (scope, line) = match head.split_once(':') {
            Some((scope, _)) => (Name::new(scope).unwrap(), &line[scope.len() + 1..]),
            None => (source.0.clone(), line),
        };
        scopes.entry(scope).or_default().push_str(&document(line));
    }
    let units = scopes.iter().flat_map(|(scope, documents)| {
        let tree = spec::MemoryTree([("units.yaml".to_owned(), documents.as_bytes().into())].into());
        let grants = spec::kind::Grants { host_network: true, privileged: true, ..Default::default() };
        let parsed = spec::parse(&tree, spec::Context::plain(scope, &grants));
        parsed.unwrap_or_else(|mistakes| panic!("{documents}\n{mistakes:#?}")).units
    });
    let wish = Complete::new(units.map(|unit| Arc::new(Want::new(unit)))).unwrap();
    Arc::new(wish.confirming(confirmed).missing(missing).with_groups(groups).unwrap())
}

/// A group is its name and its waves, and words that say what differs: `Group/web u0 | u1 u2, unavailable 2, soak 10, within
/// 60, bad 1, paused, exempt`.
pub(crate) fn group(source: &SourceId, line: &str) -> (Name, Group) {
    let (name, rest) = line["Group/".len()..].split_once(' ').unwrap();
    let mut parts = rest.split(", ");
    let mut group = Group {
        waves: Vec::new(),
        unavailable_max: NonZeroUsize::MIN,
        soak: Time::ZERO,
        ready_within: None,
        paused: false,
        away: Away::Counts,
    };
    let named = unit;
    let unit = |name: &str| {
        let (kind, name) = name.split_once('/').unwrap_or(("Container", name));
        named(&format!("{source}:{kind}/{name}"))
    };
    for wave in parts.next().unwrap().split('|') {
        group.waves.push(Wave { members: wave.split_whitespace().map(unit).collect(), bad_max: 0 });
    }
    for part in parts {
        match part.split(' ').collect::<Vec<_>>()[..] {
            ["unavailable", count] => group.unavailable_max = count.parse().unwrap(),
            ["soak", seconds] => group.soak = Time::from_secs(seconds.parse().unwrap()),
            ["within", seconds] => group.ready_within = Some(Time::from_secs(seconds.parse().unwrap())),
            ["bad", count] => group.waves.iter_mut().for_each(|wave| wave.bad_max = count.parse().unwrap()),
            ["paused"] => group.paused = true,
            ["exempt"] => group.away = Away::Exempt,
            _ => panic!("no such word: {part}"),
        }
    }
    (Name::new(name).unwrap(), group)
}

fn document(line: &str) -> String {
    let (unit, rest) = line.trim().split_once(' ').unwrap();
    let (kind, name) = unit.split_once('/').unwrap();
    let (body, labels) = match rest.split_once("} {") {
        Some((body, labels)) => (format!("{body}}}"), format!("{{{labels}")),
        None => (rest.to_owned(), "{}".to_owned()),
    };
    let version = if matches!(kind, "ConfigMap" | "Secret") { "v1" } else { "abide.dev/v1alpha1" };
    let field = match kind {
        "ConfigMap" => "data",
        "Secret" => "stringData",
        _ => "spec",
    };
    let head = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, labels: {labels}}}");
    format!("---\n{head}\n{field}: {body}\n")
}

/// What there is. Behind a unit's line comes `is` and any of: `active` `candidate` `retiring` (which is a live instance),
/// `unready`, `failing`, `away`, `exited CODE`, `attempt N`, `good`, `bad`, `completed`. It has been running, and ready, for
/// a minute.
pub(crate) fn world(source: &SourceId, lines: &str) -> Observed {
    let mut world = Observed::default();
    for (n, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (unit, words) = line.split_once(" is ").unwrap();
        let (others, unit) = lines_of_needs(unit);
        let wish = wish(source, others.iter().map(String::as_str).chain([unit]));
        let name = unit.split_once(' ').unwrap().0;
        let want = wish.units().values().find(|want| short(&want.unit.id) == name).unwrap();
        let record = world.units.entry(want.unit.id.clone()).or_default();
        note(Arc::make_mut(record), source, want, n as u64, words);
    }
    world
}

/// What a line refers to has to be there for it to be read.
fn lines_of_needs(line: &str) -> (Vec<String>, &str) {
    let volumes = line.split("volume: ").skip(1).map(|rest| rest.split([',', '}']).next().unwrap());
    let needs = line.split("unit: ").skip(1).map(|rest| rest.split([',', '}']).next().unwrap());
    let volumes = volumes.map(|name| format!("Volume/{name} {{}}"));
    (volumes.chain(needs.map(|need| format!("{need} {{image: any}}"))).collect(), line)
}

fn note(record: &mut Record, source: &SourceId, want: &Arc<Want>, n: u64, words: &str) {
    let started = NOW - Time::from_secs(60);
    let mut seen = None;
    let mut attempt = 0;
    let mut phase = Phase::Running { started, ready: Some(started), failing: false };
    let mut words = words.split_whitespace();
    let number = |words: &mut std::str::SplitWhitespace<'_>| words.next().unwrap().parse::<i32>().unwrap();
    while let Some(word) = words.next() {
        match word {
            "active" => seen = Some(Role::Active),
            "candidate" => seen = Some(Role::Candidate),
            "retiring" => seen = Some(Role::Retiring),
            "unready" => phase = Phase::Running { started, ready: None, failing: false },
            "failing" => phase = Phase::Running { started, ready: None, failing: true },
            "away" => phase = Phase::Away { since: started },
            "exited" => phase = Phase::Exited { started: NOW, at: NOW, code: number(&mut words) },
            "attempt" => attempt = number(&mut words).unsigned_abs(),
            "good" => record.good = Some(Arc::clone(want)),
            "bad" => drop(record.bad.insert(want.digest)),
            "completed" => record.completed = Some(want.digest),
            other => panic!("no such word: {other}"),
        }
    }
    record.owner = Some(Owner { source: source.clone(), reclaim: want.reclaim });
    let instance = Ticket { epoch: 1, n };
    let seen = seen.map(|role| Seen { instance, role, phase, want: Arc::clone(want), attempt });
    record.instances.extend(seen.map(Arc::new));
}

/// Without the scope if that is a: most stories have one source.
pub(crate) fn short(unit: &UnitId) -> String {
    unit.to_string().trim_start_matches("a:").to_owned()
}

/// A version by what stories tell versions apart by.
pub(crate) fn version(want: &Want) -> String {
    let labels: String = want.unit.labels.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    match &want.unit.spec {
        UnitSpec::Container(spec) => format!("{}{labels}", spec.image),
        UnitSpec::VirtualMachine(_) | UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => {
            format!("it{labels}")
        }
    }
}

/// An instance by its version.
fn which(record: &Record, instance: Ticket) -> String {
    match record.instances.iter().find(|seen| seen.instance == instance) {
        Some(seen) if seen.is_live() => version(&seen.want),
        Some(seen) => format!("what is left of {}", version(&seen.want)),
        None => "what is gone".to_owned(),
    }
}

pub(crate) fn step(record: &Record, step: &Step) -> String {
    match step {
        Step::Prepare { want } => format!("prepare {}", version(want)),
        Step::Start { want, attempt: 0, .. } => format!("start {}", version(want)),
        Step::Start { want, attempt, .. } => format!("start {}, exits before: {attempt}", version(want)),
        Step::Activate { instance } => format!("activate {}", which(record, *instance)),
        Step::Update { instance, to } => format!("update {} to {}", which(record, *instance), version(to)),
        Step::Kill { instance } => format!("kill {}", which(record, *instance)),
        Step::Stop { instance } => format!("stop {}", which(record, *instance)),
        Step::Mark(Verdict::Good(want)) => format!("mark good {}", version(want)),
        Step::Mark(Verdict::Bad(want)) => format!("mark bad {}", version(want)),
        Step::Mark(Verdict::Completed(want)) => format!("mark completed {}", version(want)),
        Step::Mark(Verdict::Retry) => "forget the verdicts".to_owned(),
        Step::Adopt(owner) => format!("adopt for {}, reclaim: {:?}", owner.source, owner.reclaim),
        Step::Forget { reclaim } => format!("forget, reclaim: {reclaim:?}"),
        Step::Fence => "fence".to_owned(),
    }
}

/// What stands out, a line each.
pub(crate) fn plan(plan: &Plan, records: &BTreeMap<UnitId, Record>, now: Time) -> String {
    let mut text = String::new();
    let nothing = Record::default();
    for (unit, next) in &plan.steps {
        let _ = writeln!(text, "{}: {}", short(unit), step(records.get(unit).unwrap_or(&nothing), next));
    }
    for (unit, why) in &plan.waiting {
        let _ = writeln!(text, "{} {}", short(unit), because(&why.at(now).to_string()));
    }
    for (word, asked) in [("held", &plan.held), ("late", &plan.late)] {
        for (source, permit) in asked {
            let names: Vec<String> = permit.removals.keys().map(short).collect();
            let _ = writeln!(text, "{word} of {source}: {}", names.join(" "));
        }
    }
    if text.is_empty() { "settled\n".to_owned() } else { text }
}

/// Digests change with every field that specs get: they are no part of a story.
pub(crate) fn because(text: &str) -> String {
    let is_digest = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(' ').map(|word| if is_digest(word) { "…" } else { word }).collect::<Vec<_>>().join(" ")
}

pub(crate) fn preview(preview: &Preview) -> String {
    let mut text = String::new();
    for (unit, change) in &preview.changes {
        let _ = writeln!(text, "{} {}: {}", change.action.word(), short(unit), change.action);
        for field in &change.fields {
            let _ = writeln!(text, "  {}: {:?} → {:?}", field.path, field.old, field.new);
        }
        if !change.dependents.is_empty() {
            let names: Vec<String> = change.dependents.iter().map(short).collect();
            let _ = writeln!(text, "  needed by {}", names.join(" "));
        }
        if let Some(why) = &change.waits {
            let _ = writeln!(text, "  {}", why.at(Time::ZERO));
        }
    }
    for unit in preview.known_bad.keys() {
        let _ = writeln!(text, "known to be bad: {}", short(unit));
    }
    if let Some(held) = &preview.held {
        let _ = writeln!(text, "held: {held}");
    }
    if text.is_empty() { "no change\n".to_owned() } else { text }
}

/// The unit that a story means: `Container/web`, or `b:Container/web` of source b.
pub(crate) fn unit(text: &str) -> UnitId {
    let (scope, unit) = text.split_once(':').unwrap_or(("a", text));
    let (kind, name) = unit.split_once('/').unwrap();
    let kinds: BTreeMap<&str, Kind> = Kind::ALL.into_iter().map(|kind| (kind.as_str(), kind)).collect();
    UnitId { scope: Name::new(scope).unwrap(), kind: kinds[kind], name: Name::new(name).unwrap(), index: 0 }
}
