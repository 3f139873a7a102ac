// SPDX-License-Identifier: GPL-2.0-only
//! Where changes go to: a replica, or a stream.

use super::chain::Progress;
use crate::error::{Error, Result};
use crate::stream::{Follows, Header, Writer};
use std::fs::File;
use std::io::{self, Write};

pub use crate::stream::Tag;

/// Takes changes in their order.
pub trait Sink {
    /// What it has.
    fn progress(&self) -> Progress;

    /// Takes data: at least a byte.
    fn data(&mut self, offset: u64, data: &[u8]) -> Result<()>;

    /// Takes zeroes: at least one.
    fn zeroes(&mut self, offset: u64, bytes: u64) -> Result<()>;

    /// Takes a tag.
    fn tag(&mut self, tag: &Tag) -> Result<()>;

    /// Makes everything durable, and notes that this is what it has.
    fn sync(&mut self, progress: Progress) -> Result<()>;
}

/// Makes what was written to it durable.
pub trait Durable: Write {
    /// After this a power cut takes nothing away.
    fn make_durable(&mut self) -> io::Result<()>;
}

impl Durable for File {
    fn make_durable(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// A pipe has no memory: the reader keeps what it gets, or knows that the stream had no end.
impl Durable for io::Stdout {
    fn make_durable(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Changes as a stream.
pub struct StreamSink<W: Durable> {
    name: String,
    writer: Writer<W>,
    progress: Progress,
}

impl<W: Durable> StreamSink<W> {
    /// Begins a stream into `to`, which is called `name` in errors.
    pub fn new(to: W, name: String, header: &Header) -> Result<Self> {
        let progress = match header.follows {
            Follows::Nothing => Progress::Nothing,
            Follows::Batch(position) => Progress::All { last: position, before: position },
        };
        let writer = Writer::new(to, header).map_err(|error| Error::failed(format!("{name}: {error}")))?;
        Ok(StreamSink { name, writer, progress })
    }

    /// Says that changes were missed.
    pub fn resync(&mut self, code: u64, reason: &str) -> Result<()> {
        self.wrote(|writer| writer.resync(code, reason))
    }

    /// Ends the stream; gives the bytes of data in it.
    pub fn end(self) -> Result<u64> {
        let ended = self.writer.end().and_then(|(bytes, mut to)| to.make_durable().map(|()| bytes));
        ended.map_err(|error| Error::failed(format!("{}: {error}", self.name)))
    }

    fn wrote(&mut self, write: impl FnOnce(&mut Writer<W>) -> io::Result<()>) -> Result<()> {
        write(&mut self.writer).map_err(|error| {
            let error = Error::failed(format!("{}: {error}", self.name));
            error.note("what it has to the last SYNC record is good: the next drain has what comes after it")
        })
    }
}

impl<W: Durable> Sink for StreamSink<W> {
    fn progress(&self) -> Progress {
        self.progress
    }

    fn data(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.wrote(|writer| writer.extent(offset, data))
    }

    fn zeroes(&mut self, offset: u64, bytes: u64) -> Result<()> {
        self.wrote(|writer| writer.zeroes(offset, bytes))
    }

    fn tag(&mut self, tag: &Tag) -> Result<()> {
        self.wrote(|writer| writer.tag(tag))
    }

    fn sync(&mut self, progress: Progress) -> Result<()> {
        if let Progress::All { last, .. } = progress {
            self.wrote(|writer| writer.sync(last))?;
        }
        self.wrote(|writer| writer.get_mut().make_durable())?;
        self.progress = progress;
        Ok(())
    }
}
