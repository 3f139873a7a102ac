// SPDX-License-Identifier: GPL-2.0-only
//! ioctl requests in, engine calls, replies out.

mod attributes;
mod drain;
mod file;
mod lifecycle;
mod stats;
mod user;

use crate::abi::request;
use crate::engine::Registry;
use crate::platform::{Errno, Platform, Result};
pub use file::{release, File};

/// Serves one request of the open file `file`.
///
/// Fails with [`Errno::INVAL`] for a request that is not known, and for any after all disks were stopped for good.
pub fn ioctl<P: Platform>(registry: &mut Registry<P>, file: &mut File, word: u32, argument: u64) -> Result<()> {
    if registry.is_closed() {
        return Err(Errno::INVAL);
    }
    match word {
        request::PROCESS_START_NOTIFY => file::become_drainer(registry, file, argument),
        request::SERVICE_SHUTDOWN_NOTIFY => file::become_service::<P>(file, argument),
        request::GET_SET_ATTR => attributes::get_or_set(registry, argument),
        request::GET_DRIVER_VERSION => lifecycle::version::<P>(argument),
        request::START_FILTERING_DEVICE_V2 => lifecycle::start(registry, &mut file.disk, argument),
        request::STOP_FILTERING_DEVICE => lifecycle::stop(registry, argument),
        request::UNSTACK_ALL => registry.stop_all(),
        request::GET_PROTECTED_VOLUME_LIST => stats::volume_list(registry, argument),
        request::GET_VOLUME_STATS => stats::volume_stats(registry, argument),
        request::GET_DIRTY_BLOCKS_TRANS_V2 => drain::get(registry, file.disk, argument),
        request::COMMIT_DIRTY_BLOCKS_TRANS => drain::commit(registry, file.disk, argument),
        _ => Err(Errno::INVAL),
    }
}
