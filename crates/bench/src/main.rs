//! Every figure the project claims, measured where this runs: `cargo run --release -p abide-bench`.
//!
//! ```text
//! rows/*.rs  one subject each: does the work again and again ─► samples
//! world      the machine under it: agent, repository, containers; process: what they use; asker: who asks them;
//!            fleet: a hub, and crowd: its machines; outpost: a hub behind a cable, and one machine; agent: what is asked of it; cluster, api: an API server with nodes, and who asks it
//! measure    samples ─► Spread (minimum, median, 99th percentile, maximum); a peer's turns alternate with ours
//! figure     a Spread, its unit, and what is to be reached
//! table      rows of figures, as text or JSON
//! ```
//!
//! A machine that others use has no stable times. So whatever has a peer is told as a ratio, too: both do the same work in
//! turns, and each turn gives one ratio. A figure that misses what is to be reached is told as such, and is no failure;
//! one that could not be taken is.

#![forbid(unsafe_code)]

mod agent;
mod api;
mod asker;
mod cluster;
mod crowd;
mod figure;
mod fleet;
mod measure;
mod outpost;
mod process;
mod programs;
mod rows;
mod table;
mod world;

use clap::{Parser, ValueEnum};
use rows::{LONG, ROWS, Row};
use std::process::ExitCode;

/// Why a row could not be measured.
type Problem = Box<dyn std::error::Error>;

/// Measure what the project claims
#[derive(Debug, Parser)]
#[command(name = "abide-bench")]
struct Args {
    /// These rows only; those that take long are taken only so
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Say which rows there are
    #[arg(long)]
    list: bool,
    /// How to print them
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// As the binary itself ends where it is used wrongly.
const WRONG_USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if let (Some(command), Some(file)) = (arguments.next(), arguments.next())
        && command == crowd::COMMAND
    {
        let Err(problem) = crowd::main(&file) else { return ExitCode::SUCCESS };
        eprintln!("abide-bench: the machines of a fleet: {problem}");
        return ExitCode::FAILURE;
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let is_wrong = error.use_stderr();
            // Nothing can be done for somebody who closed the terminal.
            let _ = error.print();
            return if is_wrong { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if args.list {
        ROWS.iter().for_each(|row| println!("{:<9} {}", row.name, row.what));
        LONG.iter().for_each(|row| println!("{:<9} {} (takes long: only if named)", row.name, row.what));
        return ExitCode::SUCCESS;
    }
    let all = || ROWS.iter().chain(LONG);
    if let Some(name) = args.names.iter().find(|name| !all().any(|row| row.name == **name)) {
        eprintln!("abide-bench: there is no row {name:?}; `--list` says which there are");
        return ExitCode::from(WRONG_USAGE);
    }
    world::clear_away_on_panic();
    if args.names.is_empty() {
        return measure_all(ROWS.iter(), args.output);
    }
    measure_all(all().filter(|row| args.names.iter().any(|name| name == row.name)), args.output)
}

fn measure_all<'r>(rows: impl Iterator<Item = &'r Row>, output: Output) -> ExitCode {
    let mut failed = false;
    let mut all = Vec::new();
    for row in rows {
        eprintln!("measuring {}: {}", row.name, row.what);
        match (row.measure)() {
            Ok(figures) => match output {
                Output::Text => println!("{}", table::text(row, &figures)),
                Output::Json => all.push(table::json(row, &figures)),
            },
            Err(problem) => {
                failed = true;
                eprintln!("abide-bench: {} could not be measured: {problem}", row.name);
            }
        }
    }
    if let Output::Json = output {
        println!("{:#}", serde_json::Value::Array(all));
    }
    ExitCode::from(u8::from(failed))
}
