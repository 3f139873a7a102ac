// SPDX-License-Identifier: GPL-2.0-only
//! Brings a disk's changes from the driver to where they go: a full copy, then batch by batch.

use super::chain::Progress;
use super::sink::{Sink, Tag};
use crate::agent::{Agent, Batch, Changes};
use crate::blocks::{Blocks, MAX_READ};
use crate::error::{Error, Result};
use crate::request::Transport;
use crate::statistics::Resync;
use crate::time::Time;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a full copy after which it is noted how far it has come: what is lost with a crash.
const COPY_STEP: u64 = 64 << 20;

/// Zeroes from which on a hole is worth its call.
const SPARSE: usize = 64 << 10;
/// Compared with as a whole, which is much faster than byte by byte.
static ZEROES: [u8; MAX_READ] = [0; MAX_READ];

/// What happens while changes are brought along.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A full copy has come so far.
    Copied {
        /// Bytes from the start.
        bytes: u64,
        /// Bytes of the disk.
        of: u64,
    },
    /// A batch of changes is durable at its target.
    Batch {
        /// Its bytes.
        bytes: u64,
        /// Bytes that wait.
        pending: u64,
        /// When the last of its changes was made.
        time: Time,
    },
    /// A full copy is about to begin, although there was one.
    Anew {
        /// Why.
        reason: String,
    },
    /// A tag was passed.
    Tag {
        /// Its name.
        name: String,
        /// Whether the replica is what the disk was at the tag.
        is_exact: bool,
    },
    /// A comparison has come so far.
    Compared {
        /// Bytes from the start.
        bytes: u64,
        /// Bytes of the disk.
        of: u64,
    },
    /// Nothing waits any more.
    CaughtUp,
}

/// Is told what happens.
pub trait Listener {
    /// Something has happened.
    fn event(&mut self, event: Event);
}

/// Why changes are not brought along any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Everything is drained, and that was all that was asked for.
    CaughtUp,
    /// Somebody said stop.
    Stopped,
    /// The driver missed changes: a full copy is needed.
    Resync(Resync),
    /// Changes were committed that the target does not have: a full copy is needed.
    Broken,
}

/// What has come from the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A batch, which the sink has and the driver has forgotten.
    Batch(Batch),
    /// Nothing waits.
    Nothing,
    /// Nothing that can be brought to the sink.
    Ended(Ended),
}

/// A disk and its agent.
pub struct Pump<'a, T, B> {
    pub(super) agent: &'a Agent<T>,
    pub(super) blocks: B,
    pub(super) stop: &'a AtomicBool,
    pub(super) listener: &'a mut dyn Listener,
    /// A sequence behind which no full copy has read from the disk: what that read may be newer than changes up to there. The
    /// driver knows of the other reads.
    read_until: u64,
}

impl<'a, T: Transport, B: Blocks> Pump<'a, T, B> {
    /// An agent and the bytes of its disk; a word that is true when somebody says stop; who is told what happens.
    pub fn new(agent: &'a Agent<T>, blocks: B, stop: &'a AtomicBool, listener: &'a mut dyn Listener) -> Self {
        Pump { agent, blocks, stop, listener, read_until: u64::MAX }
    }

    /// The disk's agent.
    pub fn agent(&self) -> &'a Agent<T> {
        self.agent
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Copies the disk unless the replica has a part or all of it, then brings changes along as [`Self::follow`] does. A
    /// replica for which that ends with [`Ended::Resync`] or [`Ended::Broken`] has nothing.
    pub fn replicate(&mut self, replica: &mut dyn Sink, interval: Option<i32>) -> Result<Ended> {
        if replica.progress() == Progress::Nothing && self.begin(replica)?.is_none() {
            return Ok(Ended::Stopped);
        }
        // A part is good only if nothing was drained since it was begun.
        let ended = match self.next()? {
            None => Ended::Stopped,
            Some(batch) if !replica.progress().is_followed_by(batch.previous) => Ended::Broken,
            Some(_) => match self.copy(replica)? {
                None => Ended::Stopped,
                Some(()) => self.follow(replica, interval)?,
            },
        };
        if matches!(ended, Ended::Resync(_) | Ended::Broken) {
            replica.sync(Progress::Nothing)?;
        }
        Ok(ended)
    }

    /// The next batch; `None` when somebody says stop while a tag is held.
    pub fn next(&self) -> Result<Option<Batch>> {
        loop {
            match self.agent.get()? {
                Some(batch) => return Ok(Some(batch)),
                None if self.is_stopped() => return Ok(None),
                None => std::thread::sleep(std::time::Duration::from_millis(100)),
            }
        }
    }

