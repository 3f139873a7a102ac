// SPDX-License-Identifier: GPL-2.0-only
//! Tags that come as a stream of bytes: `TAG_VOLUME`, `SYNC_TAG_VOLUME` and the question after those.

use crate::abi::{tag_info, tag_status};
use crate::control::tag::{self, place_on};
use crate::control::user::Struct;
use crate::engine::{Fate, Name, Records, Registry, TagId, TagSet, MAX_DISKS, MAX_ID};
use crate::platform::{Errno, Event, Mutex, Platform, Result, User, Waited};

/// The id of a set that nobody asks for again.
const NOBODY: &[u8] = &[0];
/// Bytes in front of a stream may lie anywhere, so its end is not known.
const LONGEST: usize = 1 << 20;

/// Reads one field after the other.
struct Reader<P: Platform> {
    stream: Struct<P>,
    offset: u64,
}

impl<P: Platform> Reader<P> {
    fn new(argument: u64) -> Result<Self> {
        Ok(Reader { stream: Struct::new(argument, LONGEST)?, offset: 0 })
    }

    fn take(&mut self, bytes: u64) -> u64 {
        let offset = self.offset;
        self.offset += bytes;
        offset
    }

    fn u16(&mut self) -> Result<u16> {
        let offset = self.take(2);
        self.stream.bytes(offset).map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        let offset = self.take(4);
        self.stream.u32(offset)
    }

    fn fill(&mut self, to: &mut [u8]) -> Result<()> {
        let offset = self.take(to.len() as u64);
        P::User::read(self.stream.address(offset), to)
    }

    /// A length and the id.
    fn id(&mut self) -> Result<TagId> {
        let mut bytes = [0; MAX_ID];
        let length = usize::from(self.u16()?);
        let bytes = bytes.get_mut(..length).ok_or(Errno::INVAL)?;
        self.fill(bytes)?;
        TagId::new(bytes)
    }

    /// A length and the name, with or without a NUL.
    fn name(&mut self) -> Result<Name<256>> {
        let mut bytes = [0; 256];
        let length = usize::from(self.u16()?);
        self.fill(bytes.get_mut(..length).filter(|name| name.len() < 256).ok_or(Errno::INVAL)?)?;
        Name::new(bytes)
    }

    /// Their number, then a length and the data of each.
    fn records(&mut self) -> Result<Records<P>> {
        let mut records = Records::new()?;
        let tags = self.u16()?;
        if tags == 0 {
            return Err(Errno::INVAL);
        }
        for _ in 0..tags {
            let length = usize::from(self.u16()?);
            records.push(length, |to| self.fill(to))?;
        }
        Ok(records)
    }
}

/// Places the tags of a stream. All disks must be filtered, and all or, where that is not asked for, one of them must take it.
fn place<P: Platform>(
    registry: &Registry<P>,
    id: TagId,
    reader: &mut Reader<P>,
    ask: bool,
) -> Result<P::Shared<TagSet<P>>> {
    let flags = reader.u32()?;
    if flags & !(tag_info::FLAG_ATOMIC | tag_info::FLAG_FILE_SYSTEMS) != 0 {
        return Err(Errno::INVAL);
    }
    let count = usize::from(reader.u16()?);
    if count == 0 || count > MAX_DISKS {
        return Err(Errno::INVAL);
    }
    let disks = tag::disks_of::<P>(count, |_| {
        let disk = registry.find(reader.name()?.as_bytes()).ok_or(Errno::INVAL)?;
        Ok(disk.id)
    })?;
    let set = tag::set::<P>(id, reader.records()?, &disks)?;
    let atomic = flags & tag_info::FLAG_ATOMIC != 0;
    registry.point.with(|point| {
        if point.is_shut() {
            return Err(Errno::INVAL);
        }
        if atomic && !tag::all_take(registry, &set) {
            return Err(Errno::AGAIN);
        }
        if ask {
            point.remember(set.clone())?;
        }
        let placed = place_on(registry, point, &set, |_| Fate::Waiting);
        if placed == 0 || (atomic && placed < count) {
            set.revoke();
            point.forget(id);
            return Err(Errno::AGAIN);
        }
        Ok(())
    })??;
    registry.decided(&set);
    Ok(set)
}

/// Places tags that nobody asks for again.
pub(super) fn tag<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let mut reader = Reader::new(argument)?;
    place(registry, TagId::new(NOBODY)?, &mut reader, false).map(drop)
}

/// Places tags, and tells at once what has become of them, behind the stream. They are remembered while one of them waits.
pub(super) fn sync_tag<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let mut reader = Reader::new(argument)?;
    let id = reader.id()?;
    let set = place(registry, id, &mut reader, true)?;
    tell(registry, &set, &reader)
}

/// Tells what has become of tags that are remembered, after a wait for that where one of them waits still: once, for so many
/// seconds, or without end.
pub(super) fn status<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let mut reader = Reader::<P>::new(argument)?;
    let id = reader.id()?;
    let seconds = u32::from(reader.u16()?);
    let seen = registry.tags.count();
    let set = registry.point.with(|point| point.remembered(id))?.ok_or(Errno::INVAL)?;
    let milliseconds = if seconds == 0 { i32::MAX as u32 } else { seconds * 1000 };
    if !set.is_final() && registry.tags.wait(seen, milliseconds) == Waited::Interrupted {
        return Err(Errno::INTR);
    }
    tell(registry, &set, &reader)
}

fn tell<P: Platform>(registry: &Registry<P>, set: &TagSet<P>, reader: &Reader<P>) -> Result<()> {
    // Before it is told: what comes between the two is told the next time.
    let forget = set.is_final();
    (0..set.disks()).try_for_each(|index| {
        let status = match set.fate(index) {
            Fate::Held | Fate::Waiting => tag_status::PENDING,
            Fate::Drained => tag_status::COMMITTED,
            Fate::Deleted => tag_status::DELETED,
            Fate::Revoked => tag_status::DROPPED,
            Fate::Absent | Fate::Refused => tag_status::FAILED,
        };
        reader.stream.put_u32(reader.offset + 4 * index as u64, status)
    })?;
    if forget {
        registry.point.with_always(|point| point.forget(set.id));
    }
    Ok(())
}
