// SPDX-License-Identifier: GPL-2.0-only
//! Comparing of a disk with its replica: while nothing is written to either, or at a bookmark of a disk that is in use.

use super::chain::Progress;
use super::pump::{Ended, Event, Next, Pump};
use super::sink::{Sink, Tag};
use crate::agent::Batch;
use crate::blocks::{Blocks, MAX_READ};
use crate::error::{Error, Result};
use crate::point::Guid;
use crate::ranges::Ranges;
use crate::request::Transport;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Bytes that are compared as one.
const SECTOR: usize = 512;
/// Bytes after which it is told how far a comparison has come.
const STEP: u64 = 64 << 20;
/// How often it is looked whether a write that was under way has been noted.
const ROUNDS: u32 = 10;

/// One of two that are compared.
pub struct Side<'a> {
    /// Its name in errors.
    pub name: &'a str,
    /// Its bytes.
    pub blocks: &'a mut dyn Blocks,
}

impl Side<'_> {
    fn read(&mut self, offset: u64, bytes: usize) -> Result<&[u8]> {
        let name = self.name;
        self.blocks.read(offset, bytes).map_err(|error| Error::failed(format!("{name}: at {offset}: {error}")))
    }
}

/// Compares the first bytes of two, so many; gives the sectors that differ. `tell` hears how far it has come, and may have it
/// fail.
pub fn compare(
    one: &mut Side<'_>,
    other: &mut Side<'_>,
    bytes: u64,
    tell: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Ranges> {
    let mut differs = Ranges::default();
    for offset in (0..bytes).step_by(MAX_READ) {
        if offset % STEP == 0 {
            tell(offset)?;
        }
        let length = (bytes - offset).min(MAX_READ as u64) as usize;
        let (one, other) = (one.read(offset, length)?, other.read(offset, length)?);
        if one == other {
            continue;
        }
        let sectors = one.chunks(SECTOR).zip(other.chunks(SECTOR)).zip((offset..).step_by(SECTOR));
        for ((sector, _), at) in sectors.filter(|((one, other), _)| one != other) {
            differs.insert(at, sector.len() as u64);
        }
    }
    tell(bytes)?;
    Ok(differs)
}

impl<T: Transport, B: Blocks> Pump<'_, T, B> {
    /// Compares the disk, which may be written to, with its replica, which has all changes up to some batch: places a
    /// bookmark, brings the replica up to it, and gives the sectors in which they differ there.
    ///
    /// Where they differ when they are read, and a change that is made behind the bookmark covers it, nothing is wrong: the
    /// disk is only ahead. Those changes are brought, too. A write may have been seen that the driver has not noted yet: where
    /// something differs, it is waited for, as long as `settle` at least.
    pub fn compare_at(
        &mut self,
        bookmark: &str,
        replica: &mut dyn Sink,
        target: &mut Side<'_>,
        settle: Duration,
    ) -> Result<Ranges> {
        self.bring_to(bookmark, replica)?;
        let mut differs = self.compare_now(target)?;
        let end = Guid::new()?.to_string();
        for round in 0..=ROUNDS {
            if differs.is_empty() {
                break;
            }
            if round > 0 {
                thread::sleep(settle / ROUNDS);
            }
            // What has completed by now is in the next bookmark, however long it takes to bring that.
            self.bring_to(&end, &mut Later { replica, differs: &mut differs, end: &end })?;
        }
        Ok(differs)
    }

    fn compare_now(&mut self, target: &mut Side<'_>) -> Result<Ranges> {
        let Pump { agent, blocks, stop, listener, .. } = self;
        let (name, of) = (&agent.disk().node, agent.disk().bytes);
        compare(&mut Side { name, blocks }, target, of, &mut |bytes| {
            listener.event(Event::Compared { bytes, of });
            if stop.load(Ordering::Relaxed) { Err(stopped(name)) } else { Ok(()) }
        })
    }

    /// Places a bookmark, and brings all changes up to it.
    fn bring_to(&mut self, bookmark: &str, sink: &mut dyn Sink) -> Result<()> {
        while let Err(error) = self.agent.tag(bookmark) {
            // A disk with dirty bits takes no tag. It has none any more when they are drained.
            if self.bring_one(sink)?.is_none() {
                return Err(error);
            }
        }
        loop {
            let gone = || Error::failed(format!("{}: the tag {bookmark} is gone", self.agent.disk().node));
            let batch = self.bring_one(sink)?.ok_or_else(gone)?;
            if batch.tags.iter().any(|tag| tag == bookmark) {
                return Ok(());
            }
        }
    }

    /// Brings a batch; `None` where nothing waits.
    fn bring_one(&mut self, sink: &mut dyn Sink) -> Result<Option<Batch>> {
        let node = &self.agent.disk().node;
        let missed = |what: &str| Error::failed(format!("{node}: {what}")).note(REPLICATE);
        match self.bring_next(sink)? {
            _ if self.stop.load(Ordering::Relaxed) => Err(stopped(node)),
            Next::Batch(batch) => Ok(Some(batch)),
            Next::Nothing => Ok(None),
            Next::Ended(Ended::Resync(resync)) => Err(missed(&format!("the driver missed changes: {}", resync.reason))),
            Next::Ended(Ended::Broken) => Err(missed("changes were drained that the replica does not have")),
            Next::Ended(Ended::CaughtUp | Ended::Stopped) => Err(stopped(node)),
        }
    }
}

const REPLICATE: &str = "the replica needs a full copy, which `involfltctl replicate` makes";

fn stopped(disk: &str) -> Error {
    Error::failed(format!("{disk}: stopped before all of it was compared"))
}

/// A replica that is brought what comes behind a bookmark: that explains where the disk is ahead.
struct Later<'a> {
    replica: &'a mut dyn Sink,
    differs: &'a mut Ranges,
    /// A tag that is of no use to anybody else.
    end: &'a str,
}

impl Sink for Later<'_> {
    fn progress(&self) -> Progress {
        self.replica.progress()
    }

    fn data(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.differs.remove(offset, data.len() as u64);
        self.replica.data(offset, data)
    }

    fn zeroes(&mut self, offset: u64, bytes: u64) -> Result<()> {
        self.differs.remove(offset, bytes);
        self.replica.zeroes(offset, bytes)
    }

    fn tag(&mut self, tag: &Tag) -> Result<()> {
        if tag.name == self.end { Ok(()) } else { self.replica.tag(tag) }
    }

    fn sync(&mut self, progress: Progress) -> Result<()> {
        self.replica.sync(progress)
    }
}
