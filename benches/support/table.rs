//! The readings as one table: medians over the rounds, and each ratio as the median of the rounds' own ratios.

use std::{fmt::Write as _, io, io::Write as _};

use super::{
    measure::{Reading, Slot},
    scenario::Target,
};

/// Writes the table to standard output.
pub(crate) fn print(slots: &[Slot<'_>]) -> io::Result<()> {
    let mut text = format!(
        "{:<8} {:<20} {:>10} {:>12} {:>6} {:>8} {:>8} {:>9}  verdict\n",
        "server", "scenario", "requests/s", "CPU µs/req", "±", "ratio", "target", "peak MiB"
    );
    for slot in slots {
        text.push_str(&row(slot, slots));
        text.push('\n');
    }
    text.push_str(&disturbance(slots));
    text.push_str("ratio: CPU per request over that of bare (pass-through), or of the same server passing the same bytes through\n");
    io::stdout().lock().write_all(text.as_bytes())
}

fn row(slot: &Slot<'_>, all: &[Slot<'_>]) -> String {
    let mut row = format!(
        "{:<8} {:<20} {:>10.0} {:>12.1} {:>5.0}%",
        slot.server.name,
        slot.scenario.name,
        median(slot.readings.iter().map(|reading| reading.requests_per_second)),
        median(slot.readings.iter().map(|reading| reading.cpu_micros)),
        spread(&slot.readings),
    );
    let (Target::OfBare(target) | Target::OfPassThrough(_, target)) = slot.scenario.target;
    let ratio = all.iter().find(|base| base.is_base_of(slot)).map(|base| ratio(slot, base));
    let verdict = match ratio {
        Some(ratio) if ratio <= target => "met",
        Some(_) => "MISSED",
        None => "",
    };
    let numbers = ratio.map(|ratio| (format!("{ratio:.2}"), format!("{target:.2}"))).unwrap_or_default();
    let peak = slot.readings.iter().map(|reading| reading.peak_kib).max().unwrap_or_default() / 1024;
    let _ = write!(row, " {:>8} {:>8} {peak:>9}  {verdict}", numbers.0, numbers.1);
    let calls = median(slot.readings.iter().map(|reading| reading.upstream_calls));
    if (calls - 1.0).abs() > 0.05 {
        let _ = write!(row, "  ({calls:.2} upstream calls per request: not the same work)");
    }
    row
}

/// Half the way from the cheapest round to the dearest, in percent of the median.
fn spread(readings: &[Reading]) -> f64 {
    let costs = || readings.iter().map(|reading| reading.cpu_micros);
    let (least, most) = (costs().fold(f64::INFINITY, f64::min), costs().fold(0.0, f64::max));
    (most - least) / 2.0 / median(costs()) * 100.0
}

/// Ratios hold on a quiet machine; this line says how quiet it was.
fn disturbance(slots: &[Slot<'_>]) -> String {
    let taken = || slots.iter().flat_map(|slot| &slot.readings).map(|reading| reading.taken_by_others);
    let (typical, most) = (median(taken()), taken().fold(0.0, f64::max));
    let advice =
        if typical > 0.1 { ": too much for ratios to be believed, run it again in peace" } else { "" };
    format!("\nother processes kept {typical:.2} CPUs busy (median; at most {most:.2}){advice}\n")
}

fn ratio(slot: &Slot<'_>, base: &Slot<'_>) -> f64 {
    let of = |(reading, base): (&Reading, &Reading)| reading.cpu_micros / base.cpu_micros;
    median(slot.readings.iter().zip(&base.readings).map(of))
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
