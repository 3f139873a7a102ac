// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl serve`, which `replicate --to ssh://…` runs on the other host.

use super::journal::Keep;
use crate::cli::Report;
use crate::error::{Error, Result};
use crate::replica::{Overwrite, Progress, Replica, Sink, Source};
use crate::stream::{Fault, Reader, Record};
use std::io::{self, BufReader, Write};

/// Brings what comes on standard input to a replica here, and answers on standard output with what the replica has.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Serve {
    /// The replica.
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    journal: Keep,
    /// Overwrite what the target holds although it is not known as a replica.
    #[arg(long)]
    overwrite: bool,
}

impl Serve {
    /// Serves until the input ends.
    pub fn run(self) -> Result<Report> {
        let mut reader = Reader::new(BufReader::new(io::stdin().lock())).map_err(|fault| about(&fault))?;
        let (disk, bytes) = (reader.header().disk.clone(), reader.header().bytes);
        let overwrite = if self.overwrite { Overwrite::Yes } else { Overwrite::No };
        let mut replica = Replica::open(&self.target, Source { disk: &disk, bytes }, overwrite, self.journal.at())?;
        answer(replica.progress())?;
        loop {
            match reader.next_record() {
                Ok(Record::Extent { offset, data }) => replica.data(offset, &data)?,
                Ok(Record::Zeroes { offset, bytes }) => replica.zeroes(offset, bytes)?,
                Ok(Record::Tag(tag)) => replica.tag(&tag)?,
                Ok(Record::Note(json)) => {
                    let progress = serde_json::from_str(&json)
                        .map_err(|error| Error::input(format!("{json}: {error}: is it the same version there?")))?;
                    replica.sync(progress)?;
                    answer(replica.progress())?;
                }
                // Whoever sent it has ended, at whatever place.
                Ok(Record::End) | Err(Fault::Truncated { .. }) => return Ok(Report::said()),
                Ok(Record::Sync(_) | Record::Resync { .. }) => {
                    return Err(Error::input("a stream of `drain`: `involfltctl apply` takes it"));
                }
                Err(fault) => return Err(about(&fault)),
            }
        }
    }
}

fn answer(progress: Progress) -> Result<()> {
    // It is made of numbers.
    let json = serde_json::to_string(&progress).expect("progress is JSON");
    let mut output = io::stdout().lock();
    let written = writeln!(output, "{json}").and_then(|()| output.flush());
    written.map_err(|error| Error::failed(format!("standard output: {error}")))
}

fn about(fault: &Fault) -> Error {
    Error::failed(format!("standard input: {fault}"))
}
