// SPDX-License-Identifier: GPL-2.0-only
//! One row for each thing being worked on, redrawn in place; what is over scrolls up as plain lines.

use super::{Style, plain};
use crate::event::{Event, Listener};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Draws rows on standard error.
pub struct Live {
    screen: MultiProgress,
    rows: Mutex<BTreeMap<String, ProgressBar>>,
    style: Style,
}

impl Live {
    /// An empty screen.
    pub fn new() -> Self {
        let style = Style::detect(&std::io::stderr());
        Live { screen: MultiProgress::new(), rows: Mutex::new(BTreeMap::new()), style }
    }

    fn stage(&self, subject: String, stage: String) {
        let Ok(mut rows) = self.rows.lock() else { return };
        let row = rows.entry(subject).or_insert_with_key(|subject| self.row(subject));
        row.set_message(stage);
    }

    fn row(&self, subject: &str) -> ProgressBar {
        let row = self.screen.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {wide_msg} {elapsed}") {
            row.set_style(style);
        }
        row.set_prefix(subject.to_owned());
        row.enable_steady_tick(Duration::from_millis(200));
        row
    }

    fn scroll(&self, event: &Event) {
        // A terminal that went away must not stop the work that is being told about.
        let _ = self.screen.println(plain::line(event, self.style));
    }
}

impl Listener for Live {
    fn event(&self, event: Event) {
        match event {
            Event::Stage { subject, stage } => self.stage(subject, stage),
            Event::Note { .. } => self.scroll(&event),
            Event::Done { ref subject, .. } => {
                if let Some(row) = self.rows.lock().ok().and_then(|mut rows| rows.remove(subject)) {
                    row.finish_and_clear();
                    self.screen.remove(&row);
                }
                self.scroll(&event);
            }
        }
    }
}
