//! Signals by name, as images write them: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.

const NAMES: [(&str, i32); 30] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];
/// Of the C library, which keeps the two below for itself (signal(7)).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The number of a signal; `None` if there is none of that name.
pub(crate) fn parse(text: &str) -> Option<i32> {
    let in_range = |number: &i32| (1..=RTMAX).contains(number);
    if let Ok(number) = text.parse() {
        return Some(number).filter(in_range);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.get(1..)?.parse::<i32>().ok() };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) if rest.is_empty() || rest.starts_with('+') => RTMIN.checked_add(offset(rest)?)?,
        (_, Some(rest)) if rest.is_empty() || rest.starts_with('-') => RTMAX.checked_sub(offset(rest)?)?,
        _ => return NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number),
    };
    Some(number).filter(|number| (RTMIN..=RTMAX).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        let cases = [
            ("SIGTERM", Some(15)),
            ("QUIT", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMIN", Some(34)),
            ("SIGRTMIN+31", None),
            ("RTMIN-1", None),
            ("0", None),
            ("65", None),
            ("-9", None),
            ("SIGNOPE", None),
            ("sigterm", None),
            ("", None),
        ];
        for (text, number) in cases {
            assert_eq!(parse(text), number, "{text:?}");
        }
    }
}
