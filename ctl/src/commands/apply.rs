// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl apply`.

use super::journal::{Keep, points};
use crate::cli::Report;
use crate::error::{Error, Result};
use crate::output::bytes;
use crate::position::Position;
use crate::replica::{Overwrite, Progress, Replica, Sink, Source};
use crate::stream::{Fault, Follows, Header, Reader, Record};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Applies a stream of `drain` to a replica.
///
/// A stream in a file is read twice: first to see that every byte of it is right, then to apply it. A stream from a pipe is
/// applied as it comes, record by record, each only when all of it is there and right. A stream that leaves something out,
/// because one before it was not applied or was lost, is refused.
///
/// In place of a stream, a journal's directory: then the journal's target is set to a tag, or without --until-tag to the present
/// again. Nothing else may write to it meanwhile.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl apply sdb-0.ivf /dev/sdc
  involfltctl apply sdb-0.ivf sdb.img && involfltctl apply sdb-1.ivf sdb.img
  involfltctl apply sdb-1.ivf sdb.img --until-tag friday     no further than that tag
  ssh host involfltctl drain sdb --full --follow | involfltctl apply - sdb.img
  involfltctl apply sdb.journal sdb.img --until-tag friday   back to that tag
  involfltctl apply sdb.journal sdb.img                      to the present again")]
pub struct Apply {
    /// The stream: a file, or - for standard input. Or the directory of the target's journal.
    #[arg(value_name = "STREAM", value_hint = clap::ValueHint::AnyPath)]
    stream: String,
    /// The replica: a block device that nobody uses, a file, which is made if need be, or an export of an NBD server
    /// (nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH).
    #[arg(value_name = "TARGET", value_hint = clap::ValueHint::AnyPath)]
    target: String,
    /// Stop at the first tag of this name. What comes after it can then be had only with a full copy. In a journal, the last
    /// tag of this name.
    #[arg(long, value_name = "NAME")]
    until_tag: Option<String>,
    #[command(flatten)]
    journal: Keep,
    /// Overwrite what the target holds although it is not known as a replica.
    #[arg(long)]
    overwrite: bool,
}

/// Bytes of data that were applied, and the tags passed.
#[derive(Debug, Default)]
struct Applied {
    bytes: u64,
    tags: Vec<String>,
}

impl Apply {
    /// Applies the stream.
    pub fn run(self) -> Result<Report> {
        if Path::new(&self.stream).is_dir() {
            return self.set();
        }
        let applied = match self.stream.as_str() {
            "-" => self.apply(self.reader(io::stdin().lock())?, &BTreeSet::new())?,
            path => {
                let open = || File::open(path).map_err(|error| Error::input(format!("{path}: {error}")));
                let syncs = self.check(self.reader(open()?)?)?;
                self.apply(self.reader(open()?)?, &syncs)?
            }
        };
        let text = format!("{}: {} applied\n", self.target, bytes(applied.bytes));
        let json = json!({ "target": self.target, "bytes": applied.bytes, "tags": applied.tags });
        Ok(Report::done(text, &json))
    }

    /// Sets the target of a journal.
    fn set(&self) -> Result<Report> {
        if self.journal.at().is_some() {
            return Err(Error::input(format!("{}: is a journal's directory, and no stream", self.stream))
                .note("`--journal` is for streams"));
        }
        let dir = Path::new(&self.stream);
        let points = points(dir)?;
        let point = match &self.until_tag {
            None => None,
            Some(tag) => {
                self.has_tag(&points.iter().map(|point| point.name.clone()).collect::<Vec<_>>())?;
                points.iter().rfind(|point| point.name == *tag)
            }
        };
        Replica::set(&self.target, dir, point.map(|point| point.segment))?;
        let place = point.map_or("the present".into(), |point| format!("the tag {} of {}", point.name, point.time));
        let text = format!("{}: set to {place}\n", self.target);
        Ok(Report::done(text, &json!({ "target": self.target, "tag": point })))
    }

    fn reader<R: Read>(&self, from: R) -> Result<Reader<BufReader<R>>> {
        Reader::new(BufReader::new(from)).map_err(|fault| self.about(fault))
    }

