//! Timestamps are passed on verbatim and parsed only for comparison.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Parses an RFC 3339 timestamp as strictly as the legacy API: at most nine fraction digits, capital `T` and `Z`, no leap
/// second.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let (whole, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let separators = [whole[4], whole[7], whole[10], whole[13], whole[16]];
    if separators != *b"--T::" {
        return None;
    }
    let (nanosecond, zone) = fraction(rest)?;
    let [y1, y2, y3, y4, _, m1, m2, _, d1, d2, _, h1, h2, _, min1, min2, _, s1, s2] = *whole;
    let year = i16::from(number([y1, y2])?) * 100 + i16::from(number([y3, y4])?);
    let civil = DateTime::new(
        year,
        number([m1, m2])?,
        number([d1, d2])?,
        number([h1, h2])?,
        number([min1, min2])?,
        number([s1, s2])?,
        nanosecond,
    );
    let (civil, offset) = (civil.ok()?, offset(zone)?);
    // Clients write 9999-12-31T23:59:59Z for "no end", which exceeds `Timestamp::MAX`.
    offset.to_timestamp(civil).ok().or_else(|| (civil.year() == 9999).then_some(Timestamp::MAX))
}

/// As [`parse`], in every form that RFC 3339 allows (section 5.6): also `t`, a space, `z`, the second 60, which is taken for the one
/// before it, and a fraction of any length, which is cut after nine digits. For what an API answers: its schema names no other limit.
#[must_use]
pub(crate) fn parse_any_form(text: &str) -> Option<Timestamp> {
    parse(text).or_else(|| parse(&usual_form(text)?))
}

/// The text as the legacy API writes it.
fn usual_form(text: &str) -> Option<String> {
    let mut usual = text.as_bytes().to_vec();
    if let Some(separator @ (b't' | b' ')) = usual.get_mut(10) {
        *separator = b'T';
    }
    if let Some(zone @ b'z') = usual.last_mut() {
        *zone = b'Z';
    }
    if let Some(second) = usual.get_mut(17..19)
        && *second == *b"60"
    {
        second.copy_from_slice(b"59");
    }
    let digits =
        usual.get(20..).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    if usual.get(19) == Some(&b'.') && digits > SCALES.len() {
        usual.drain(20 + SCALES.len()..20 + digits);
    }
    String::from_utf8(usual).ok()
}

/// The value of two digits.
#[inline]
fn number([tens, ones]: [u8; 2]) -> Option<i8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if tens < 10 && ones < 10 { i8::try_from(tens * 10 + ones).ok() } else { None }
}

/// The nanoseconds of an optional fraction such as `.123`, and the rest.
fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else { return Some((0, text)) };
    let (mut value, mut length) = (0, 0);
    while let Some(digit @ b'0'..=b'9') = text.get(length) {
        let scale = SCALES.get(length)?;
        value += i32::from(digit - b'0') * scale;
        length += 1;
    }
    (length > 0).then_some((value, &text[length..]))
}

/// The nanoseconds that a digit of a fraction counts.
const SCALES: [i32; 9] = [100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1000, 100, 10, 1];

/// `Z` or `±hh:mm`.
fn offset(zone: &[u8]) -> Option<Offset> {
    match zone {
        b"Z" => Some(Offset::UTC),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (i32::from(number([*h1, *h2])?), i32::from(number([*m1, *m2])?));
            let seconds = (hours * 60 + minutes) * 60;
            let fits = hours < 24 && minutes < 60;
            fits.then(|| Offset::from_seconds(if *sign == b'-' { -seconds } else { seconds }).ok()).flatten()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_any_form};

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
    fn every_form_of_rfc_3339_means_the_same() {
        for (form, usual) in [
            ("2026-04-20T11:00:00Z", "2026-04-20T11:00:00Z"),
            ("2026-04-20t11:00:00.5z", "2026-04-20T11:00:00.5Z"),
            ("2026-04-20 11:00:00+02:00", "2026-04-20T09:00:00Z"),
            ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59Z"),
            ("2026-04-20t11:00:00.1234567891z", "2026-04-20T11:00:00.123456789Z"),
            ("2026-04-20T11:00:60.00000000099+02:00", "2026-04-20T11:00:59.000000000+02:00"),
        ] {
            assert_eq!(parse_any_form(form), parse(usual), "{form}");
        }
        for bad in [
            "",
            "z",
            "2026-04-20",
            "2026-04-20_11:00:00Z",
            "2026-04-20T11:00:00 02:00",
            "2026-04-20T11:00:61Z",
        ] {
            assert_eq!(parse_any_form(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_same_instant_in_two_zones_is_equal() {
        assert_eq!(parse("2026-04-20T11:00:00+02:00"), parse("2026-04-20T09:00:00.000Z"));
    }
}
