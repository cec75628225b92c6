//! Whether a row of the legacy API and a row of the new API are one record. A true double must never be taken for one.

use std::borrow::Cow;

use crate::translate::conversion::{Conversion, is_same_recipient};
use crate::translate::decimal;
use crate::translate::facts::Facts;
use crate::translate::identifier;
use crate::translate::json::Text;
use crate::translate::timestamp;

/// Whether two conversions in the legacy format, one of each side, are one record: mirrors are known, reference, assets, amount and
/// profiles are equal, and so is the id or the time of creation.
#[must_use]
pub(crate) fn is_same_record(facts: Facts, one: &[u8], other: &[u8]) -> bool {
    let parsed = || Conversion::parse(one).ok().zip(Conversion::parse(other).ok());
    facts.has_mirrors() && parsed().is_some_and(|(one, other)| agree(&one, &other))
}

/// Whether two conversions in the legacy format that carry one id agree about the money; one of them may lack the reference.
#[must_use]
pub(crate) fn is_same_money(one: &[u8], other: &[u8]) -> bool {
    let parsed = Conversion::parse(one).ok().zip(Conversion::parse(other).ok());
    parsed.is_some_and(|(one, other)| {
        let references = reference(one.ref_id).zip(reference(other.ref_id));
        references.is_none_or(|(one, other)| one == other) && agree_about_money(&one, &other)
    })
}

fn agree(one: &Conversion<'_>, other: &Conversion<'_>) -> bool {
    reference(one.ref_id) == reference(other.ref_id)
        && agree_about_money(one, other)
        // A mirror keeps the id or the instant of its original; a second conversion would share one only by chance.
        && (same_id(one.id, other.id) || same_instant(one.created_at, other.created_at))
}

fn agree_about_money(one: &Conversion<'_>, other: &Conversion<'_>) -> bool {
    // Everything that names money must agree. A double that is hidden is money that nobody looks for; one that is shown twice only puzzles.
    same_asset(one.source_asset, other.source_asset)
        && same_asset(one.target_asset, other.target_asset)
        && same_id(one.profile_id, other.profile_id)
        && is_same_recipient(one.recipient(), other.recipient())
        && both(one.amount, other.amount).is_some_and(|(one, other)| decimal::same(&one, &other))
}

/// The sides may write one UUID, and one asset, in different letter case.
fn same_id(one: Option<Text<'_>>, other: Option<Text<'_>>) -> bool {
    both(one, other).is_some_and(|(one, other)| identifier::same(&one, &other) && !one.is_empty())
}

fn same_asset(one: Option<Text<'_>>, other: Option<Text<'_>>) -> bool {
    both(one, other).is_some_and(|(one, other)| identifier::same_asset(&one, &other) && !one.is_empty())
}

/// The new API makes no record without a reference, so one that it lists without can only be a mirror.
fn reference(ref_id: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    ref_id.and_then(Text::value).filter(|ref_id| !ref_id.is_empty())
}

/// The sides may write different numbers of digits.
fn same_instant(one: Option<Text<'_>>, other: Option<Text<'_>>) -> bool {
    let instants = both(one, other)
        .map(|(one, other)| (timestamp::parse_any_form(&one), timestamp::parse_any_form(&other)));
    matches!(instants, Some((Some(one), Some(other))) if one == other)
}

fn both<'a>(one: Option<Text<'a>>, other: Option<Text<'a>>) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    one.and_then(Text::value).zip(other.and_then(Text::value))
}
