//! `abide-sim [SEEDS]` plays so many histories, `abide-sim --seed N` one with its log, `--fleet` before either
//! those of a hub and its machines; `abide-sim --mutants SEEDS` shows
//! at which seed each deliberate mistake is found (built with `--features mutants`), `abide-sim --cost` what planning costs.

use std::{process::ExitCode, time::Instant};

const MACHINES: u64 = 1_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    match args[..] {
        [] => play(0..1_000, |seed| abide_sim::run(seed, false)),
        ["--cost"] => {
            let start = Instant::now();
            println!("{}", abide_sim::cost::table(&|| start.elapsed()));
            ExitCode::SUCCESS
        }
        ["--seed", seed] => {
            number(seed).map_or_else(usage, |seed| play(seed..seed + 1, |seed| abide_sim::run(seed, true)))
        }
        ["--fleet", ref args @ ..] => fleets(args),
        ["--mutants", seeds] => number(seeds).map_or_else(usage, mutants),
        [seeds] => number(seeds).map_or_else(usage, |seeds| play(0..seeds, |seed| abide_sim::run(seed, false))),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "abide-sim [SEEDS] | --seed N | --fleet SEEDS [MACHINES] | --fleet --seed N [MACHINES] | --mutants SEEDS | --cost"
    );
    ExitCode::from(64)
}

fn fleets(args: &[&str]) -> ExitCode {
    let is_one = args.first() == Some(&"--seed");
    let args = if is_one { &args[1..] } else { args };
    let number = |at: usize| args.get(at).map(|text| text.parse::<u64>());
    match (number(0), number(1).unwrap_or(Ok(MACHINES))) {
        (Some(Ok(seed)), Ok(machines)) if args.len() <= 2 => {
            let seeds = if is_one { seed..seed + 1 } else { 0..seed };
            play(seeds, |seed| abide_sim::fleet::run(seed, machines as usize, is_one))
        }
        _ => usage(),
    }
}

fn play(seeds: std::ops::Range<u64>, run: impl Fn(u64) -> Result<u64, String>) -> ExitCode {
    let start = Instant::now();
    let (mut steps, mut failures, count) = (0, 0, seeds.end - seeds.start);
    for seed in seeds {
        match run(seed) {
            Ok(n) => steps += n,
            Err(problem) => {
                failures += 1;
                println!("seed {seed}: {problem}");
                if failures == 5 {
                    break;
                }
            }
        }
    }
    println!("{count} seeds, {steps} steps, {failures} failed, {:.1?}", start.elapsed());
    ExitCode::from(u8::from(failures > 0))
}

#[cfg(feature = "mutants")]
fn mutants(seeds: u64) -> ExitCode {
    use abide_reconcile::{Mutant, mutant};
    let mut survivors = 0;
    for mutant in Mutant::ALL {
        mutant::choose(*mutant);
        let caught = (0..seeds).find_map(find);
        mutant::choose(Mutant::None);
        match caught {
            Some((seed, problem)) => println!("{mutant:?}: {seed}: {}", problem.lines().next().unwrap_or_default()),
            None => {
                survivors += 1;
                println!("{mutant:?}: SURVIVED {seeds} seeds");
            }
        }
    }
    ExitCode::from(u8::from(survivors > 0))
}

/// What goes wrong under this seed; one in four is of a fleet, most of them small: a budget of few has no room for mistakes.
#[cfg(feature = "mutants")]
fn find(seed: u64) -> Option<(String, String)> {
    let of_machine = |problem| (format!("seed {seed}"), problem);
    let of_fleet = |problem| (format!("fleet {}", seed / 4), problem);
    match abide_sim::run(seed, false) {
        Err(problem) => Some(of_machine(problem)),
        Ok(_) if seed.is_multiple_of(4) => {
            let machines = if seed.is_multiple_of(16) { 200 } else { 30 };
            abide_sim::fleet::run(seed / 4, machines, false).err().map(of_fleet)
        }
        Ok(_) => None,
    }
}

#[cfg(not(feature = "mutants"))]
fn mutants(_: u64) -> ExitCode {
    eprintln!("build with `--features mutants`: otherwise there are none");
    ExitCode::from(64)
}
