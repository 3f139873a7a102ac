// SPDX-License-Identifier: GPL-2.0-only
//! Waiting until a tag is drained from all its disks, which may keep them from being drained any further.

use crate::abi::{tag_notify as notify, GUID_BYTES};
use crate::control::churn::{put_all, put_named};
use crate::control::drain_state;
use crate::control::tag::{disks_of, guid};
use crate::control::user::Struct;
use crate::engine::{Fate, Name, Registry, TagSet};
use crate::platform::{Errno, Event, Mutex, Platform, Result, Waited};
use crate::sync::Ordering;

/// What is waited for.
struct Watched<P: Platform> {
    /// Ids of disks.
    disks: P::Words,
    serial: u64,
}

impl<P: Platform> Watched<P> {
    fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.disks.iter().map(|word| word.load(Ordering::Relaxed))
    }

    /// Whether the tag has come to an end on every disk, or on one of them to a bad one.
    fn is_over(&self, registry: &Registry<P>, set: Option<&TagSet<P>>) -> bool {
        let status = |id| status(registry, set, id);
        self.ids().all(|id| status(id) == notify::VALUE_COMMITTED) || self.ids().any(|id| is_bad(status(id)))
    }

    fn wait(&self, registry: &Registry<P>) -> Result<Option<P::Shared<TagSet<P>>>> {
        loop {
            let seen = registry.tags.count();
            let set = registry.point.with_always(|point| point.watched(self.serial))?;
            if self.is_over(registry, set.as_deref()) {
                return Ok(set);
            }
            match registry.tags.wait(seen, i32::MAX as u32) {
                Waited::Happened => {}
                Waited::Interrupted => return Err(Errno::INTR),
                // After 24 days.
                Waited::TimedOut => return Err(Errno::TIMEDOUT),
            }
        }
    }
}

fn is_bad(status: u32) -> bool {
    !matches!(status, notify::VALUE_VERIFIED | notify::VALUE_INSERTED | notify::VALUE_COMMITTED)
}

/// How far the tag is on the disk with that id.
fn status<P: Platform>(registry: &Registry<P>, set: Option<&TagSet<P>>, id: u64) -> u32 {
    let Some(set) = set else {
        return if registry.find_id(id).is_some() { notify::VALUE_VERIFIED } else { notify::VALUE_UNKNOWN };
    };
    match set.index_of(id).map(|index| set.fate(index)) {
        None => notify::VALUE_NOT_RECEIVED,
        Some(Fate::Absent | Fate::Held | Fate::Waiting) => notify::VALUE_INSERTED,
        Some(Fate::Drained) => notify::VALUE_COMMITTED,
        Some(Fate::Refused) => notify::VALUE_NOT_INSERTED,
        Some(Fate::Revoked | Fate::Deleted) => notify::VALUE_DROPPED,
    }
}

/// Waits for the tag of that name, and tells how it went.
///
/// Fails with [`Errno::BUSY`] where somebody waits already, with [`Errno::EXIST`] where a disk that is to be kept from being
/// drained is so already, and with [`Errno::INTR`] for a signal or who wakes.
pub(super) fn drained<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let header = Struct::<P>::new(argument, notify::HEADER as usize)?;
    let id = guid(&header, notify::GUID)?;
    let blocks = header.u64(notify::FLAGS)? & notify::FLAG_BLOCK != 0;
    let count = header.u64(notify::DISKS)?;
    if count == 0 {
        return Err(Errno::INVAL);
    }
    if count > registry.disks().count() as u64 {
        return Err(Errno::FAULT);
    }
    let names = Struct::<P>::new(argument, notify::HEADER as usize + count as usize * GUID_BYTES)?;
    let at = |index: u64| notify::HEADER + index * GUID_BYTES as u64;
    let answer = Struct::<P>::new(
        argument.checked_add(at(count)).ok_or(Errno::FAULT)?,
        (notify::ANSWER_HEADER + count * notify::STATUS_BYTES) as usize,
    )?;
    let disks = disks_of::<P>(count as usize, |index| {
        let name = names.name::<GUID_BYTES>(at(index))?;
        let disk = registry.find_persistent(name.as_bytes()).ok_or(Errno::NODEV)?;
        if blocks && disk.is_drain_blocked() {
            return Err(Errno::EXIST);
        }
        Ok(disk.id)
    })?;
    let serial = registry.point.with(|point| point.watch(id, blocks))??;
    let watched = Watched::<P> { disks, serial };
    let set = watched.wait(registry);
    registry.point.with_always(|point| point.unwatch(serial));
    let good = set
        .as_ref()
        .is_ok_and(|set| watched.ids().all(|id| status(registry, set.as_deref(), id) == notify::VALUE_COMMITTED));
    if blocks && !good {
        watched.ids().filter_map(|id| registry.find_id(id)).for_each(|disk| drain_state::block(&disk, false));
    }
    let set = set?;
    answer.put(0, &with_churn(registry, count, |index| names.name(at(index)))?)?;
    answer.put(notify::GUID, id.as_bytes())?;
    answer.put_u64(notify::FLAGS, header.u64(notify::FLAGS)?)?;
    answer.put_u64(notify::ANSWER_DISKS, count)?;
    for (index, disk) in (0..).zip(watched.ids()) {
        let at_status = notify::ANSWER_HEADER + index * notify::STATUS_BYTES;
        answer.put(at_status, &names.bytes::<GUID_BYTES>(at(index))?)?;
        answer.put_u32(at_status + notify::TAG_STATUS, status(registry, set.as_deref(), disk))?;
        if let Some((set, index)) = set.as_deref().and_then(|set| Some((set, set.index_of(disk)?))) {
            answer.put_u64(at_status + notify::TIME, set.stamp(index).time())?;
            answer.put_u64(at_status + notify::SEQUENCE, set.stamp(index).sequence())?;
        }
    }
    Ok(())
}

/// The bytes of an answer for so many disks, with the churn in them and all else zero.
fn with_churn<P: Platform>(
    registry: &Registry<P>,
    disks: u64,
    name: impl Fn(u64) -> Result<Name<GUID_BYTES>>,
) -> Result<P::Bytes> {
    let mut bytes = P::bytes((notify::ANSWER_HEADER + disks * notify::STATUS_BYTES) as usize)?;
    registry.churn.with(|churn| put_all(&mut bytes[notify::ALL_DISKS as usize..], churn))?;
    let mut each = bytes[notify::ANSWER_HEADER as usize..].chunks_exact_mut(notify::STATUS_BYTES as usize);
    (0..disks).zip(&mut each).try_for_each(|(index, disk)| {
        let name = name(index)?;
        registry.churn.with(|churn| put_named(&mut disk[notify::CHURN as usize..], churn, name.as_bytes()))
    })?;
    Ok(bytes)
}

/// Whoever waits for a tag waits no longer.
pub(super) fn wake<P: Platform>(registry: &Registry<P>) {
    registry.point.with_always(|point| point.unwatch_any());
    registry.tags.happen();
}
