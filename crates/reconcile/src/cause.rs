//! What went wrong, for the person who reads it.

use std::{error::Error, iter};

/// An error with all that caused it, in a line. What an error says of its cause by itself isn't said twice.
pub fn with_causes(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
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
}
