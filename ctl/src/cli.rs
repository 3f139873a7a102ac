// SPDX-License-Identifier: GPL-2.0-only
//! The command line.

use crate::commands::{
    apply, attr, barrier, bitmap, completions, configured, doctor, drain, freeze, generate, journal, list, replicate,
    serve, start, stats, status, stop, tag, verify,
};
use crate::error::{Error, Kind, Result};
use crate::output::BAD;
use clap::Parser;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// Filters disks with the involflt driver, replicates them, and says how they do.
///
/// A filtered disk has every change to it noted by the driver, for an agent to read: this program is one. Filtering goes on
/// when this program ends, until `stop` or until the machine stops.
#[derive(clap::Parser)]
#[command(
    name = "involfltctl",
    version,
    // Not wrapped, whatever features clap has been given by other programs of the workspace.
    term_width = 0,
    after_help = "Examples:
  involfltctl start /dev/sdb             filter a disk
  involfltctl status                     how every filtered disk does
  involfltctl replicate sdb --to sdc     copy a disk, and every change from then on
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
    Replicate(replicate::Replicate),
    Drain(drain::Drain),
    Apply(apply::Apply),
    Journal(journal::Journal),
    Verify(verify::Verify),
    Tag(tag::Tag),
    Freeze(freeze::Freeze),
    Thaw(freeze::Thaw),
    Barrier(barrier::Barrier),
    Stats(stats::Stats),
    Attr(attr::Attr),
    Bitmap(bitmap::BitmapFile),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Configured(configured::Configured),
    Generate(generate::Generate),
    Serve(serve::Serve),
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

    /// Everything was said already.
    pub fn said() -> Self {
        Report { text: String::new(), json: serde_json::Value::Null, failed: None }
    }
}

/// Runs the command that this process was started with, prints what it has to say, and gives the exit code.
pub fn run() -> ExitCode {
    let output = match Cli::try_parse() {
        Ok(cli) => Output::of(cli.command.run(cli.json), cli.json),
        Err(error) => refusal(&error),
    };
    // A reader that went away is no failure of the command.
    let _ = anstream::stdout().write_all(output.stdout.as_bytes());
    let _ = anstream::stderr().write_all(output.stderr.as_bytes());
    ExitCode::from(output.code)
}

/// The output for a command line that does not parse, or that asks for help.
fn refusal(error: &clap::Error) -> Output {
    let text = error.render().ansi().to_string();
    if !error.use_stderr() {
        return Output { stdout: text, stderr: String::new(), code: 0 };
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let one_line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut paragraphs = text.trim_start_matches("error: ").split("\n\n").map(one_line);
        let message = paragraphs.next().unwrap_or_default();
        return Output::of(Err(Error { kind: Kind::Input, message, notes: paragraphs.collect() }), true);
    }
    Output { stdout: String::new(), stderr: text, code: Kind::Input.exit_code() }
}

impl Command {
    fn run(self, json: bool) -> Result<Report> {
        match self {
            Command::List(command) => command.run(),
            Command::Start(command) => command.run(),
            Command::Stop(command) => command.run(),
            Command::Status(command) => command.run(json),
            Command::Replicate(command) => command.run(json),
            Command::Drain(command) => command.run(json),
            Command::Apply(command) => command.run(),
            Command::Journal(command) => command.run(),
            Command::Verify(command) => command.run(json),
            Command::Tag(command) => command.run(),
            Command::Freeze(command) => command.run(),
            Command::Thaw(command) => command.run(),
            Command::Barrier(command) => command.run(),
            Command::Stats(command) => command.run(),
            Command::Attr(command) => command.run(),
            Command::Bitmap(command) => command.run(),
            Command::Doctor(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::Configured(command) => command.run(),
            Command::Generate(command) => command.run(),
            Command::Serve(command) => command.run(),
        }
    }
}

/// What a command ends with, styles and all.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// The exit code.
    pub code: u8,
}

impl Output {
    /// The output of a report or an error, for people or as JSON. JSON is always on standard output.
    pub fn of(report: Result<Report>, json: bool) -> Self {
        match report {
            Ok(report) => {
                let stdout = if json { pretty(&report.json) } else { report.text };
                Output { stdout, stderr: String::new(), code: report.failed.map_or(0, Kind::exit_code) }
            }
            Err(error) => {
                let code = error.kind.exit_code();
                let (mut stdout, mut stderr) = (String::new(), String::new());
                match json {
                    true => stdout = pretty(&serde_json::json!({ "error": error.json() })),
                    false => stderr = format!("{BAD}error{BAD:#}: {error}\n"),
                }
                Output { stdout, stderr, code }
            }
        }
    }
}

fn pretty(json: &serde_json::Value) -> String {
    if json.is_null() { String::new() } else { format!("{json:#}\n") }
}
