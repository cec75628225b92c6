//! The answers that clients got against the vendor's records, for each reference.

use std::collections::BTreeSet;
use std::fmt;

use super::fleet::Register;
use crate::sandbox::Inspector;

/// The result of the demo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciliation {
    /// References that a client sent.
    pub(crate) references: usize,
    /// Conversions that the vendor holds, over both APIs.
    pub(crate) conversions: usize,
    /// References with more than one conversion.
    pub(crate) twice: usize,
    /// References whose client got a record that the vendor does not hold.
    pub(crate) lost: usize,
    /// References whose client never learned how it went.
    pub(crate) unanswered: usize,
    /// Conversions whose reference no client sent.
    pub(crate) unknown: usize,
    /// Answers that no client may get: another conversion than before, or a 404 for a known one.
    pub(crate) wrong: usize,
}

impl Reconciliation {
    pub(super) fn compare(register: &Register, vendor: &Inspector) -> Self {
        let held = vendor.conversions_by_ref();
        let (entries, wrong) = register.snapshot();
        let sent: BTreeSet<_> = entries.iter().map(|entry| entry.reference.as_str()).collect();
        let total = |tally: &crate::sandbox::Tally| tally.legacy + tally.new;
        let answered = || entries.iter().filter_map(|entry| Some((entry, entry.id.as_deref()?)));
        Self {
            references: entries.len(),
            conversions: held.values().map(total).sum(),
            twice: held.values().filter(|tally| total(tally) > 1).count(),
            lost: answered()
                .filter(|(entry, id)| {
                    let record = vendor.side_of(id).and_then(|side| vendor.record(side, id));
                    record.is_none_or(|record| record["ref_id"] != entry.reference.as_str())
                })
                .count(),
            unanswered: entries.len() - answered().count(),
            unknown: held.keys().filter(|reference| !sent.contains(reference.as_str())).count(),
            wrong,
        }
    }

    /// Whether every reference has exactly one conversion, the one in its client's answer.
    pub(crate) const fn is_clean(&self) -> bool {
        self.references == self.conversions
            && self.twice == 0
            && self.lost == 0
            && self.unanswered == 0
            && self.unknown == 0
            && self.wrong == 0
    }

    /// What is wrong beside doubles and losses.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let rows = [
            (self.unanswered, "references whose client never learned how it went"),
            (self.unknown, "conversions whose reference no client sent"),
            (self.wrong, "answers that contradict an earlier one"),
        ];
        rows.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
    }
}

impl fmt::Display for Reconciliation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { references, conversions, twice, lost, .. } = self;
        write!(out, "{references} references, {conversions} conversions, {twice} twice, {lost} lost")
    }
}