    /// Begins a full copy: all changes that the driver had by now are in it. `None` when somebody says stop.
    ///
    /// The sink has nothing while this runs: the driver is told that the copy has begun, and forgets the reason for it. Changes
    /// that wait are forgotten, too: where some were missed, data that was captured before them is older than what is read.
    pub fn begin(&self, sink: &mut dyn Sink) -> Result<Option<()>> {
        sink.sync(Progress::Nothing)?;
        self.agent.forget()?;
        let Some(batch) = self.next()? else { return Ok(None) };
        self.agent.commit(&batch, true)?;
        sink.sync(Progress::Part { bytes: 0, behind: batch.position })?;
        Ok(Some(()))
    }

    /// Copies the disk from where the sink has it. `None` when somebody says stop.
    pub fn copy(&mut self, sink: &mut dyn Sink) -> Result<Option<()>> {
        let Progress::Part { bytes: mut done, behind } = sink.progress() else { return Ok(Some(())) };
        let of = self.agent.disk().bytes;
        while done < of {
            let end = of.min(done + COPY_STEP);
            self.copy_range(done, end, sink)?;
            done = end;
            sink.sync(Progress::Part { bytes: done, behind })?;
            self.listener.event(Event::Copied { bytes: done, of });
            if self.is_stopped() {
                return Ok(None);
            }
        }
        sink.sync(Progress::All { last: behind, before: behind })?;
        Ok(Some(()))
    }

    fn copy_range(&mut self, mut offset: u64, end: u64, sink: &mut dyn Sink) -> Result<()> {
        while offset < end {
            let length = (end - offset).min(MAX_READ as u64);
            self.bring_piece(offset, length, sink)?;
            offset += length;
        }
        Ok(())
    }

    fn bring_piece(&mut self, offset: u64, length: u64, sink: &mut dyn Sink) -> Result<()> {
        put(offset, self.read(offset, length)?, sink)
    }

    fn read(&mut self, offset: u64, length: u64) -> Result<&[u8]> {
        let node = &self.agent.disk().node;
        self.blocks.read(offset, length as usize).map_err(|error| Error::failed(format!("{node}: {error}")))
    }

    /// Brings batches to the sink, which has all before them. Ends when nothing waits, or, with `interval`, looks again as
    /// soon as a good deal has changed or so many seconds have passed.
    pub fn follow(&mut self, sink: &mut dyn Sink, interval: Option<i32>) -> Result<Ended> {
        if self.agent.captures() {
            self.read_until = self.agent.stamp()?;
        }
        loop {
            if self.is_stopped() {
                return Ok(Ended::Stopped);
            }
            match self.bring_next(sink)? {
                Next::Batch(_) => continue,
                Next::Nothing => self.listener.event(Event::CaughtUp),
                Next::Ended(ended) => return Ok(ended),
            }
            match interval {
                None => return Ok(Ended::CaughtUp),
                Some(seconds) => self.agent.wait(seconds)?,
            }
        }
    }

    /// Brings the next batch to the sink, which has all before it.
    pub fn bring_next(&mut self, sink: &mut dyn Sink) -> Result<Next> {
        let Some(batch) = self.next()? else { return Ok(Next::Ended(Ended::Stopped)) };
        if let Some(resync) = batch.resync {
            return Ok(Next::Ended(Ended::Resync(resync)));
        }
        if !sink.progress().is_followed_by(batch.previous) {
            return Ok(Next::Ended(Ended::Broken));
        }
        if batch.is_empty() {
            return Ok(Next::Nothing);
        }
        self.bring(&batch, sink)?;
        Ok(Next::Batch(batch))
    }

    fn bring(&mut self, batch: &Batch, sink: &mut dyn Sink) -> Result<()> {
        match &batch.changes {
            Changes::Extents(extents) => {
                extents.iter().try_for_each(|&(offset, length)| self.copy_range(offset, offset + length, sink))?;
            }
            Changes::Data(stream) => stream.changes().try_for_each(|(offset, data)| put_all(offset, data, sink))?,
        }
        for tag in &batch.tags {
            let is_exact = batch.is_ordered && batch.position.sequence > self.read_until;
            sink.tag(&Tag { time: batch.time, name: tag.clone(), is_exact })?;
            self.listener.event(Event::Tag { name: tag.clone(), is_exact });
        }
        sink.sync(Progress::All { last: batch.position, before: batch.previous })?;
        self.agent.commit(batch, false)?;
        self.listener.event(Event::Batch { bytes: batch.bytes(), pending: batch.pending_bytes, time: batch.time });
        Ok(())
    }
}

fn put_all(offset: u64, data: &[u8], sink: &mut dyn Sink) -> Result<()> {
    let offsets = (offset..).step_by(MAX_READ);
    offsets.zip(data.chunks(MAX_READ)).try_for_each(|(offset, data)| put(offset, data, sink))
}

/// A longer run of zeroes is told as such: most discards leave them, and a sparse replica stays sparse.
fn put(offset: u64, data: &[u8], sink: &mut dyn Sink) -> Result<()> {
    match data == &ZEROES[..data.len()] && data.len() >= SPARSE {
        true => sink.zeroes(offset, data.len() as u64),
        false => sink.data(offset, data),
    }
}
