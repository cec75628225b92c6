//! `[[shadow.ignore]]`: differences that an operator accepts, with a reason, an owner and an expiry date.

use figment::value::Dict;
use jiff::civil::Date;

use super::named_texts::{named_texts, parsed};

/// `[[shadow.ignore]]`: a difference that the owner accepts until a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRule {
    /// The paths that may differ.
    pub path: PathPattern,
    /// Why the difference is acceptable.
    pub reason: String,
    /// Who is responsible for the rule.
    pub owner: String,
    /// The last day on which the rule applies, in UTC. After it the rule is reported and hides nothing.
    pub expires: Date,
}

/// A pattern over paths such as `items[3].updated_at`. It matches whole paths only: `*` matches one name, `[*]` any index,
/// and everything else itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    written: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    AnyName,
    AnyIndex,
    Exactly(String),
}

impl PathPattern {
    /// Parses `status`, `items[*].updated_at`, `metadata.*`.
    ///
    /// # Errors
    /// Why the pattern is not valid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = split(text).map(|part| match part {
            "" => Err(format!("{text:?} has an empty part")),
            "*" => Ok(Part::AnyName),
            "[*]" => Ok(Part::AnyIndex),
            exact if exact.contains('*') => Err(format!("{text:?}: * matches a whole name, [*] any index")),
            exact if exact.starts_with('[') && !is_index(exact) => {
                Err(format!("{text:?}: {exact} is not an index"))
            }
            exact => Ok(Part::Exactly(exact.to_owned())),
        });
        Ok(Self { parts: parts.collect::<Result<_, _>>()?, written: text.to_owned() })
    }

    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether the pattern matches the whole path.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut found = split(path);
        let all = self.parts.iter().all(|part| {
            found.next().is_some_and(|found| match part {
                Part::AnyName => !found.starts_with('['),
                Part::AnyIndex => found.starts_with('['),
                Part::Exactly(exact) => exact == found,
            })
        });
        all && found.next().is_none()
    }
}

/// Splits a path into names and indices: `items[3].id` into `items`, `[3]`, `id`.
fn split(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').flat_map(|name| {
        let (name, indices) = name.split_at(name.find('[').unwrap_or(name.len()));
        // An index at the start, as in `[3]`, has no name before it.
        let named = (!name.is_empty() || indices.is_empty()).then_some(name);
        named.into_iter().chain(indices.split_inclusive(']'))
    })
}

fn is_index(part: &str) -> bool {
    let inner = part.strip_prefix('[').and_then(|part| part.strip_suffix(']'));
    inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit()))
}

const KEYS: [&str; 4] = ["path", "reason", "owner", "expires"];

/// Parses one rule, and formats it for display.
pub(super) fn parse(table: &Dict) -> Result<(IgnoreRule, String), String> {
    let ([path, reason, owner, expires], mut problems) = named_texts(table, KEYS);
    let path = parsed(&path, PathPattern::parse, &mut problems);
    let day = |text: &str| text.parse().map_err(|_| format!("expires {text:?} is not a day like 2027-01-31"));
    let expires = parsed(&expires, day, &mut problems);
    let (Some(path), Some(expires), true) = (path, expires, problems.is_empty()) else {
        return Err(problems.join("; "));
    };
    let rule = IgnoreRule { path, reason, owner, expires };
    let shown = format!("{} ({}, until {})", rule.path.as_str(), rule.owner, rule.expires);
    Ok((rule, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_paths_only() {
        let table: [(&str, &[&str], &[&str]); 6] = [
            ("status", &["status"], &["status.x", "items[0].status", "statu", "status[0]"]),
            (
                "items[*].updated_at",
                &["items[0].updated_at", "items[17].updated_at"],
                &["updated_at", "items.updated_at", "items[0].created_at", "items[0].updated_at.x"],
            ),
            ("items[3].id", &["items[3].id"], &["items[30].id", "items[*].id"]),
            ("metadata.*", &["metadata.k", "metadata.*"], &["metadata", "metadata.a.b", "metadata[0]"]),
            ("items[*]", &["items[2]"], &["items", "items[2].id"]),
            ("*", &["status", "amount"], &["items[0]", "a.b"]),
        ];
        for (pattern, matched, unmatched) in table {
            let read = PathPattern::parse(pattern).unwrap();
            assert_eq!(read.as_str(), pattern);
            for path in matched {
                assert!(read.matches(path), "{pattern} must match {path}");
            }
            for path in unmatched {
                assert!(!read.matches(path), "{pattern} must not match {path}");
            }
        }
    }

    #[test]
    fn an_ambiguous_pattern_is_refused() {
        for bad in ["", "a..b", "a.", ".a", "up*", "items[x]", "items[", "items[]", "items[*"] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
