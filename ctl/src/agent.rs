// SPDX-License-Identifier: GPL-2.0-only
//! An agent of one disk: gets its changes from the driver, batch by batch, and commits them.
//!
//! ```no_run
//! use involfltctl::{agent::{Agent, Changes}, disk::Disk, driver::Driver};
//!
//! let agent = Agent::of(Driver::open()?, Disk::find("/dev/sdb")?)?;
//! while let Some(batch) = agent.get()?.filter(|batch| !batch.is_empty()) {
//!     match &batch.changes {
//!         // Read them from the disk, and make them durable elsewhere.
//!         Changes::Extents(extents) => extents.iter().for_each(|(offset, bytes)| println!("{bytes} bytes at {offset}")),
//!         // Only with `capture`.
//!         Changes::Data(stream) => stream.changes().for_each(|(offset, data)| println!("{data:?} at {offset}")),
//!     }
//!     agent.commit(&batch, false)?;
//! }
//! # Ok::<(), involfltctl::error::Error>(())
//! ```

use crate::disk::{Disk, among};
use crate::driver::{Driver, put_name, refused, until_nul};
use crate::error::{Error, Result};
use crate::point::Guid;
use crate::position::Position;
use crate::request::{Argument, Request, Transport};
use crate::statistics::Resync;
use crate::svd;
use crate::time::Time;
use involflt::abi::{GUID_BYTES, MAX_CHANGES, commit, dirty_block as block, wait};
use nix::errno::Errno;
use std::fs::File;
use std::io;

/// A connection to the driver that is one disk's agent.
///
/// A batch is delivered until it is committed, to this agent or to the next one. Commit it when the target has it for
/// good, not before.
pub struct Agent<T = File> {
    driver: Driver<T>,
    disk: Disk,
    /// The driver's name of the disk: that of whoever started it first.
    name: String,
    /// The connection that is the agent's service.
    service: Option<Driver<T>>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Offset and length of each change in bytes, inside of the disk. What they changed to is on the disk.
    Extents(Vec<(u64, u64)>),
    /// The changes with their data, in order, inside of the disk.
    Data(svd::Stream),
}

impl Changes {
    /// Offset and length of each change in bytes.
    fn extents(&self) -> Vec<(u64, u64)> {
        match self {
            Changes::Extents(extents) => extents.clone(),
            Changes::Data(stream) => stream.changes().map(|(offset, data)| (offset, data.len() as u64)).collect(),
        }
    }
}

/// Changes of a disk, as the driver gave them and as they are to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    transaction: u64,
    /// What has changed.
    pub changes: Changes,
    /// Names of tags that stand here in the order of changes.
    pub tags: Vec<String>,
    /// When the last change of the batch, or its tag, was made.
    pub time: Time,
    /// Where the batch stands in the order of all changes.
    pub position: Position,
    /// Position of the batch that was committed before, by whichever agent.
    pub previous: Position,
    /// Whether the driver captured every change since it was last up to date, so that they came in their order.
    pub is_ordered: bool,
    /// Bytes that have changed and are not in this batch.
    pub pending_bytes: u64,
    /// Why the disk must be copied anew, if it must.
    pub resync: Option<Resync>,
}

impl Batch {
    /// Whether there is nothing in it: everything is drained.
    pub fn is_empty(&self) -> bool {
        self.changes.extents().is_empty() && self.tags.is_empty()
    }

    /// Bytes that the changes cover.
    pub fn bytes(&self) -> u64 {
        self.changes.extents().iter().map(|(_, bytes)| bytes).sum()
    }
}

impl<T: Transport> Agent<T> {
    /// Becomes an agent of a disk, which is filtered from now on if it is not already.
    pub fn of(driver: Driver<T>, disk: Disk) -> Result<Self> {
        driver.start(&disk)?;
        let name = among(&driver.protected()?, &disk.node).unwrap_or(&disk.node).clone();
        Ok(Agent { driver, disk, name, service: None })
    }

    /// Has the driver capture the data of changes as long as this agent lives. `service` is another connection.
    pub fn capture(self, service: Driver<T>) -> Result<Self> {
        service.register_service()?;
        Ok(Agent { service: Some(service), ..self })
    }

    /// Whether the driver captures data for it.
    pub fn captures(&self) -> bool {
        self.service.is_some()
    }

    /// A sequence that is later than that of every change that was drained, and earlier than that of every one to come.
    pub fn stamp(&self) -> Result<u64> {
        self.driver.stamp(&self.name)
    }

