//! How it goes, in the text form of Prometheus.

use super::Inner;
use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) polls: AtomicU64,
    pub(super) told: AtomicU64,
    pub(super) reports: AtomicU64,
    pub(super) enrolled: AtomicU64,
    pub(super) refused: AtomicU64,
}

pub(super) fn text(inner: &Inner) -> String {
    let count = inner.roster.count();
    let connected = inner.limits.connections - inner.connections.available_permits().min(inner.limits.connections);
    let mut text = String::new();
    family(&mut text, "abide_hub_machines", "gauge", "Machines by state.");
    for (state, number) in count.states {
        line(&mut text, &format!("abide_hub_machines{{state=\"{state}\"}}"), number as u64);
    }
    let gauges = [
        ("abide_hub_polling", "Machines that wait for news here.", count.polling as u64),
        ("abide_hub_connected", "Connections, with the one that is waited for.", connected as u64),
        ("abide_hub_healthy", "Whether the database answers.", inner.roster.is_told().into()),
    ];
    for (name, help, value) in gauges {
        family(&mut text, name, "gauge", help);
        line(&mut text, name, value);
    }
    let (counters, times) = (&inner.counters, inner.recorder.times());
    let counters = [
        ("abide_hub_connections_total", "Connections that were accepted.", &counters.connections),
        ("abide_hub_handshakes_failed_total", "Connections whose handshake failed.", &counters.handshakes_failed),
        ("abide_hub_polls_total", "Polls.", &counters.polls),
        ("abide_hub_told_total", "Targets that were told.", &counters.told),
        ("abide_hub_reports_total", "Reports.", &counters.reports),
        ("abide_hub_enrolled_total", "Enrolments.", &counters.enrolled),
        ("abide_hub_refused_total", "Requests that were refused.", &counters.refused),
        ("abide_hub_object_bytes_total", "Bytes of objects that were sent.", &inner.objects.bytes),
        ("abide_hub_transactions_total", "Groups of facts that were written.", &times.transactions),
        ("abide_hub_facts_total", "Facts that were written.", &times.facts),
        ("abide_hub_transactions_failed_total", "Groups of facts that could not be written.", &times.failed),
    ];
    for (name, help, value) in counters {
        family(&mut text, name, "counter", help);
        line(&mut text, name, value.load(Relaxed));
    }
    let seconds = "abide_hub_transaction_seconds_total";
    family(&mut text, seconds, "counter", "Time that writing them took.");
    let micros = times.micros.load(Relaxed);
    put(&mut text, format_args!("{seconds} {}.{:06}\n", micros / 1_000_000, micros % 1_000_000));
    text
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    put(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn line(text: &mut String, name: &str, value: u64) {
    put(text, format_args!("{name} {value}\n"));
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to memory doesn't fail.
    let _is_written = text.write_fmt(line);
}
