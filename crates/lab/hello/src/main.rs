//! What the containers of tests and examples run: a small static HTTP server that misbehaves when told to.
//!
//! | asked | answered |
//! |---|---|
//! | `/` | `GREETING`, and lines of `name: value`: host, requests, and starts if it has a volume |
//! | `/healthz` | 200, or 503 while it is told not to be ready |
//! | `/env` | its environment, a line each |
//! | `/file/PATH` | a file as the container sees it |
//! | `/fail` | nothing: it exits with 1 |
//!
//! | environment | what it does |
//! |---|---|
//! | `PORT` | where it listens, by default 8080; by UDP too, where each packet is answered with the greeting |
//! | `EXIT` | exits at once with that code |
//! | `DELAY_MS` | begins to listen so much later |
//! | `READY` | `never`, or after how many milliseconds it is ready |
//! | `DATA` | a folder that is to be kept: `starts` in it counts how often it was started |
//!
//! On SIGTERM it drains: whoever is connected gets an answer that says `connection: close`. It ends when nobody is left.

mod answer;
mod data;
mod drain;
mod settings;

use drain::Drain;
use nix::sys::signal::{SigSet, Signal};
use settings::Settings;
use std::{
    net::{TcpListener, UdpSocket},
    process::ExitCode,
    sync::Arc,
    thread,
};

fn main() -> ExitCode {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    // Before there are threads: they inherit it. The first process of a container has no default action for signals.
    if let Err(error) = signals.thread_block() {
        return failed("blocking signals", &error);
    }
    let settings = match Settings::of(std::env::vars()) {
        Ok(settings) => settings,
        Err(what) => return failed("reading the environment", &what),
    };
    let starts = match settings.data.as_deref().map(data::count_start).transpose() {
        Ok(starts) => starts,
        Err(error) => return failed("counting this start", &error),
    };
    if let Some(code) = settings.exit {
        eprintln!("hello: told to exit with {code}");
        return ExitCode::from(code);
    }
    thread::sleep(settings.delay);
    match serve(settings, starts, &signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("serving", &error),
    }
}

fn failed(act: &str, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("hello: {act}: {error}");
    ExitCode::FAILURE
}

fn serve(settings: Settings, starts: Option<u64>, signals: &SigSet) -> std::io::Result<()> {
    // One socket for both families where there is IPv6.
    let any = format!("[::]:{}", settings.port);
    let any_v4 = format!("0.0.0.0:{}", settings.port);
    let listener = TcpListener::bind(&any).or_else(|_| TcpListener::bind(&any_v4))?;
    let packets = UdpSocket::bind(&any).or_else(|_| UdpSocket::bind(&any_v4))?;
    println!("hello: {} on port {}", settings.greeting, settings.port);
    let greeting = settings.greeting.clone();
    thread::spawn(move || answer::packets(&packets, greeting.as_bytes()));
    let (drain, server) = (Arc::new(Drain::default()), Arc::new(answer::Server::new(settings, starts)));
    let connections = Arc::clone(&drain);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let open = connections.open(&stream);
            let server = Arc::clone(&server);
            thread::spawn(move || server.connection(&stream, &open));
        }
    });
    let signal = signals.wait()?;
    println!("hello: {signal}, draining");
    drain.wait();
    Ok(())
}
