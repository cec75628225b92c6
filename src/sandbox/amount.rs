//! Exact amounts as [`Decimal`], and how many decimals each asset has.

use rust_decimal::Decimal;

/// Reads the vendor's documented pattern `^[0-9]*\.?[0-9]+$`. `None` for anything else, and for more than 28 significant decimals.
pub(super) fn parse(text: &str) -> Option<Decimal> {
    // `Decimal` also reads signs and underscores, which the pattern excludes.
    let (whole, fraction) = text.split_once('.').unwrap_or(("", text));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    // Trailing zeros are no precision, but would count against the 28 decimals.
    let significant =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    Decimal::from_str_exact(if significant.is_empty() { "0" } else { significant }).ok()
}

/// The shortest plain decimal: no trailing zeros.
pub(super) fn format(amount: Decimal) -> String {
    amount.normalize().to_string()
}

/// Whether the amount needs no more than this many decimals.
pub(super) fn fits(amount: Decimal, decimals: u32) -> bool {
    amount.normalize().scale() <= decimals
}

/// How many decimals an asset has; `None` for an asset that the sandbox does not trade.
pub(super) fn precision(asset: &str) -> Option<u32> {
    match asset {
        "USD" => Some(2),
        "PYUSD" | "USDC" => Some(6),
        "USDG" | "USDP" => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{fits, format, parse};

    #[test]
    fn only_the_documented_pattern_is_an_amount() {
        let long = format!("1.{}", "0".repeat(40));
        let cases = [("100", "100"), ("0.10", "0.1"), (".5", "0.5"), ("007", "7"), ("0", "0"), (".0", "0")];
        for (text, shown) in cases.into_iter().chain([(long.as_str(), "1")]) {
            assert_eq!(parse(text).map(format).as_deref(), Some(shown), "{text}");
        }
        let too_precise = format!("0.{}1", "0".repeat(28));
        for text in ["", ".", "1.", "-1", "+1", "1_0", "1e3", "1,0", " 1", "1.2.3", too_precise.as_str()] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn trailing_zeros_are_no_precision() {
        let amount = parse("1.2300").unwrap();
        assert!(fits(amount, 2));
        assert!(!fits(amount, 1));
    }
}
