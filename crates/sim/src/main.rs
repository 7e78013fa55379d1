//! `abide-sim [SEEDS]` plays so many histories, `abide-sim --seed N` one with its log, `abide-sim --mutants SEEDS` shows
//! at which seed each deliberate mistake is found (built with `--features mutants`), `abide-sim --cost` what planning costs.

use std::{process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    match args[..] {
        [] => histories(0..1_000, false),
        ["--cost"] => {
            let start = Instant::now();
            println!("{}", abide_sim::cost::table(&|| start.elapsed()));
            ExitCode::SUCCESS
        }
        ["--seed", seed] => number(seed).map_or_else(usage, |seed| histories(seed..seed + 1, true)),
        ["--mutants", seeds] => number(seeds).map_or_else(usage, mutants),
        [seeds] => number(seeds).map_or_else(usage, |seeds| histories(0..seeds, false)),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("abide-sim [SEEDS] | --seed N | --mutants SEEDS | --cost");
    ExitCode::from(64)
}

fn histories(seeds: std::ops::Range<u64>, verbose: bool) -> ExitCode {
    let (mut steps, mut failures, count) = (0, 0, seeds.end - seeds.start);
    for seed in seeds {
        match abide_sim::run(seed, verbose) {
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
    println!("{count} seeds, {steps} steps, {failures} failed");
    ExitCode::from(u8::from(failures > 0))
}

#[cfg(feature = "mutants")]
fn mutants(seeds: u64) -> ExitCode {
    use abide_reconcile::{Mutant, mutant};
    let mut survivors = 0;
    for mutant in Mutant::ALL {
        mutant::choose(*mutant);
        let caught = (0..seeds).find_map(|seed| Some((seed, abide_sim::run(seed, false).err()?)));
        mutant::choose(Mutant::None);
        match caught {
            Some((seed, problem)) => {
                println!("{mutant:?}: seed {seed}: {}", problem.lines().next().unwrap_or_default())
            }
            None => {
                survivors += 1;
                println!("{mutant:?}: SURVIVED {seeds} seeds");
            }
        }
    }
    ExitCode::from(u8::from(survivors > 0))
}

#[cfg(not(feature = "mutants"))]
fn mutants(_: u64) -> ExitCode {
    eprintln!("build with `--features mutants`: otherwise there are none");
    ExitCode::from(64)
}