    /// The disk.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The next batch, or again the one that is not committed. `None` where a tag is next that is still held.
    pub fn get(&self) -> Result<Option<Batch>> {
        let request = &Request::GET_DIRTY_BLOCKS;
        let mut argument = request.argument();
        match self.driver.attempt(request, &mut argument, &mut []) {
            Ok(()) => {}
            Err(Errno::EAGAIN) => return Ok(None),
            Err(errno) => return Err(refused(request, errno, &self.disk.node, GET_CURES)),
        }
        let about = |cause| Error::failed(format!("{}: {}: {cause}", self.disk.node, request.name));
        let stream = self.stream(&argument).map_err(|error| about(format!("its data: {error}")))?;
        let batch = parse(&argument, stream).and_then(|batch| batch.inside(self.disk.bytes));
        batch.map(Some).map_err(about)
    }

    /// The stream of a block that has one.
    fn stream(&self, argument: &Argument) -> io::Result<Option<Vec<u8>>> {
        if argument.u32_at(block::FLAGS) & block::FLAG_STREAM == 0 {
            return Ok(None);
        }
        let bytes = argument.u32_at(block::STREAM_BYTES);
        if bytes > MAX_STREAM {
            return Err(io::Error::other(format!("{bytes} bytes, and {MAX_STREAM} are the most")));
        }
        self.driver.mapped(argument.u64_at(block::BUFFER), bytes as usize).map(Some)
    }

    /// The target has the batch. `resync_started` says as well that the disk is being copied anew, for the reason that
    /// the batch tells.
    pub fn commit(&self, batch: &Batch, resync_started: bool) -> Result<()> {
        let request = &Request::COMMIT_DIRTY_BLOCKS;
        let mut argument = request.argument();
        put_name(&mut argument, 0, &self.name, GUID_BYTES)?;
        argument.put(commit::TRANSACTION, &batch.transaction.to_le_bytes());
        let flags = if resync_started { commit::FLAG_RESYNC_STARTED } else { 0 };
        argument.put(commit::FLAGS, &flags.to_le_bytes());
        let sent = self.driver.attempt(request, &mut argument, &mut []);
        sent.map_err(|errno| refused(request, errno, &self.disk.node, COMMIT_CURES))
    }

    /// Has the driver forget every change until now, and that a resync is required. What is read from the disk from now on
    /// has them.
    pub fn forget(&self) -> Result<()> {
        let request = &Request::CLEAR;
        let mut argument = request.argument();
        put_name(&mut argument, 0, &self.name, GUID_BYTES)?;
        let sent = self.driver.attempt(request, &mut argument, &mut []);
        sent.map_err(|errno| refused(request, errno, &self.disk.node, GET_CURES))
    }

    /// Places a tag among the changes of this disk: behind all that have been made, before all that are to come. Fails for a
    /// disk that has dirty bits: drain them and try again.
    pub fn tag(&self, name: &str) -> Result<()> {
        let point = Guid::new()?;
        self.driver.tag(&point, name, std::slice::from_ref(&self.name))?;
        self.driver.commit_tags(&point)
    }

    /// Waits until a good deal has changed, so many seconds at most or until a signal.
    pub fn wait(&self, seconds: i32) -> Result<()> {
        let request = &Request::WAIT;
        let mut argument = request.argument();
        put_name(&mut argument, 0, &self.name, GUID_BYTES)?;
        argument.put(wait::SECONDS, &seconds.to_le_bytes());
        match self.driver.attempt(request, &mut argument, &mut []) {
            Ok(()) | Err(Errno::ETIMEDOUT | Errno::EINTR) => Ok(()),
            Err(errno) => Err(refused(request, errno, &self.disk.node, GET_CURES)),
        }
    }
}

const GET_CURES: &[(Errno, &str)] = &[
    (Errno::EBUSY, "filtering of the disk was stopped meanwhile: its replica needs a full copy"),
    (Errno::EFAULT, "the drain of the disk is blocked: let it go on with attribute 36 or SET_DRAIN_STATE"),
];
const COMMIT_CURES: &[(Errno, &str)] = &[
    (Errno::EBUSY, "filtering of the disk was stopped meanwhile: its replica needs a full copy"),
    (Errno::EFAULT, "another agent drains the same disk: there can be one only"),
];

impl Batch {
    fn inside(self, bytes: u64) -> Result<Self, String> {
        let is_bad =
            |&(offset, length): &(u64, u64)| length == 0 || offset.checked_add(length).is_none_or(|end| end > bytes);
        let bad = self.changes.extents().into_iter().find(is_bad);
        match bad {
            None => Ok(self),
            Some((offset, length)) => {
                Err(format!("a change of {length} bytes at {offset} is not on a disk of {bytes} bytes"))
            }
        }
    }
}

