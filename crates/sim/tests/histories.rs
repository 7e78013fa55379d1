//! Ten thousand histories of a machine and a thousand of a fleet in every test run, in parts that run side by side, and those
//! that once found a mistake.

const PART: u64 = 1_250;

fn play(part: u64) {
    for seed in part * PART..(part + 1) * PART {
        if let Err(problem) = abide_sim::run(seed, false) {
            panic!("seed {seed}: {problem}\nreplay it with: cargo run -p abide-sim -- --seed {seed}");
        }
    }
}

macro_rules! parts {
    ($($name:ident $part:literal),*) => { $(#[test] fn $name() { play($part); })* };
}

parts!(part_0 0, part_1 1, part_2 2, part_3 3, part_4 4, part_5 5, part_6 6, part_7 7);

const FLEETS: u64 = 1_000;
const MACHINES: usize = 1_000;

fn play_fleets(part: u64) {
    for seed in (part..FLEETS).step_by(4) {
        if let Err(problem) = abide_sim::fleet::run(seed, MACHINES, false) {
            panic!("seed {seed}: {problem}\nreplay it with: cargo run -p abide-sim -- --fleet --seed {seed}");
        }
    }
}

#[test]
fn fleets_0() {
    play_fleets(0);
}

#[test]
fn fleets_1() {
    play_fleets(1);
}

#[test]
fn fleets_2() {
    play_fleets(2);
}

#[test]
fn fleets_3() {
    play_fleets(3);
}

/// Planning must stay near-linear; how fast it is, is for the benches.
#[test]
fn a_thousand_units_are_brought_up_replaced_and_removed() {
    let start = std::time::Instant::now();
    let costs = abide_sim::cost::measure(1_000, &|| start.elapsed());
    assert_eq!(costs.units, 1_000);
}
