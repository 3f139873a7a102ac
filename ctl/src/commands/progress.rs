// SPDX-License-Identifier: GPL-2.0-only
//! How long work goes on: a live row on a terminal, lines now and then elsewhere, a line of JSON for each event for programs.
//! All on standard error.

use crate::output::bytes;
use crate::replica::{Event, Listener};
use crate::time::Time;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two lines of the same kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows the progress of one disk's changes.
pub struct Display {
    disk: String,
    form: Form,
    started: Instant,
    /// When a comparison began.
    compares: Instant,
    last_line: Option<Instant>,
    /// Bytes of changes and the batches they came in, since the start.
    brought: (u64, u64),
    rate: Rate,
    is_caught_up: bool,
}

/// How fast changes come, since something has waited.
#[derive(Default)]
struct Rate(Option<(Instant, u64)>);

impl Rate {
    /// So many bytes have come by now; gives bytes a second, where there is a time to divide by.
    fn brought(&mut self, bytes: u64, now: Instant) -> Option<u64> {
        let (began, before) = self.0.unwrap_or((now, 0));
        // The first batch says when it begins.
        let since = if self.0.is_none() { 0 } else { before + bytes };
        self.0 = Some((began, since));
        let seconds = now.duration_since(began).as_secs_f64();
        (seconds > 0.0).then(|| (since as f64 / seconds) as u64)
    }
}

enum Form {
    Row(ProgressBar),
    Lines,
    Json,
}

impl Display {
    /// For people, or for programs.
    pub fn new(disk: &str, json: bool) -> Self {
        let form = match json {
            true => Form::Json,
            false if std::io::stderr().is_terminal() => Form::Row(row()),
            false => Form::Lines,
        };
        let disk = disk.to_string();
        let now = Instant::now();
        Display {
            disk,
            form,
            started: now,
            compares: now,
            last_line: None,
            brought: (0, 0),
            rate: Rate::default(),
            is_caught_up: false,
        }
    }

    /// A line that is said in any case.
    pub fn say(&mut self, text: &str) {
        match &self.form {
            Form::Row(row) => row.println(format!("{}: {text}", self.disk)),
            Form::Lines => eprintln!("{}: {text}", self.disk),
            Form::Json => self.json(&json!({ "event": "said", "text": text })),
        }
    }

    fn json(&self, event: &serde_json::Value) {
        let mut event = event.clone();
        event["disk"] = self.disk.as_str().into();
        // A reader that went away is no failure of the work.
        let _ = writeln!(std::io::stderr(), "{event}");
    }

    /// A row, or a line if the last one of this kind is old enough or this one is the last.
    fn show(&mut self, text: String, is_last: bool) {
        match &self.form {
            Form::Row(row) => row.set_message(format!("{}: {text}", self.disk)),
            Form::Lines if is_last || self.last_line.is_none_or(|last| last.elapsed() >= INTERVAL) => {
                eprintln!("{}: {text}", self.disk);
                self.last_line = Some(Instant::now());
            }
            Form::Lines | Form::Json => {}
        }
    }

    /// So much of the disk is done of work that began at some time.
    fn come(&mut self, work: &str, done: u64, of: u64, began: Instant) {
        let rate = done as f64 / began.elapsed().as_secs_f64().max(0.001);
        let percent = (done as u128 * 100).checked_div(of.into()).unwrap_or(100);
        let (done_text, of_text) = (bytes(done), bytes(of));
        let text = format!("{work}: {done_text} of {of_text} ({percent} %), {}/s", bytes(rate as u64));
        if let Form::Row(row) = &self.form {
            row.set_style(style(BAR));
            row.set_length(of);
            row.set_position(done);
        }
        self.show(text, done == of);
    }

    fn brought(&mut self, brought: u64, pending: u64, time: Time) {
        self.brought = (self.brought.0 + brought, self.brought.1 + 1);
        let rate =
            self.rate.brought(brought, Instant::now()).map_or(String::new(), |rate| format!(", {}/s", bytes(rate)));
        let text = format!("{}{rate}; {} wait, {} s behind", self.total(), bytes(pending), seconds_since(time));
        self.spin();
        self.show(text, false);
    }

    /// Nobody knows how much there is to do.
    fn spin(&self) {
        if let Form::Row(row) = &self.form {
            row.set_style(style(SPINNER));
        }
    }

    fn total(&self) -> String {
        let (total, batches) = self.brought;
        format!("{} in {batches} {}", bytes(total), if batches == 1 { "batch" } else { "batches" })
    }
}

const SPINNER: &str = "{spinner} {wide_msg}";
const BAR: &str = "[{bar:16}] {wide_msg}";

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a template that is a constant").progress_chars("=> ")
}

fn row() -> ProgressBar {
    let row = ProgressBar::new_spinner();
    row.set_style(style(SPINNER));
    row.enable_steady_tick(Duration::from_millis(120));
    row
}

fn seconds_since(time: Time) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().saturating_sub(time.units() / 10_000_000)
}

impl Listener for Display {
    fn event(&mut self, event: Event) {
        if let Form::Json = self.form {
            // Every event is made of strings and numbers.
            self.json(&serde_json::to_value(&event).expect("an event is JSON"));
        }
        let was_caught_up = std::mem::replace(&mut self.is_caught_up, event == Event::CaughtUp);
        match event {
            Event::Copied { bytes, of } => self.come("full copy", bytes, of, self.started),
            Event::Compared { bytes: 0, .. } => self.compares = Instant::now(),
            Event::Compared { bytes, of } => self.come("compared", bytes, of, self.compares),
            Event::Batch { bytes, pending, time } => self.brought(bytes, pending, time),
            Event::Tag { name, is_exact } if !matches!(self.form, Form::Json) => {
                let exact = if is_exact { ", a true point in time" } else { "" };
                self.say(&format!("passed the tag {name}{exact}"));
            }
            Event::Anew { reason } if !matches!(self.form, Form::Json) => {
                self.say(&format!("is copied anew: {reason}"));
            }
            Event::CaughtUp if !was_caught_up => {
                self.rate = Rate::default();
                self.spin();
                self.show(format!("up to date: {}", self.total()), true);
            }
            Event::CaughtUp | Event::Tag { .. } | Event::Anew { .. } => {}
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Form::Row(row) = &self.form {
            row.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_what_came_since_the_first_batch() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        let seconds = |count| start + Duration::from_secs(count);
        assert_eq!(rate.brought(1000, start), None);
        assert_eq!(rate.brought(1000, seconds(2)), Some(500));
        assert_eq!(rate.brought(5000, seconds(3)), Some(2000));
    }
}
