// SPDX-License-Identifier: GPL-2.0-only
//! Shows the farm's events: plain lines for a log, live rows for a terminal, JSON lines for a program.

mod json;
mod live;
mod plain;
mod style;

use crate::event::Listener;
use clap::ValueEnum;
use std::io::IsTerminal;

pub use plain::seconds;
pub use style::Style;

/// How the progress of long work is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line for each event
    Plain,
    /// One row for each thing being worked on, redrawn in place
    Live,
    /// One JSON object a line for each event
    Json,
}

impl Format {
    /// What suits the place that progress goes to: rows on a terminal, lines anywhere else.
    pub fn detect() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stderr().is_terminal() && !dumb { Format::Live } else { Format::Plain }
    }
}

/// Opens a display; without a `format`, the one that suits where standard error goes.
///
/// Plain and live progress go to standard error, so that standard output carries results alone.
/// JSON lines are what a program asked for, and go to standard output.
pub fn open(format: Option<Format>) -> Box<dyn Listener> {
    match format.unwrap_or_else(Format::detect) {
        Format::Plain => Box::new(plain::Plain::new(std::io::stderr(), Style::detect(&std::io::stderr()))),
        Format::Live => Box::new(live::Live::new()),
        Format::Json => Box::new(json::Json::new(std::io::stdout())),
    }
}
