//! Numbers, shares and durations as people read them: in the report and on the operators' page.

#![expect(clippy::float_arithmetic, reason = "shares and milliseconds; no money is added up here")]

use jiff::{SignedDuration, Timestamp};

/// `1,234,567`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `9999`, `12k`, `3M`: at most five characters.
pub(crate) fn roughly(number: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")];
    let unit = UNITS.iter().find(|(size, _)| number >= 10_000 && number >= *size);
    unit.map_or_else(|| number.to_string(), |(size, letter)| format!("{}{letter}", (number / size).min(9999)))
}

/// `part / whole`; 0 when `whole` is 0.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// `12.5%`, with more digits the smaller the share, or what it lacks to the whole: only nothing reads as 0%, and only all as 100%.
pub(crate) fn percent(share: f64) -> String {
    const NEARLY_ALL: f64 = 99.999_999;
    let percent = if share < 1.0 { (share * 100.0).min(NEARLY_ALL) } else { share * 100.0 };
    let digits = match percent {
        percent if percent <= 0.0 || percent >= 100.0 => 0,
        percent if percent >= 99.99 => 6,
        percent if percent >= 99.9 => 3,
        percent if percent >= 10.0 => 1,
        percent if percent >= 1.0 => 2,
        percent if percent >= 0.01 => 4,
        _ => 6,
    };
    let text = format!("{percent:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}%")
}

/// `1h 30m`: to the second below an hour, to the minute from there.
pub(crate) fn span(seconds: i64) -> String {
    let days = seconds / 86_400;
    let rest = seconds % 86_400;
    let rest = if seconds >= 3600 { rest / 60 * 60 } else { rest };
    let short = format!("{:#}", SignedDuration::from_secs(rest));
    match (days, rest) {
        (0, _) => short,
        (_, 0) => format!("{days}d"),
        _ => format!("{days}d {short}"),
    }
}

/// `12.3 ms`
pub(crate) fn milliseconds(number: f64) -> String {
    let digits = if number >= 100.0 { 0 } else { 1 };
    format!("{number:.digits$} ms")
}

/// A timestamp to the second.
pub(crate) fn moment(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_rounded_and_given_units() {
        assert_eq!([count(7), count(999), count(1000), count(1_234_567)], ["7", "999", "1,000", "1,234,567"]);
        assert_eq!([9999, 12_345, 3_400_000, u64::MAX].map(roughly), ["9999", "12k", "3M", "9999T"]);
        let shares = [0.0, 1.0, 0.5, 0.125, 0.0312, 0.001, 0.0012, 0.000_000_2];
        let shown = ["0%", "100%", "50%", "12.5%", "3.12%", "0.1%", "0.12%", "0.00002%"];
        assert_eq!(shares.map(percent), shown);
        let nearly = [0.999, 0.999_5, 0.999_75, 0.999_9, 0.999_99, 0.999_999, 0.999_999_999_9];
        let shown = ["99.9%", "99.95%", "99.975%", "99.99%", "99.999%", "99.9999%", "99.999999%"];
        assert_eq!(nearly.map(percent), shown);
        assert_eq!(
            [span(0), span(61), span(3661), span(86_400), span(90_000)],
            ["0s", "1m 1s", "1h 1m", "1d", "1d 1h"]
        );
        assert_eq!(
            [milliseconds(0.25), milliseconds(12.34), milliseconds(1234.5)],
            ["0.2 ms", "12.3 ms", "1234 ms"]
        );
    }
}
