// SPDX-License-Identifier: GPL-2.0-only
//! ioctl requests in, engine calls, replies out.

mod drain;
mod lifecycle;
mod stats;
mod user;

use crate::abi::request;
use crate::engine::Registry;
use crate::platform::{Errno, Platform, Result};

/// Serves one request. `file_disk` is the id of the open file's disk, 0 for none.
///
/// Fails with [`Errno::INVAL`] for a request that is not known, and for any after all disks were stopped for good.
pub fn ioctl<P: Platform>(registry: &mut Registry<P>, file_disk: &mut u64, word: u32, argument: u64) -> Result<()> {
    if registry.is_closed() {
        return Err(Errno::INVAL);
    }
    match word {
        request::GET_DRIVER_VERSION => lifecycle::version::<P>(argument),
        request::START_FILTERING_DEVICE_V2 => lifecycle::start(registry, file_disk, argument),
        request::STOP_FILTERING_DEVICE => lifecycle::stop(registry, argument),
        request::UNSTACK_ALL => registry.stop_all(),
        request::GET_PROTECTED_VOLUME_LIST => stats::volume_list(registry, argument),
        request::GET_VOLUME_STATS => stats::volume_stats(registry, argument),
        request::GET_DIRTY_BLOCKS_TRANS_V2 => drain::get(registry, *file_disk, argument),
        request::COMMIT_DIRTY_BLOCKS_TRANS => drain::commit(registry, *file_disk, argument),
        _ => Err(Errno::INVAL),
    }
}
