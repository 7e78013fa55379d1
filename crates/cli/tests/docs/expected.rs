//! Whether what was printed is what a page shows: `…` stands for anything within a line, and alone in a line for any number of
//! lines.

const ANYTHING: &str = "…";

pub(crate) fn is_shown(shown: &[String], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((line, shown)), _) if line == ANYTHING => {
            (0..=printed.len()).any(|skipped| is_shown(shown, &printed[skipped..]))
        }
        (Some(_), None) => false,
        (Some((line, shown)), Some((other, printed))) => {
            is_line(line.trim_end(), other.trim_end()) && is_shown(shown, printed)
        }
    }
}

fn is_line(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn anything_is_within_a_line_or_between_lines() {
    let is = |shown: &str, printed: &str| {
        let shown: Vec<String> = shown.lines().map(str::to_owned).collect();
        is_shown(&shown, &printed.lines().collect::<Vec<_>>())
    };
    assert!(is("a\n…\nb … c", "a\nx\ny\nb 1 2 c"));
    assert!(is("a\n…", "a") && is("…", "") && is("", "") && is("… in … s", "✔ settled in 0.6 s"));
    assert!(!is("a", "b") && !is("a", "a\nb") && !is("a\nb", "a") && !is("a…a", "a") && !is("a…b…c", "a c b"));
}
