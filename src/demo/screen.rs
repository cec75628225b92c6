//! What the demo shows: a picture that is redrawn in place on a terminal, lines elsewhere.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Instant;

use anstyle::{AnsiColor, Style};

use super::DemoError;
use super::totals::{Totals, tenths};

/// The newest events that stay on the picture.
const EVENTS_SHOWN: usize = 5;
/// Clears from the cursor to the end of its line.
const CLEAR_LINE: &str = "\x1b[K";

/// A terminal that can be redrawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// In columns.
    pub(crate) width: fn() -> usize,
    pub(crate) colored: bool,
}

/// Where the demo is shown.
pub(crate) struct Screen {
    out: Box<dyn Write + Send>,
    terminal: Option<Terminal>,
    start: Instant,
    head: String,
    steps: Vec<&'static str>,
    at: usize,
    what: &'static str,
    events: VecDeque<String>,
    /// Lines of the picture that is there.
    drawn: usize,
}

type ScreenResult = Result<(), DemoError>;

impl Screen {
    /// Without a terminal: plain lines.
    pub(crate) fn new(out: Box<dyn Write + Send>, terminal: Option<Terminal>) -> Self {
        let start = Instant::now();
        let (head, steps, events) = Default::default();
        Self { out, terminal, start, head, steps, at: 0, what: "", events, drawn: 0 }
    }

    /// `steps` are the names of all steps in their order.
    pub(super) fn begin(&mut self, head: String, steps: Vec<&'static str>) -> ScreenResult {
        (self.start, self.head, self.steps) = (Instant::now(), head, steps);
        if self.terminal.is_none() {
            let head = self.head.clone();
            self.line(&head)?;
        }
        Ok(())
    }

    /// The proxy is in the stage of that step.
    pub(super) fn step(&mut self, at: usize, what: &'static str) -> ScreenResult {
        (self.at, self.what) = (at, what);
        self.event(&format!("{}: {what}", self.step_name()))
    }

    fn step_name(&self) -> &'static str {
        self.steps.get(self.at).copied().unwrap_or_default()
    }

    pub(super) fn step_ends(&mut self, totals: &Totals) -> ScreenResult {
        if self.terminal.is_some() {
            return self.show(totals);
        }
        self.line(&format!("         {}", totals.summary()))
    }

    pub(super) fn event(&mut self, text: &str) -> ScreenResult {
        let text = format!("{:>6} s {text}", tenths(self.milliseconds()));
        if self.terminal.is_none() {
            return self.line(&text);
        }
        self.events.push_back(text);
        while self.events.len() > EVENTS_SHOWN {
            self.events.pop_front();
        }
        Ok(())
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or_default()
    }

    /// Draws the picture, on a terminal.
    pub(super) fn show(&mut self, totals: &Totals) -> ScreenResult {
        let Some(terminal) = self.terminal else { return Ok(()) };
        let width = (terminal.width)();
        let lines = self.picture(totals);
        let mut text = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        for (line, style) in &lines {
            // A line that wraps would take two, and the next picture would begin too low.
            let line: String = line.chars().take(width.saturating_sub(1)).collect();
            if terminal.colored {
                text += &format!("{style}{line}{style:#}{CLEAR_LINE}\n");
            } else {
                text += &format!("{line}{CLEAR_LINE}\n");
            }
        }
        self.drawn = lines.len();
        self.write(&text)
    }

    fn picture(&self, totals: &Totals) -> Vec<(String, Style)> {
        let plain = Style::new();
        let stages = self
            .steps
            .iter()
            .enumerate()
            .map(|(at, name)| if at == self.at { format!("[{name}]") } else { format!(" {name} ") });
        let stages: String = stages.collect();
        let mut lines = vec![
            (self.head.clone(), plain.dimmed()),
            (format!("{:>6} s {stages}", tenths(self.milliseconds())), AnsiColor::Green.on_default().bold()),
            (format!("         {}: {}", self.step_name(), self.what), plain),
            (String::new(), plain),
        ];
        let rows = totals.rows();
        lines.extend(rows.into_iter().map(|(label, text)| (format!("{label:>16}  {text}"), plain)));
        lines.push((String::new(), plain));
        let none = std::iter::repeat_n("", EVENTS_SHOWN.saturating_sub(self.events.len()));
        let events = self.events.iter().map(String::as_str).chain(none);
        lines.extend(events.map(|event| (event.to_owned(), plain.dimmed())));
        lines
    }

    pub(super) fn end(&mut self, totals: &Totals) -> ScreenResult {
        if self.terminal.is_some() {
            return self.show(totals);
        }
        for (label, text) in totals.rows() {
            self.line(&format!("{label:>16}  {text}"))?;
        }
        Ok(())
    }

    /// One more line, below everything.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), DemoError> {
        self.write(&format!("{text}\n"))
    }

    fn write(&mut self, text: &str) -> ScreenResult {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            // A reader that closed its end, as `head` does, has what it wanted; the exit code is the verdict all the same.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(DemoError::Screen),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct ScreenBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for ScreenBuffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn drawn(colored: bool) -> String {
        let page = ScreenBuffer::default();
        let terminal = Terminal { width: || 20, colored };
        let mut screen = Screen::new(Box::new(page.clone()), Some(terminal));
        screen.begin("the head of the picture".into(), vec!["observe", "shadow"]).unwrap();
        screen.step(0, "everything").unwrap();
        screen.show(&Totals::default()).unwrap();
        screen.show(&Totals::default()).unwrap();
        let text = page.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_terminal_is_redrawn_in_place_and_no_line_wraps() {
        let text = drawn(false);
        let lines = text.matches(CLEAR_LINE).count() / 2;
        assert!(text.contains(&format!("\x1b[{lines}A")), "{text:?}");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.lines().all(|line| line.chars().count() < 20), "{plain}");
    }

    #[test]
    fn without_color_only_the_cursor_moves() {
        assert!(drawn(true).contains("\x1b[32m"), "{:?}", drawn(true));
        assert!(!drawn(false).contains("\x1b[32m"));
    }
}
