//! An error and its sources on one line.

use std::error::Error;
use std::iter::successors;

/// `error: source: source of the source`. What an error already says of its source is not repeated.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    with_sources(error.to_string(), error)
}

/// As [`error_chain`], with `text` in place of the error's own: that of a `reqwest::Error` holds the URL.
pub(crate) fn with_sources(text: String, error: &(dyn Error + 'static)) -> String {
    successors(error.source(), |&error| error.source()).map(ToString::to_string).fold(
        text,
        // Many errors print their source themselves; nothing is said twice.
        |chain, source| if chain.ends_with(&source) { chain } else { format!("{chain}: {source}") },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum SampleError {
        #[error("not available: {0}")]
        Repeats(#[source] std::io::Error),
        #[error("not available")]
        Names(#[source] std::io::Error),
    }

    #[test]
    fn a_cause_is_named_once() {
        let cause = || std::io::Error::other("the disk is full");
        for error in [SampleError::Repeats(cause()), SampleError::Names(cause())] {
            assert_eq!(error_chain(&error), "not available: the disk is full");
        }
    }
}
