//! Values of gauges.

pub(super) fn boolean(value: bool) -> f64 {
    f64::from(u8::from(value))
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats, and none of these comes near 2^53")]
pub(super) const fn float(number: u64) -> f64 {
    number as f64
}