    /// Reads the stream to its end, which must have the tag that is asked for; gives the positions in it.
    fn check(&self, mut reader: Reader<impl Read>) -> Result<BTreeSet<Position>> {
        let (mut syncs, mut tags) = (BTreeSet::new(), Vec::new());
        loop {
            match reader.next_record() {
                Ok(Record::Resync { reason, .. }) => return Err(self.missed(&reason)),
                Ok(Record::Sync(position)) => drop(syncs.insert(position)),
                Ok(Record::Tag(tag)) => tags.push(tag.name),
                // What is there of a truncated one is good; that it ends early is said once it is applied.
                Ok(Record::End) | Err(Fault::Truncated { .. }) => break,
                Ok(_) => {}
                Err(fault) => return Err(self.about(fault)),
            }
        }
        self.has_tag(&tags)?;
        Ok(syncs)
    }

    fn has_tag(&self, tags: &[String]) -> Result<()> {
        match &self.until_tag {
            Some(tag) if !tags.contains(tag) => {
                let known = if tags.is_empty() { "no tag".into() } else { tags.join(", ") };
                Err(Error::input(format!("{}: has no tag {tag}", self.stream)).note(format!("it has: {known}")))
            }
            _ => Ok(()),
        }
    }

    /// Applies the stream, of which it may be known which positions it has.
    fn apply(&self, mut reader: Reader<impl Read>, syncs: &BTreeSet<Position>) -> Result<Applied> {
        let header = reader.header().clone();
        let source = Source { disk: &header.disk, bytes: header.bytes };
        let overwrite = if self.overwrite { Overwrite::Yes } else { Overwrite::No };
        let mut replica = Replica::open(&self.target, source, overwrite, self.journal.at())?;
        let mut applied = Applied::default();
        let mut place = match replica.progress() {
            // This stream was applied before, and not to its end.
            Progress::All { last, .. } if syncs.contains(&last) => {
                self.pass_over(&mut reader, last)?;
                Some(last)
            }
            _ => self.first_place(&mut replica, &header)?,
        };
        loop {
            match reader.next_record().map_err(|fault| self.about(fault))? {
                Record::Extent { offset, data } => {
                    replica.data(offset, &data)?;
                    applied.bytes += data.len() as u64;
                }
                Record::Zeroes { offset, bytes } => replica.zeroes(offset, bytes)?,
                Record::Tag(tag) => {
                    replica.tag(&tag)?;
                    let is_end = self.until_tag.as_ref() == Some(&tag.name);
                    applied.tags.push(tag.name);
                    if is_end {
                        // From here on it is another disk's past.
                        return replica.sync(Progress::Nothing).map(|()| applied);
                    }
                }
                Record::Sync(last) => {
                    replica.sync(Progress::All { last, before: place.unwrap_or(last) })?;
                    place = Some(last);
                }
                Record::Resync { reason, .. } => return Err(self.missed(&reason)),
                Record::Note(_) => return Err(Error::input(format!("{}: wants answers", self.stream))),
                Record::End => return self.has_tag(&applied.tags).map(|()| applied),
            }
        }
    }

    /// Reads what the replica has already.
    fn pass_over(&self, reader: &mut Reader<impl Read>, last: Position) -> Result<()> {
        while reader.next_record().map_err(|fault| self.about(fault))? != Record::Sync(last) {}
        Ok(())
    }

    /// The batch that the stream follows, which the replica must have; none for a full copy.
    fn first_place(&self, replica: &mut Replica, header: &Header) -> Result<Option<Position>> {
        match header.follows {
            Follows::Nothing => {
                replica.sync(Progress::Nothing)?;
                Ok(None)
            }
            Follows::Batch(position) if replica.progress().is_followed_by(position) => Ok(Some(position)),
            Follows::Batch(_) if replica.progress() == Progress::Nothing => {
                Err(Error::input(format!("{}: has no full copy of {}", self.target, header.disk))
                    .note("apply a stream of `involfltctl drain --full` first"))
            }
            Follows::Batch(_) => {
                let message = format!("{}: does not follow what {} has: a stream is missing", self.stream, self.target);
                Err(Error::input(message)
                    .note("apply the streams in the order in which they were drained, each once")
                    .note("where one is lost: `involfltctl drain --full`"))
            }
        }
    }

    fn about(&self, fault: Fault) -> Error {
        match fault {
            Fault::Io(error) => Error::failed(format!("{}: {error}", self.stream)),
            Fault::Bad { .. } => Error::input(format!("{}: {fault}", self.stream)),
            Fault::Truncated { .. } => Error::failed(format!("{}: {fault}", self.stream))
                .note("what is there is applied; where its drain was killed, the next drain has the rest"),
        }
    }

    fn missed(&self, reason: &str) -> Error {
        Error::failed(format!("{}: says that changes were missed: {reason}", self.stream))
            .note("the target is right only after a full copy: `involfltctl drain --full`")
    }
}
