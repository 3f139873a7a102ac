// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl drain`.

use super::progress::Display;
use super::signals;
use crate::agent::Agent;
use crate::blocks::{Blocks, Direct};
use crate::cli::Report;
use crate::disk::Disk;
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::output::bytes;
use crate::replica::{Durable, Ended, Progress, Pump, Sink, StreamSink};
use crate::request::Transport;
use crate::stream::{Follows, Header};
use serde_json::json;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Writes a disk's changes as a stream, for `apply`.
///
/// A stream goes on where the one before it ended, and `apply` sees to it that none is left out. Begin with `--full`. A batch
/// is out of the driver's hands once the stream has it: durable in a file, handed over to a pipe. Where a pipe breaks, what
/// was in it is lost: `apply` refuses the next stream then, and a full one makes it good.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl drain /dev/sdb --full -o sdb-0.ivf      the whole disk, first of all
  involfltctl drain /dev/sdb -o sdb-1.ivf             what has changed since
  involfltctl drain sdb --full --follow | ssh host involfltctl apply - /dev/sdc")]
pub struct Drain {
    /// The disk: a /dev path, a link to one, or a kernel name.
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
    disk: String,
    /// File to write, which must not exist [default: standard output].
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// The whole disk first, instead of what changed since the last drain.
    #[arg(long)]
    full: bool,
    /// Go on until stopped, looking for changes at least every five seconds.
    #[arg(long)]
    follow: bool,
    /// Have the driver capture what is written, in memory, and not only where: tags are true points in time then.
    #[arg(long)]
    data: bool,
}

/// Seconds between looks where a drain goes on.
const INTERVAL: i32 = 5;

impl Drain {
    /// Drains with this machine's driver.
    pub fn run(self, json: bool) -> Result<Report> {
        let disk = Disk::find(&self.disk)?;
        let stop = signals::stop()?;
        let about = |error: io::Error| Error::failed(format!("{}: {error}", disk.node));
        let blocks = Direct::open(Path::new(&disk.node)).map_err(about)?;
        if self.output.is_none() {
            check_stdout(json)?;
        }
        let agent = agent(disk, self.data)?;
        let mut display = Display::new(&self.disk, json);
        let mut pump = Pump::new(&agent, blocks, &stop, &mut display);
        let drained = match &self.output {
            Some(path) => self.to_file(&mut pump, path)?,
            None => self.to(&mut pump, io::stdout(), "standard output".into())?,
        };
        drop(display);
        let (ended, length) = drained;
        match ended {
            Ended::Resync(resync) => Err(missed(&self.disk, &resync.reason)),
            Ended::Broken => Err(Error::failed(format!("{}: another agent drains it", self.disk))),
            // The stream has standard output to itself.
            _ if self.output.is_none() => Ok(Report::said()),
            _ => Ok(self.report(length)),
        }
    }

    fn report(&self, length: u64) -> Report {
        let text = format!("{}: {} drained\n", self.disk, bytes(length));
        Report::done(text, &json!({ "disk": self.disk, "output": self.output, "bytes": length }))
    }

    /// A file that could not be begun does not stay.
    fn to_file<T: Transport, B: Blocks>(&self, pump: &mut Pump<'_, T, B>, path: &Path) -> Result<(Ended, u64)> {
        let about = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::input(format!("{}: exists", path.display()))
                .note("a stream goes into a new file, so that nothing drained is lost"),
            _ => Error::failed(format!("{}: {error}", path.display())),
        };
        let file = File::create_new(path).map_err(about)?;
        let follows = self.follows(pump).inspect_err(|_| drop(std::fs::remove_file(path)))?;
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(about)?;
        self.stream(pump, file, path.display().to_string(), follows)
    }

    fn to<T: Transport, B: Blocks>(
        &self,
        pump: &mut Pump<'_, T, B>,
        to: impl Durable,
        name: String,
    ) -> Result<(Ended, u64)> {
        let follows = self.follows(pump)?;
        self.stream(pump, to, name, follows)
    }

    /// What the stream is to be applied to. Fails where it could not make a target right.
    fn follows<T: Transport, B: Blocks>(&self, pump: &Pump<'_, T, B>) -> Result<Follows> {
        if self.full {
            return Ok(Follows::Nothing);
        }
        let batch = pump.next()?.ok_or_else(|| Error::failed(format!("{}: stopped while a tag is held", self.disk)))?;
        match (batch.resync, batch.previous) {
            (Some(resync), _) => Err(missed(&self.disk, &resync.reason)),
            (None, previous) if previous.is_of_a_batch() => Ok(Follows::Batch(previous)),
            (None, _) => Err(Error::input(format!("{}: nothing was ever drained of it", self.disk))
                .note("begin with the whole disk: `--full`")),
        }
    }

    fn stream<T: Transport, B: Blocks>(
        &self,
        pump: &mut Pump<'_, T, B>,
        to: impl Durable,
        name: String,
        follows: Follows,
    ) -> Result<(Ended, u64)> {
        let disk = pump.agent().disk();
        let header = Header { disk: disk.persistent_name.clone(), bytes: disk.bytes, follows };
        let mut sink = StreamSink::new(to, name, &header)?;
        let ended = self.send(pump, &mut sink)?;
        if let Ended::Resync(resync) = &ended {
            sink.resync(resync.code, &resync.reason)?;
        }
        Ok((ended, sink.end()?))
    }

    fn send<T: Transport, B: Blocks>(&self, pump: &mut Pump<'_, T, B>, sink: &mut dyn Sink) -> Result<Ended> {
        if sink.progress() == Progress::Nothing && (pump.begin(sink)?.is_none() || pump.copy(sink)?.is_none()) {
            return Err(Error::failed(format!("{}: stopped in the middle of a full copy", self.disk))
                .note("what is written of it is of no use: drain the whole disk again, with `--full`"));
        }
        pump.follow(sink, self.follow.then_some(INTERVAL))
    }
}

/// This machine's agent of a disk, with data or without.
pub(super) fn agent(disk: Disk, data: bool) -> Result<Agent> {
    let agent = Agent::of(Driver::open()?, disk)?;
    if data { agent.capture(Driver::open()?) } else { Ok(agent) }
}

fn missed(disk: &str, reason: &str) -> Error {
    Error::failed(format!("{disk}: the driver missed changes: {reason}"))
        .note("a target is right only after a full copy: `involfltctl drain --full`, or `involfltctl replicate`")
}

fn check_stdout(json: bool) -> Result<()> {
    let note = "name a file: `-o FILE`";
    if json {
        return Err(Error::input("the stream goes to standard output, where JSON would go").note(note));
    }
    if io::stdout().is_terminal() {
        return Err(Error::input("a stream is nothing for a terminal").note(note));
    }
    // A pipe whose reader has gone is an error like any other, not a signal: Rust ignores SIGPIPE.
    io::stdout().flush().map_err(|error| Error::failed(format!("standard output: {error}")))
}
