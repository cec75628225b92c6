//! How far a walk is: one line that changes on a terminal, and a line every few seconds elsewhere.

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::sleep;

use super::output::print_error;
use crate::reconcile::{VendorSource, WalkView};
use crate::telemetry::format::count;

/// Between two lines of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Between two changes of the line on a terminal.
const BAR_EVERY: Duration = Duration::from_millis(200);

pub(super) struct ProgressLine {
    name: &'static str,
    is_terminal: bool,
    start: Instant,
    shown: Mutex<PrintedProgress>,
}

#[derive(Default)]
struct PrintedProgress {
    last: Option<Instant>,
    /// Rows, and the time up to which all was seen, when the first records were there.
    first: Option<(u64, i64)>,
    width: usize,
}

impl ProgressLine {
    pub(super) fn new(name: &'static str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { name, is_terminal, start: Instant::now(), shown: Mutex::default() }
    }

    /// Shows how far it is, and with `delay` why it is not at its usual pace.
    pub(super) fn show(&self, view: &WalkView<'_>, delay: Option<String>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let rows: u64 = view.progress.rows.iter().sum();
        if rows > 0 {
            shown.first.get_or_insert((rows, view.progress.position));
        }
        if shown.last.get_or_insert(self.start).elapsed() < self.every() {
            return;
        }
        let delay = delay.map(|delay| format!(", {delay}")).unwrap_or_default();
        let line = self.line(view, rows, shown.first) + &delay;
        self.print(&mut shown, &line);
    }

    /// Shows what the walk waits for, as long as it does. Never ends.
    pub(super) async fn show_waits(&self, source: &VendorSource) -> Infallible {
        loop {
            sleep(self.every()).await;
            if let Some(delay) = source.wait() {
                let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                self.print(&mut shown, &format!("{} {delay}", self.name));
            }
        }
    }

    fn every(&self) -> Duration {
        if self.is_terminal { BAR_EVERY } else { LINE_EVERY }
    }

    fn print(&self, shown: &mut PrintedProgress, line: &str) {
        shown.last = Some(Instant::now());
        if self.is_terminal {
            let width = std::mem::replace(&mut shown.width, line.len());
            print_error(&format!("\r{line:width$}"));
        } else {
            print_error(&format!("{line}\n"));
        }
    }

    fn line(&self, view: &WalkView<'_>, rows: u64, first: Option<(u64, i64)>) -> String {
        let seconds = self.start.elapsed().as_secs().max(1);
        let pages: u64 = view.progress.pages.iter().sum();
        let position = Timestamp::from_second(view.progress.position).unwrap_or(view.begin);
        let (done, left) = first.map_or((0, 0), |(_, from)| {
            (view.progress.position.abs_diff(from), view.end.as_second().abs_diff(view.progress.position))
        });
        // By time, because the number of records is not known.
        let ends_in = seconds.saturating_mul(left).checked_div(done);
        let ends_in = ends_in.map_or_else(|| "unknown".into(), |seconds| format!("{seconds} s"));
        let bar = bar(done, left);
        format!(
            "{} {bar} {} rows, {} pages, {} rows/s, at {position}, time left {ends_in}",
            self.name,
            count(rows),
            count(pages),
            count(rows / seconds),
        )
    }

    pub(super) fn end(&self) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_terminal && shown.width > 0 {
            print_error(&format!("\r{:width$}\r", "", width = shown.width));
        }
    }
}

fn bar(done: u64, left: u64) -> String {
    const WIDTH: u64 = 20;
    let filled = (done * WIDTH).checked_div(done + left).unwrap_or_default().min(WIDTH) as usize;
    format!("[{:<20}]", "#".repeat(filled))
}
