//! Which vendor was compared: evidence about one says nothing about another.

use super::bounded::Bounded;
use super::document::Check;
use crate::telemetry::format::count;

/// Most vendors that are counted apart.
const HOSTS_MAX: usize = 20;

pub(super) struct ComparedHosts {
    /// Those of the config; `None`: not asked for.
    expected: Option<String>,
    /// Comparisons by the hosts that they name.
    named: Bounded<u64>,
    /// Comparisons that name none, as older versions wrote them.
    unnamed: u64,
}

impl ComparedHosts {
    pub(super) fn new(expected: Option<String>) -> Self {
        Self { expected, named: Bounded::new(HOSTS_MAX), unnamed: 0 }
    }

    pub(super) fn add(&mut self, hosts: Option<&str>, comparisons: u64) {
        match hosts {
            Some(hosts) => {
                if let Some(known) = self.named.entry(hosts, comparisons, || 0) {
                    *known = known.saturating_add(comparisons);
                }
            }
            None => self.unnamed = self.unnamed.saturating_add(comparisons),
        }
    }

    /// Whether everything was compared on the hosts of the config, where that is required.
    pub(super) fn check(&self) -> Option<Check> {
        let expected = self.expected.as_ref()?;
        let others = || self.named.iter().filter(|(hosts, _)| hosts != expected);
        let of_others = others().fold(self.named.left_out(), |sum, (_, found)| sum.saturating_add(*found));
        let found = of_others.saturating_add(self.unnamed);
        let named = others().next().map(|(hosts, _)| format!(", such as {hosts}")).unwrap_or_default();
        let unnamed = if self.unnamed > 0 {
            format!(
                ", {} of them without hosts, of an older version: begin after it with --since",
                count(self.unnamed)
            )
        } else {
            String::new()
        };
        let text = format!(
            "{} compared on other hosts than those of the config ({expected}), at most 0{named}{unnamed}",
            count(found)
        );
        Some(Check { name: "hosts", passed: found == 0, found: Some(found as f64), threshold: 0.0, text })
    }

    /// Logs of several vendors in one report prove nothing of either.
    pub(super) fn note(&self) -> Option<String> {
        let mut named: Vec<_> = self.named.iter().map(|(hosts, _)| hosts).collect();
        named.sort_unstable();
        (named.len() > 1).then(|| {
            format!("COMPARED ON SEVERAL VENDORS: {}. Are all files of one deployment?", named.join("; "))
        })
    }
}
