//! Timestamps: kept verbatim where they are carried, read only where they are compared.

use jiff::Timestamp;

/// Reads an RFC 3339 timestamp with at most nanoseconds, as strictly as the old API: capital `T` and `Z`, no leap second.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    has_shape(text.as_bytes()).then(|| text.parse().ok().or_else(|| end_of_time(text))).flatten()
}

/// The last hours of the year 9999 are legal RFC 3339 and what clients write for "no end", but more than a [`Timestamp`]
/// can hold: they are its last instant. The year before tells whether the rest is a date (neither is a leap year).
fn end_of_time(text: &str) -> Option<Timestamp> {
    let year_before = format!("9998{}", text.strip_prefix("9999")?);
    year_before.parse().ok().map(|_: Timestamp| Timestamp::MAX)
}

/// `2006-01-02T15:04:05`, up to nine digits of a fraction, `Z` or `±hh:mm`.
fn has_shape(text: &[u8]) -> bool {
    let Some((whole, rest)) = text.split_at_checked(19) else { return false };
    let fits = whole.iter().zip(b"dddd-dd-ddTdd:dd:dd").all(|(byte, shape)| fits(*byte, *shape));
    let fraction = match rest.strip_prefix(b".") {
        Some(digits) => digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        None => 0,
    };
    let zone = &rest[if rest.starts_with(b".") { fraction + 1 } else { 0 }..];
    fits && whole[17] < b'6'
        && fraction <= 9
        && (fraction > 0 || !rest.starts_with(b"."))
        && (zone == b"Z"
            || zone.len() == 6 && zone.iter().zip(b"+dd:dd").all(|(byte, shape)| fits_zone(*byte, *shape)))
}

fn fits(byte: u8, shape: u8) -> bool {
    if shape == b'd' { byte.is_ascii_digit() } else { byte == shape }
}

fn fits_zone(byte: u8, shape: u8) -> bool {
    fits(byte, shape) || shape == b'+' && byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn takes_rfc_3339_and_nothing_else() {
        for good in [
            "2026-04-20T11:00:00Z",
            "2026-04-20T11:00:00.1Z",
            "2026-04-20T11:00:00.123456789Z",
            "2026-04-20T11:00:00+02:00",
            "2026-04-20T11:00:00.5-11:30",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "2026-04-20",
            "2026-04-20T11:00:00",
            "2026-04-20 11:00:00Z",
            "2026-04-20t11:00:00z",
            "2026-04-20T11:00Z",
            "2026-04-20T11:00:60Z",
            "2026-02-30T11:00:00Z",
            "9999-12-32T00:00:00Z",
            "2026-04-20T25:00:00Z",
            "2026-04-20T11:00:00.Z",
            "2026-04-20T11:00:00.1234567890Z",
            "2026-04-20T11:00:00+0200",
            "2026-04-20T11:00:00 02:00",
            "2026-04-20T11:00:00Z[UTC]",
            "1776682800",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_same_instant_in_two_zones_is_equal() {
        assert_eq!(parse("2026-04-20T11:00:00+02:00"), parse("2026-04-20T09:00:00.000Z"));
    }
}