/// Where in a block's list of tags the time of its last change stands, and where the tags of users begin: behind a header,
/// two times, and where the changes come from.
const LAST_TIME: u64 = block::TAGS + 32;
const USER_TAGS: u64 = block::TAGS + 64;

/// Bytes of a stream at most: 64 MiB of changes is the most that the driver can be told to put in one, and one change may be
/// behind that.
const MAX_STREAM: u32 = 128 << 20;

fn parse(argument: &Argument, stream: Option<Vec<u8>>) -> Result<Batch, String> {
    let (changes, tags) = match stream {
        None => (
            Changes::Extents(extents(argument)?),
            tags(&argument.bytes()[USER_TAGS as usize..block::OFFSETS as usize])?,
        ),
        Some(stream) => {
            let stream = svd::Stream::parse(stream).map_err(|cause| format!("its stream: {cause}"))?;
            let tags = stream.tags().to_vec();
            (Changes::Data(stream), tags)
        }
    };
    Ok(Batch {
        transaction: argument.u64_at(block::TRANSACTION),
        changes,
        tags,
        time: Time::from_units(argument.u64_at(LAST_TIME + 16)),
        position: Position { sequence: argument.u64_at(LAST_TIME + 8), part: argument.u32_at(block::SPLIT_SEQUENCE) },
        previous: Position {
            sequence: argument.u64_at(block::PREVIOUS_SEQUENCE),
            part: argument.u32_at(block::PREVIOUS_SPLIT),
        },
        is_ordered: argument.u32_at(block::STATE) == block::STATE_DATA,
        pending_bytes: argument.u64_at(block::PENDING_BYTES),
        resync: resync(argument),
    })
}

fn extents(argument: &Argument) -> Result<Vec<(u64, u64)>, String> {
    let count = argument.u32_at(block::CHANGES) as usize;
    if count > MAX_CHANGES {
        return Err(format!("it counts {count} changes, and {MAX_CHANGES} are the most"));
    }
    let change = |index| {
        let length = argument.u32_at(block::LENGTHS + 4 * index);
        (argument.u64_at(block::OFFSETS + 8 * index), u64::from(length))
    };
    Ok((0..count as u64).map(change).collect())
}

fn resync(argument: &Argument) -> Option<Resync> {
    let text = &argument.bytes()[block::RESYNC_TEXT as usize..][..block::RESYNC_TEXT_BYTES];
    (argument.u32_at(block::FLAGS) & block::FLAG_RESYNC_REQUIRED != 0).then(|| Resync {
        code: argument.u64_at(block::RESYNC_CODE),
        reason: until_nul(text),
        count: argument.u64_at(block::RESYNC_COUNT),
        time: Some(Time::from_units(argument.u64_at(block::RESYNC_TIME))),
    })
}

/// The names in a list of tags.
fn tags(mut list: &[u8]) -> Result<Vec<String>, String> {
    let mut tags = Vec::new();
    while let [kind_low, kind_high, flags, short, rest @ ..] = list {
        if u16::from_le_bytes([*kind_low, *kind_high]) != block::tag::USER {
            return Ok(tags);
        }
        let (whole, header) = match rest {
            [a, b, c, d, ..] if flags & block::tag::FLAG_LONG != 0 => {
                (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 8)
            }
            _ => (usize::from(*short), 4),
        };
        let record = list.get(header..whole).ok_or("its list of tags does not end")?;
        let (length, name) = record.split_first_chunk::<2>().ok_or("a tag in it has no length")?;
        let name =
            name.get(..usize::from(u16::from_le_bytes(*length))).ok_or("a tag in it is longer than its record")?;
        tags.push(until_nul(name));
        list = &list[whole..];
    }
    Err("its list of tags does not end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_both_lengths_are_read_and_damaged_lists_are_refused() {
        let end = [2, 0, 0, 4];
        let list = [&[5, 0, 0, 8, 2, 0][..], b"ab", &[5, 0, 1, 0, 13, 0, 0, 0, 3, 0], b"xyz", &end].concat();
        assert_eq!(tags(&list).unwrap(), ["ab", "xyz"]);
        assert_eq!(tags(&end).unwrap(), [""; 0]);
        for length in 0..list.len() - end.len() {
            assert!(tags(&list[..length]).is_err(), "cut after {length} bytes");
        }
        assert!(tags(&[5, 0, 0, 8, 9, 0, 1, 1, 2, 0, 0, 4]).is_err());
        assert!(tags(&[5, 0, 0, 0, 0, 0, 2, 0, 0, 4]).is_err(), "a record of no length would never end");
    }
}
