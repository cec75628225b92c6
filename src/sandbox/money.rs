//! Exact amounts and the assets' precision. Knows nothing of profiles or records.
//!
//! An amount is a whole number of 10⁻¹⁸ parts. Every asset has at most eight decimals, so integers do, and a decimal
//! crate would add more surface than the forty lines below.

use std::fmt;

const DECIMALS: u32 = 18;
const ONE: u128 = 10_u128.pow(DECIMALS);

/// An amount of some asset; never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(u128);

impl Amount {
    pub(super) const ZERO: Self = Self(0);

    /// Reads `^[0-9]*\.?[0-9]+$`; `None` for anything else and for what 18 decimals or 128 bits cannot hold.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let needed = fraction.unwrap_or(whole);
        if needed.is_empty() || !is_digits(whole) || !is_digits(needed) {
            return None;
        }
        let fraction = fraction.unwrap_or("").trim_end_matches('0');
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let missing = DECIMALS.checked_sub(u32::try_from(fraction.len()).ok()?)?;
        let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        whole.checked_mul(ONE)?.checked_add(parts * 10_u128.pow(missing)).map(Self)
    }

    /// Whether the amount needs no more than this many decimals.
    pub(super) const fn fits(self, decimals: u32) -> bool {
        self.0.is_multiple_of(10_u128.pow(DECIMALS - decimals))
    }

    pub(super) fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The sum, or the largest amount there is.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:018}", self.0 % ONE);
        match fraction.trim_end_matches('0') {
            "" => write!(out, "{}", self.0 / ONE),
            fraction => write!(out, "{}.{fraction}", self.0 / ONE),
        }
    }
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
    use super::Amount;

    #[test]
    fn reads_what_the_documented_pattern_allows_and_nothing_else() {
        for (text, shown) in [("100", "100"), ("0.10", "0.1"), (".5", "0.5"), ("007", "7"), ("0", "0")] {
            assert_eq!(
                Amount::parse(text).map(|amount| amount.to_string()).as_deref(),
                Some(shown),
                "{text}"
            );
        }
        for text in ["", ".", "1.", "-1", "+1", "1e3", "1,0", " 1", "1.2.3", "0.0000000000000000001"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn precision_counts_the_decimals_that_matter() {
        let amount = Amount::parse("1.2300").unwrap();
        assert!(amount.fits(2));
        assert!(!amount.fits(1));
    }
}
