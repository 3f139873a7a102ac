// SPDX-License-Identifier: GPL-2.0-only
//! Version, start and stop.

use crate::abi::{dev_info, request, version, GUID_BYTES};
use crate::control::file::File;
use crate::control::system;
use crate::control::user::Struct;
use crate::engine::{Name, Registry};
use crate::persist::{common::keep_stamps, Keep};
use crate::platform::{Errno, Platform, Result};

/// Requests by which disks come and go, or what was kept of them. Each has a frame of its own: below it a file system needs what is left of the stack.
#[inline(never)]
pub(super) fn serve<P: Platform>(registry: &Registry<P>, file: &File, word: u32, argument: u64) -> Result<()> {
    match word {
        request::START_FILTERING_DEVICE_V2 => start(registry, file, argument),
        request::VOLUME_STACKING => stack(registry, file, argument),
        request::STOP_FILTERING_DEVICE => stop(registry, argument),
        request::REMOVE_FILTER_DEVICE => remove(registry, argument),
        request::VOLUME_UNSTACKING => unstack(registry, argument),
        request::INIT_DRIVER_FULLY => system::complete(registry, argument),
        _ => unstack_all(registry),
    }
}

pub(super) fn version<P: Platform>(argument: u64) -> Result<()> {
    let reply = Struct::<P>::new(argument, 2 * version::WORDS.len())?;
    (0u64..).zip(version::WORDS).try_for_each(|(index, word)| reply.put_u16(2 * index, word))
}

/// A disk's path and persistent name, which is part of a path elsewhere, so that a slash in it is refused.
fn names<P: Platform>(argument: u64) -> Result<(Name<256>, Name<256>)> {
    let info = Struct::<P>::new(argument, dev_info::BYTES)?;
    if info.u32(dev_info::TYPE)? != dev_info::HOST_VOLUME {
        return Err(Errno::INVAL);
    }
    let path = info.name::<256>(dev_info::GUID)?;
    let persistent_name = info.name::<256>(dev_info::PNAME)?;
    if path.as_bytes().len() >= GUID_BYTES || persistent_name.as_bytes().contains(&b'/') {
        return Err(Errno::INVAL);
    }
    Ok((path, persistent_name))
}

#[inline(never)]
fn start<P: Platform>(registry: &Registry<P>, file: &File, argument: u64) -> Result<()> {
    let (path, persistent_name) = names::<P>(argument)?;
    file.set_disk(registry.start(path, persistent_name)?);
    if let Some(disk) = registry.find_id(file.disk()) {
        disk.times.asked.set(P::unix_time());
    }
    Ok(())
}

/// Starts a disk that was filtered before, as when the machine has started. The file is no disk's then. Before the root file
/// system is there nobody knows which disks those are.
#[inline(never)]
fn stack<P: Platform>(registry: &Registry<P>, file: &File, argument: u64) -> Result<()> {
    let (path, persistent_name) = names::<P>(argument)?;
    file.set_disk(0);
    if P::common().is_before_root() {
        return stack_on_trust(registry, path, persistent_name);
    }
    if !Keep::<P>::is_known(&persistent_name) {
        return Err(Errno::INVAL);
    }
    registry.start(path, persistent_name).map(drop)
}

#[inline(never)]
fn stack_on_trust<P: Platform>(registry: &Registry<P>, path: Name<256>, persistent_name: Name<256>) -> Result<()> {
    let is_new = registry.find(path.as_bytes()).is_none();
    let disk = registry.find_id(registry.start(path, persistent_name)?);
    disk.filter(|_| is_new).inspect(|disk| disk.take_on_trust());
    Ok(())
}

fn stop<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let name = Struct::<P>::new(argument, GUID_BYTES)?.name::<GUID_BYTES>(0)?;
    registry.stop(name.as_bytes())
}

/// The disk goes, and comes back some time.
fn remove<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let name = Struct::<P>::new(argument, GUID_BYTES)?.name::<GUID_BYTES>(0)?;
    registry.remove(name.as_bytes())
}

/// As [`stop`], with another error for a disk that is not filtered.
fn unstack<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    stop(registry, argument).map_err(|errno| if errno == Errno::NODEV { Errno::INVAL } else { errno })
}

/// Filters nothing any longer, until the module is loaded again.
fn unstack_all<P: Platform>(registry: &Registry<P>) -> Result<()> {
    registry.stop_all()?;
    keep_stamps::<P>();
    #[cfg(feature = "telemetry")]
    {
        registry.telemetry.look(registry);
        registry.telemetry.flush();
    }
    Ok(())
}
