//! What went wrong, for the person who reads it.

use std::{error::Error, iter};

/// What the kernel, and with it Git's library, calls a full disk, and what to do. Of a disk the path is told with it.
const FULL: [(&str, &str); 2] = [
    ("No space left on device", "free some space on that disk"),
    ("Disk quota exceeded", "free some of that quota, or raise it"),
];

/// An error with all that caused it, in a line, and what to do about a full disk. What an error says of its cause by itself
/// isn't said twice.
pub fn with_causes(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    let text = causes
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") });
    let advice = FULL.iter().find(|(full, advice)| text.contains(full) && !text.contains(advice));
    advice.map_or(text.clone(), |(_, advice)| format!("{text}; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn causes_are_told_once() {
        let layers = |texts: &[&'static str]| {
            let layer = |source, text: &&'static str| Some(Box::new(Layer { text, source }));
            with_causes(&*texts.iter().rev().fold(None, layer).unwrap())
        };
        assert_eq!(layers(&["pulling web"]), "pulling web");
        assert_eq!(
            layers(&["pulling web", "asking the registry", "it is full"]),
            "pulling web: asking the registry: it is full"
        );
        assert_eq!(layers(&["pulling web: it is full", "it is full", "disk"]), "pulling web: it is full: disk");
    }

    #[test]
    fn a_full_disk_is_to_be_emptied() {
        let full = std::io::Error::from_raw_os_error(28);
        let told = "No space left on device (os error 28); free some space on that disk";
        assert_eq!(with_causes(&full), told);
        assert_eq!(with_causes(&std::io::Error::other(told)), told);
    }
}
