// SPDX-License-Identifier: GPL-2.0-only
//! The command line.

use crate::commands::{completions, configured, doctor, generate, list, start, status, stop};
use crate::error::{Error, Kind, Result};
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// Filters disks with the involflt driver, and says how they do.
///
/// A filtered disk has every change to it noted by the driver, for an agent to read. Filtering goes on when this
/// program ends, until `stop` or until the machine stops.
#[derive(clap::Parser)]
#[command(
    name = "involfltctl",
    version,
    max_term_width = 100,
    after_help = "Examples:
  involfltctl start /dev/sdb             filter a disk
  involfltctl status                     how every filtered disk does
  involfltctl doctor                     what is wrong, and what to do about it

Exit codes: 0 done, 1 failed, 2 bad input, 69 the driver is not there."
)]
pub struct Cli {
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(list::List),
    Start(start::Start),
    Stop(stop::Stop),
    Status(status::Status),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Configured(configured::Configured),
    Generate(generate::Generate),
}

/// What a command has to say, in both forms, and whether all of it went well.
pub struct Report {
    /// Text for people, with ANSI styles, ending in a newline if it is not empty.
    pub text: String,
    /// The same for programs.
    pub json: serde_json::Value,
    /// Exit code 0, or that of what failed.
    pub failed: Option<Kind>,
}

impl Report {
    /// A report of something done.
    pub fn done(text: String, json: &impl Serialize) -> Self {
        // Every report is made of strings, numbers and lists, which JSON has.
        let json = serde_json::to_value(json).expect("a report is JSON");
        Report { text, json, failed: None }
    }
}

impl Cli {
    /// Runs the command, prints its report, and gives the exit code.
    pub fn run(self) -> ExitCode {
        let report = match self.command {
            Command::List(command) => command.run(),
            Command::Start(command) => command.run(),
            Command::Stop(command) => command.run(),
            Command::Status(command) => command.run(),
            Command::Doctor(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::Configured(command) => command.run(),
            Command::Generate(command) => command.run(),
        };
        ExitCode::from(finish(report, self.json))
    }
}

/// Prints a report or an error; the exit code. A reader that went away is no failure of the command.
fn finish(report: Result<Report>, json: bool) -> u8 {
    match report {
        Ok(report) => {
            let text = if json { pretty(&report.json) } else { report.text };
            let _ = anstream::stdout().write_all(text.as_bytes());
            report.failed.map_or(0, Kind::exit_code)
        }
        Err(error) => {
            print_error(&error, json);
            error.kind.exit_code()
        }
    }
}

fn print_error(error: &Error, json: bool) {
    if json {
        let text = pretty(&serde_json::json!({ "error": error.json() }));
        let _ = anstream::stdout().write_all(text.as_bytes());
    } else {
        let style = crate::output::BAD;
        let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {error}");
    }
}

fn pretty(json: &serde_json::Value) -> String {
    format!("{json:#}\n")
}
