//! The query string of a list.

use std::borrow::Cow;

use jiff::Timestamp;

use super::problem::VendorProblem;

/// Values that a repeatable filter takes.
const MAXIMUM_VALUES: usize = 100;

/// A parsed query string. Unknown parameters are ignored, as the vendor does.
pub(super) struct QueryParameters(Vec<(String, String)>);

impl QueryParameters {
    pub(super) fn parse(query: &str, plus_is_literal: bool) -> Self {
        let query: Cow<'_, str> =
            if plus_is_literal { query.replace('+', "%2B").into() } else { query.into() };
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn values(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A parameter that may occur once; empty means absent.
    pub(super) fn single(&self, name: &str) -> Result<Option<&str>, VendorProblem> {
        match self.values(name)[..] {
            [] | [""] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(VendorProblem::bad_request(format!("{name} must not be repeated"))),
        }
    }

    /// A parameter that may repeat; no value means no filter.
    pub(super) fn repeated(&self, name: &str) -> Result<Vec<&str>, VendorProblem> {
        let mut values = self.values(name);
        values.retain(|value| !value.is_empty());
        if values.len() > MAXIMUM_VALUES {
            return Err(VendorProblem::bad_request(format!("{name} has more than {MAXIMUM_VALUES} values")));
        }
        Ok(values)
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, VendorProblem> {
        let Some(text) = self.single(name)? else { return Ok(None) };
        let time = text
            .parse()
            .map_err(|_| VendorProblem::bad_request(format!("{name} is not an RFC 3339 time")))?;
        Ok(Some(time))
    }
}
