//! An error and its sources on one line.

use std::error::Error;
use std::iter::successors;

/// `error: source: source of the source`.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    with_sources(error.to_string(), error)
}

/// As [`error_chain`], with `text` in place of the error's own: that of a `reqwest::Error` holds the URL.
pub(crate) fn with_sources(text: String, error: &(dyn Error + 'static)) -> String {
    successors(error.source(), |&error| error.source())
        .fold(text, |chain, source| format!("{chain}: {source}"))
}
