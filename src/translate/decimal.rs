//! Amounts stay strings end to end. This file validates and compares them without floating point.

/// Whether `text` matches the legacy API's pattern of an amount: `^[0-9]*\.?[0-9]+$`.
#[must_use]
pub(crate) fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or(("", text));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction) && !fraction.is_empty()
}

/// Whether two amounts are the same number: `100`, `100.0` and `0100` are.
#[must_use]
pub(crate) fn same(one: &str, other: &str) -> bool {
    is_decimal(one) && is_decimal(other) && significant(one) == significant(other)
}

fn significant(text: &str) -> (&str, &str) {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    (whole.trim_start_matches('0'), fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::{is_decimal, same};

    #[test]
    fn the_documented_pattern_decides_what_an_amount_is() {
        for good in ["1", "0", "100.25", ".5", "00.10", "123456789012345678901234567890.123456789"] {
            assert!(is_decimal(good), "{good}");
        }
        for bad in ["", ".", "1.", "-1", "+1", "1e3", "1,5", " 1", "1 ", "1.2.3", "NaN", "٣"] {
            assert!(!is_decimal(bad), "{bad}");
        }
    }

    #[test]
    fn amounts_are_compared_as_numbers() {
        for (one, other) in [("100", "100.00"), ("0100", "100"), (".5", "0.50"), ("0", ".0")] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [("100", "1000"), ("0.1", "0.01"), ("1", "x"), ("x", "x")] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
