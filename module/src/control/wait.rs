// SPDX-License-Identifier: GPL-2.0-only
//! Waiting until there is enough to drain.

use crate::abi::{wait, GUID_BYTES};
use crate::control::drain::file_disk;
use crate::control::file::File;
use crate::control::latency::timed;
use crate::control::numbers::named as named_disk;
use crate::control::user::Struct;
use crate::engine::{Disk, Registry};
use crate::platform::{Errno, Platform, Result, Waited};

/// Seconds in milliseconds, 24 days at most.
fn milliseconds<P: Platform>(request: &Struct<P>) -> Result<u32> {
    let seconds = u32::try_from(request.u32(wait::SECONDS)? as i32).map_err(|_| Errno::INVAL)?;
    Ok(seconds.saturating_mul(1000).min(i32::MAX as u32))
}

/// Waits for changes of the disk that is named.
pub(super) fn named<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, wait::BYTES)?;
    let disk = named_disk(registry, &request)?.ok_or(Errno::INVAL)?;
    wait_for(registry, &disk, milliseconds(&request)?)
}

/// Waits for changes of the open file's disk, which must be the one that is named.
pub(super) fn own<P: Platform>(registry: &Registry<P>, file: &File, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, wait::BYTES)?;
    let name = request.name::<GUID_BYTES>(0)?;
    let disk = file_disk(registry, file.disk())?;
    if disk.path.as_bytes() != name.as_bytes() {
        return Err(Errno::INVAL);
    }
    wait_for(registry, &disk, milliseconds(&request)?)
}

/// Nothing is locked meanwhile. Fails with [`Errno::TIMEDOUT`] when there is nothing at all, with [`Errno::INTR`] for a
/// signal, and with [`Errno::BUSY`] when the disk was stopped.
fn wait_for<P: Platform>(registry: &Registry<P>, disk: &Disk<P>, milliseconds: u32) -> Result<()> {
    let tracker = &disk.tracker;
    let waited = timed::<P, _>(&disk.latencies.wait, || tracker.waits.wait(milliseconds, || tracker.is_enough()));
    if registry.find_id(disk.id).is_none() {
        return Err(Errno::BUSY);
    }
    match waited {
        Waited::Interrupted => Err(Errno::INTR),
        Waited::TimedOut if tracker.pending_bytes() == 0 => Err(Errno::TIMEDOUT),
        Waited::TimedOut | Waited::Happened => Ok(()),
    }
}

/// What a poll finds. Numbers as in `glue.h`, `enum inv_ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Ready {
    /// A wait would wait.
    Not = 0,
    /// There is enough to drain.
    Changes = 1,
    /// The file has no disk, or it is not filtered any longer.
    Gone = 2,
}

/// Whether the open file's disk has enough to drain; if not, those who poll are woken once it has.
pub fn poll<P: Platform>(registry: &Registry<P>, file: &File) -> Ready {
    let Some(disk) = registry.find_id(file.disk()) else { return Ready::Gone };
    disk.tracker.waits.arm();
    if disk.tracker.is_enough() {
        Ready::Changes
    } else {
        Ready::Not
    }
}
