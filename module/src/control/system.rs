// SPDX-License-Identifier: GPL-2.0-only
//! Requests about the system as a whole, and those that mean nothing to this driver.

use crate::abi::{last_writes, volume_flags, GUID_BYTES};
use crate::control::numbers::named;
use crate::control::user::Struct;
use crate::engine::Registry;
use crate::persist::common;
use crate::platform::{Errno, Mutex, Platform, Result};

/// The system is about to shut down: the consistency point ends, and there will be none.
pub(super) fn before_shutdown<P: Platform>(registry: &Registry<P>) -> Result<()> {
    registry.expire(true);
    registry.point.with_always(|point| point.shut());
    Ok(())
}

/// The system shuts down. File systems still write, so the disks stay filtered, and their bitmap files in use. Fails with
/// [`Errno::IO`] where `CleanShutdown` cannot be written.
pub(super) fn shutdown<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    number::<P>(argument)?;
    before_shutdown(registry)?;
    common::keep_stamps::<P>();
    common::keep_clean_shutdown::<P>(true).map_err(|_| Errno::IO)
}

/// The root file system is there, and writable: what the driver keeps in it is taken over, where that was not done before.
#[inline(never)]
pub(super) fn complete<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    number::<P>(argument)?;
    if P::common().end_before_root() {
        common::load::<P>();
        registry.root_is_there();
    }
    Ok(())
}

/// A number that says nothing to this driver, but must be there.
pub(super) fn number<P: Platform>(argument: u64) -> Result<()> {
    Struct::<P>::new(argument, 4)?.u32(0).map(drop)
}

/// Tests of how the C driver writes a bitmap file past its file system, which this one never does: what they ask for fails
/// as on a disk where the C driver cannot learn where its file lies.
pub(super) fn last_writes<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, last_writes::BYTES)?;
    let name = request.name::<GUID_BYTES>(last_writes::NAME)?;
    match request.u32(last_writes::OPERATION)? {
        last_writes::VALUE_LEARN_FILE => return Err(Errno::BADF),
        last_writes::VALUE_LEARN..=last_writes::VALUE_OPEN => {}
        _ => return Err(Errno::INVAL),
    }
    registry.find(name.as_bytes()).ok_or(Errno::NOENT)?;
    Err(Errno::BADF)
}

/// Sets or resets a disk's flags. There is one, which only says of itself that it is set.
pub(super) fn set_flags<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, volume_flags::BYTES)?;
    let disk = named(registry, &request)?.ok_or(Errno::INVAL)?;
    if request.u32(volume_flags::FLAGS)? != volume_flags::FLAG_READ_ONLY {
        return Err(Errno::INVAL);
    }
    match request.u32(volume_flags::OPERATION)? {
        volume_flags::VALUE_SET => disk.set_read_only(true),
        volume_flags::VALUE_RESET => disk.set_read_only(false),
        _ => return Err(Errno::INVAL),
    }
    Ok(())
}

/// A disk's flags.
pub(super) fn flags<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, volume_flags::BYTES)?;
    let name = request.name::<GUID_BYTES>(0)?;
    let disk = registry.find(name.as_bytes()).ok_or(Errno::INVAL)?;
    let flags = if disk.is_read_only() { volume_flags::FLAG_READ_ONLY } else { 0 };
    request.put_u32(volume_flags::FLAGS, flags)
}
