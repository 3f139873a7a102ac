// SPDX-License-Identifier: GPL-2.0-only
//! One line for each event: for logs and continuous integration.

use super::Style;
use crate::event::{Event, Listener};
use std::io::Write;
use std::sync::Mutex;

/// Writes plain lines, whole ones even when several threads report at once.
pub struct Plain<W> {
    output: Mutex<W>,
    style: Style,
}

impl<W: Write> Plain<W> {
    /// Lines go to `output`.
    pub fn new(output: W, style: Style) -> Self {
        Plain { output: Mutex::new(output), style }
    }
}

impl<W: Write + Send> Listener for Plain<W> {
    fn event(&self, event: Event) {
        let line = line(&event, self.style);
        if let Ok(mut output) = self.output.lock() {
            // A closed pipe must not stop the work that is being told about.
            let _ = writeln!(output, "{line}").and_then(|()| output.flush());
        }
    }
}

/// One event as one line.
pub fn line(event: &Event, style: Style) -> String {
    match event {
        Event::Stage { subject, stage } => style.dim(&format!("{subject}: {stage}")),
        Event::Note { subject, text } => format!("{subject}: {text}"),
        Event::Done { subject, ok, text, millis } => {
            let verdict = if *ok { style.good("ok") } else { style.bad("FAILED") };
            format!("{subject}: {verdict} in {}: {text}", seconds(*millis))
        }
    }
}

/// Milliseconds as seconds with one decimal, or as minutes and seconds from two minutes on.
pub fn seconds(millis: u64) -> String {
    if millis < 120_000 {
        format!("{}.{} s", millis / 1000, millis % 1000 / 100)
    } else {
        format!("{} min {:02} s", millis / 60_000, millis / 1000 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_so_in_words_and_gives_its_reason() {
        let plain = Plain::new(Vec::new(), Style::PLAIN);
        plain.event(Event::Stage { subject: "k".into(), stage: "compile".into() });
        plain.event(Event::Done { subject: "k".into(), ok: false, text: "no compiler".into(), millis: 125_900 });
        let text = String::from_utf8(plain.output.into_inner().unwrap()).unwrap();
        assert_eq!(text, "k: compile\nk: FAILED in 2 min 05 s: no compiler\n");
    }

    #[test]
    fn times_are_short_to_read() {
        assert_eq!(seconds(0), "0.0 s");
        assert_eq!(seconds(9_960), "9.9 s");
        assert_eq!(seconds(119_999), "119.9 s");
        assert_eq!(seconds(120_000), "2 min 00 s");
    }
}
