//! The readings as one table: medians over the slices, and each ratio as the median of the slices' own ratios with its quartiles.

use std::{fmt::Write as _, io, io::Write as _};

use super::measure::{Reading, Slot};

/// The name of the server that all others are compared with.
const YARDSTICK: &str = "bare";

/// Writes the table to standard output.
pub(crate) fn print(slots: &[Slot<'_>]) -> io::Result<()> {
    let mut text = format!(
        "{:<8} {:<18} {:>10} {:>10} {:>7} {:>7} {:>6} {:>13} {:>7}  verdict\n",
        "server", "scenario", "requests/s", "CPU µs/req", "user", "kernel", "ratio", "quartiles", "target"
    );
    for slot in slots {
        text.push_str(&row(slot, slots));
        text.push('\n');
    }
    text.push_str(&disturbance(slots));
    text.push_str("ratio: CPU per request over that of bare, which passes the same bytes through\n");
    io::stdout().lock().write_all(text.as_bytes())
}

fn row(slot: &Slot<'_>, all: &[Slot<'_>]) -> String {
    let over = |value: fn(&Reading) -> f64| median(slot.readings.iter().map(value));
    let cpu = over(|reading| reading.cpu_micros);
    // Shares of single slices are too coarse; their mean over all slices is not.
    let shares = slot.readings.iter().map(|reading| reading.kernel_share).filter(|share| share.is_finite());
    let kernel = cpu * shares.sum::<f64>() / slot.readings.len() as f64;
    let mut row = format!(
        "{:<8} {:<18} {:>10.0} {cpu:>10.1} {:>7.1} {kernel:>7.1}",
        slot.server.name,
        slot.scenario.name,
        over(|reading| reading.requests_per_second),
        cpu - kernel,
    );
    let is_base =
        |base: &&Slot<'_>| base.server.name == YARDSTICK && base.scenario.name == slot.scenario.name;
    if let Some(base) = all.iter().find(is_base).filter(|_| slot.server.name != YARDSTICK) {
        let [low, ratio, high] = ratios(slot, base);
        let target = if slot.server.is_bare { 1.0 } else { slot.scenario.target };
        let verdict = match (slot.server.is_bare, ratio <= target) {
            (true, _) => "",
            (false, true) => "met",
            (false, false) => "MISSED",
        };
        let quartiles = format!("{low:.2}–{high:.2}");
        let _ = write!(row, " {ratio:>6.2} {quartiles:>13} {target:>7.2}  {verdict}");
    }
    let calls = over(|reading| reading.upstream_calls);
    if (calls - 1.0).abs() > 0.05 {
        let _ = write!(row, "  ({calls:.2} upstream calls per request)");
    }
    row
}

/// Ratios hold on a quiet machine; this line says how quiet it was.
fn disturbance(slots: &[Slot<'_>]) -> String {
    let taken = || slots.iter().flat_map(|slot| &slot.readings).map(|reading| reading.taken_by_others);
    let (typical, most) = (median(taken()), taken().fold(0.0, f64::max));
    let advice =
        if typical > 0.1 { ": too much for ratios to be believed, run it again in peace" } else { "" };
    format!("\nother processes kept {typical:.2} CPUs busy (median; at most {most:.2}){advice}\n")
}

/// The quartiles of the slices' ratios; the second is the median.
fn ratios(slot: &Slot<'_>, base: &Slot<'_>) -> [f64; 3] {
    let of = |(reading, base): (&Reading, &Reading)| reading.cpu_micros / base.cpu_micros;
    let mut ratios: Vec<f64> = slot.readings.iter().zip(&base.readings).map(of).collect();
    ratios.sort_by(f64::total_cmp);
    let quarter = ratios.len() / 4;
    [ratios[quarter], median(ratios.iter().copied()), ratios[ratios.len() - 1 - quarter]]
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
