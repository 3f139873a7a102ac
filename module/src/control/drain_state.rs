// SPDX-License-Identifier: GPL-2.0-only
//! Whether disks may be drained, and giving up what waits.

use crate::abi::{drain_state, failed_commit, replication_state, GUID_BYTES};
use crate::control::user::Struct;
use crate::engine::{Disk, Filtered, Name, Registry, MAX_DISKS};
use crate::persist::note_drain_blocked;
use crate::platform::{Errno, Mutex, Platform, Result};

/// Forgets every change, and that a resync is required. A disk that is not filtered has none.
pub(super) fn clear<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let name = Struct::<P>::new(argument, GUID_BYTES)?.name::<GUID_BYTES>(0)?;
    let Some(disk) = registry.find(name.as_bytes()) else { return Ok(()) };
    disk.times.cleared.set(P::unix_time());
    disk.with(|Filtered { drain, device, .. }| drain.clear(device))
}

/// Forbids delivery of a disk's changes, or allows it, also after its next start.
pub(super) fn block<P: Platform>(disk: &Disk<P>, blocked: bool) {
    disk.block_drain(blocked);
    note_drain_blocked::<P>(&disk.persistent_name(), blocked);
}

/// The agent could not bring the block that is out to its target.
pub(super) fn commit_failed<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, failed_commit::BYTES)?;
    let name = request.name::<GUID_BYTES>(0)?;
    let transaction = request.u64(failed_commit::TRANSACTION)?;
    let network = request.u64(failed_commit::FLAGS)? & failed_commit::FLAG_NETWORK != 0;
    let error = request.u64(failed_commit::ERROR)?;
    let disk = registry.find(name.as_bytes()).ok_or(Errno::NODEV)?;
    disk.with(|disk| disk.drain.commit_failed(transaction, network))??;
    #[cfg(feature = "telemetry")]
    disk.counts.failed();
    if network {
        registry.churn.with_always(|churn| churn.network_failed(disk.id, P::unix_time(), error));
    }
    Ok(())
}

/// The agent slows down, until it gets the next block.
pub(super) fn throttled<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, replication_state::BYTES)?;
    if request.u64(replication_state::FLAGS)? != replication_state::FLAG_THROTTLED {
        return Err(Errno::INVAL);
    }
    let name = request.name::<GUID_BYTES>(0)?;
    registry.find(name.as_bytes()).ok_or(Errno::FAULT)?.times.throttled.set(P::unix_time());
    Ok(())
}

/// A list of persistent names behind a header, and the place behind it, where the answer goes.
struct Disks<P: Platform> {
    request: Struct<P>,
    header: u64,
    count: u64,
}

impl<P: Platform> Disks<P> {
    /// `header` bytes of header, the last 8 of them the number of disks. Fails with [`Errno::INVAL`] where that is more
    /// than there can be.
    fn new(argument: u64, header: u64) -> Result<Self> {
        let count = Struct::<P>::new(argument, header as usize)?.u64(header - 8)?;
        if count > MAX_DISKS as u64 {
            return Err(Errno::INVAL);
        }
        Ok(Disks { request: Struct::new(argument, header as usize + count as usize * GUID_BYTES)?, header, count })
    }

    fn name(&self, index: u64) -> Result<Name<GUID_BYTES>> {
        self.request.name(self.header + index * GUID_BYTES as u64)
    }

    /// The answer: a header of 16 bytes, the last 8 of them the number of disks, then `each` for each of them.
    fn answer(&self, argument: u64, each: u64) -> Result<Struct<P>> {
        let start = argument + self.header + self.count * GUID_BYTES as u64;
        let answer = Struct::<P>::new(start, (16 + self.count * each) as usize)?;
        answer.put_u64(0, 0)?;
        answer.put_u64(8, self.count)?;
        Ok(answer)
    }
}

/// Tells of each disk whether it may be drained. Fails with [`Errno::NODEV`] at the first that is not filtered.
pub(super) fn get<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let disks = Disks::<P>::new(argument, drain_state::GET_HEADER)?;
    let answer = disks.answer(argument, drain_state::STATE_BYTES)?;
    for index in 0..disks.count {
        let name = disks.name(index)?;
        let blocked = registry.find_persistent(name.as_bytes()).ok_or(Errno::NODEV)?.is_drain_blocked();
        let at = 16 + index * drain_state::STATE_BYTES;
        let mut whole = [0; drain_state::STATE_BYTES as usize];
        whole[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
        answer.put(at, &whole)?;
        answer.put_u64(at + 136, if blocked { drain_state::FLAG_BLOCKED } else { drain_state::FLAG_ALLOWED })?;
    }
    Ok(())
}

/// Lets each disk be drained again.
pub(super) fn allow<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let disks = Disks::<P>::new(argument, drain_state::SET_HEADER)?;
    let answer = disks.answer(argument, drain_state::STATUS_BYTES)?;
    for index in 0..disks.count {
        let name = disks.name(index)?;
        let status = match registry.find_persistent(name.as_bytes()) {
            None => drain_state::VALUE_NOT_FOUND,
            Some(disk) => {
                block(&disk, false);
                disk.tracker.waits.wake();
                drain_state::VALUE_DONE
            }
        };
        let at = 16 + index * drain_state::STATUS_BYTES;
        let mut whole = [0; drain_state::STATUS_BYTES as usize];
        whole[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
        answer.put(at, &whole)?;
        answer.put_u32(at + 136, status)?;
    }
    Ok(())
}
