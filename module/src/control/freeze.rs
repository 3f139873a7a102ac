// SPDX-License-Identifier: GPL-2.0-only
//! Freezing and thawing file systems, and the end of a consistency point.

use crate::abi::{freeze, volume_info};
use crate::control::tag::{guid, timeout, Volumes};
use crate::control::user::Struct;
use crate::engine::{FrozenVolume, Registry, TagId, MAX_FROZEN};
use crate::platform::{Errno, Mutex, Platform, Result};

fn volumes<P: Platform>(request: &Struct<P>) -> Result<Volumes<P>> {
    let volumes = Volumes::new(request.u64(freeze::LIST)?, request.u32(freeze::VOLUMES)?)?;
    if volumes.count == 0 || volumes.count > MAX_FROZEN {
        return Err(Errno::INVAL);
    }
    Ok(volumes)
}

/// Does `work` with every volume, and says of each how it went. Fails with [`Errno::PERM`] where one has failed.
fn each<P: Platform>(volumes: &Volumes<P>, mut work: impl FnMut(u64) -> Result<bool>) -> Result<()> {
    let mut good = true;
    for index in 0..volumes.count as u64 {
        let done = work(index)?;
        volumes.put(index, if done { volume_info::VALUE_DONE } else { volume_info::VALUE_FAILED })?;
        good &= done;
    }
    if good {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

/// Freezes the file systems of a consistency point. What was frozen stays so where another one fails, until it is thawed or
/// the time is over.
pub(super) fn freeze<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, freeze::BYTES)?;
    let (id, volumes) = (guid(&request, freeze::GUID)?, volumes(&request)?);
    let timeout = timeout(&request, freeze::TIMEOUT, registry.timeouts.freeze())?;
    registry.point.with(|point| point.freeze(id, timeout))??;
    let frozen = each(&volumes, |index| freeze_one(registry, id, &volumes, index));
    // Nothing may be frozen at all.
    registry.point.with_always(|point| point.thawed(id, registry.timeouts.tags()));
    frozen
}

fn freeze_one<P: Platform>(registry: &Registry<P>, id: TagId, volumes: &Volumes<P>, index: u64) -> Result<bool> {
    let Ok(frozen) = FrozenVolume::<P>::new(volumes.name(index)?) else { return Ok(false) };
    // One for which the point has no place is thawed here, where nothing is locked.
    let back = registry.point.with_always(|point| point.keep(id, frozen));
    Ok(back.is_none())
}

/// Thaws file systems of the consistency point.
pub(super) fn thaw<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, freeze::BYTES)?;
    let (id, volumes) = (guid(&request, freeze::GUID)?, volumes(&request)?);
    let thawed = each(&volumes, |index| {
        let name = volumes.name(index)?;
        let frozen = registry.point.with_always(|point| point.thaw(id, name.as_bytes()))?;
        Ok(frozen.is_some())
    });
    registry.point.with_always(|point| point.thawed(id, registry.timeouts.tags()));
    thawed
}

/// The time of the consistency point may be over.
pub fn alarm<P: Platform>(registry: &Registry<P>) {
    registry.expire(false);
}
