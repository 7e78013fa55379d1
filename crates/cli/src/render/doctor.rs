//! What a machine offers: `abide doctor`.

use super::style::{Style, Tone};
use crate::doctor::{Finding, Health, Report};

pub(crate) fn report(report: &Report, style: Style) -> String {
    let width = report.findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0);
    let findings: String = report.findings.iter().map(|each| finding(each, width, style)).collect();
    let is_lacking = report.findings.iter().any(|finding| finding.health == Health::Lacking);
    let (tone, text) = match (report.healthy, is_lacking) {
        (true, false) => (Tone::Good, "✔ this machine has all that abide needs"),
        (true, true) => (Tone::Waiting, "! this machine has what is essential"),
        (false, _) => (Tone::Bad, "✖ something essential is missing"),
    };
    format!("{findings}\n{}\n", style.paint(tone, text))
}

fn finding(finding: &Finding, width: usize, style: Style) -> String {
    let Finding { what, health, found, lost } = finding;
    let (tone, sign) = match health {
        Health::Good => (Tone::Good, "✔"),
        Health::Lacking => (Tone::Waiting, "!"),
        Health::Missing => (Tone::Bad, "✖"),
    };
    let mut text = format!("{} {what:width$}  {}\n", style.paint(tone, sign), style.paint(Tone::Plain, found));
    if !lost.is_empty() {
        text += &format!("  {:width$}  {}\n", "", style.paint(tone, lost));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(what: &'static str, health: Health, found: &str, lost: &str) -> Finding {
        Finding { what, health, found: found.to_owned(), lost: lost.to_owned() }
    }

    #[test]
    fn a_report() {
        let findings = vec![
            finding("rights", Health::Good, "root", ""),
            finding(
                "virtual machines",
                Health::Lacking,
                "/dev/kvm: No such file or directory",
                "units of kind VirtualMachine wait",
            ),
            finding("packet filter", Health::Missing, "cannot make the table", "no port can be published"),
        ];
        insta::assert_snapshot!(report(&Report { healthy: false, findings }, Style::Plain));
    }
}
