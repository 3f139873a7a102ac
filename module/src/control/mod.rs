// SPDX-License-Identifier: GPL-2.0-only
//! ioctl requests in, engine calls, replies out.

mod attributes;
mod churn;
mod drain;
mod drain_state;
mod file;
mod freeze;
mod latency;
mod lifecycle;
mod names;
mod notify;
mod numbers;
mod stats;
mod stream;
mod system;
mod tag;
mod telemetry;
mod user;
mod wait;

use crate::abi::request;
use crate::engine::Registry;
use crate::platform::{Errno, Platform, Result};
#[cfg(feature = "telemetry")]
pub(crate) use churn::since_1601;
pub use file::{release, File};
pub use freeze::alarm;
pub use wait::{poll, Ready};

/// What is done soon after somebody asked for it who could not sleep: the pool of data gets more memory.
pub fn work<P: Platform>(registry: &Registry<P>) {
    registry.pool.grow();
    #[cfg(feature = "telemetry")]
    registry.telemetry.work();
}

/// Serves one request of the open file `file`. The answer is 0, or 1 where a part of it could not be done.
///
/// Fails with [`Errno::INVAL`] for a request that is not known, and for any after all disks were stopped for good; with
/// [`Errno::NOTTY`] for the mirror and AT-LUN requests. `docs/abi.md` lists them all.
pub fn ioctl<P: Platform>(registry: &Registry<P>, file: &File, word: u32, argument: u64) -> Result<u32> {
    if registry.is_closed() {
        return Err(Errno::INVAL);
    }
    registry.look();
    let answer = serve(registry, file, word, argument);
    #[cfg(feature = "telemetry")]
    registry.telemetry.look(registry);
    answer
}

fn serve<P: Platform>(registry: &Registry<P>, file: &File, word: u32, argument: u64) -> Result<u32> {
    match word {
        request::START_FILTERING_DEVICE_V2
        | request::VOLUME_STACKING
        | request::STOP_FILTERING_DEVICE
        | request::REMOVE_FILTER_DEVICE
        | request::VOLUME_UNSTACKING
        | request::UNSTACK_ALL
        | request::INIT_DRIVER_FULLY => lifecycle::serve(registry, file, word, argument).map(|()| 0),
        request::TAG_VOLUME_V2 => tag::held(registry, argument),
        request::IOBARRIER_TAG_VOLUME => tag::with_barrier(registry, argument),
        _ => whole(registry, file, word, argument).map(|()| 0),
    }
}

/// Requests that are done whole or not at all. Not inlined, so that those that open files have the stack for themselves.
#[inline(never)]
fn whole<P: Platform>(registry: &Registry<P>, file: &File, word: u32, argument: u64) -> Result<()> {
    match word {
        request::PROCESS_START_NOTIFY => file::become_drainer(registry, file, argument),
        request::SERVICE_SHUTDOWN_NOTIFY => file::become_service(registry, file, argument),
        request::GET_SET_ATTR => attributes::get_or_set(registry, argument),
        request::GET_DRIVER_VERSION => lifecycle::version::<P>(argument),
        request::GET_PROTECTED_VOLUME_LIST => stats::volume_list(registry, argument),
        request::GET_VOLUME_STATS => stats::volume_stats(registry, argument),
        request::GET_DIRTY_BLOCKS_TRANS_V2 => drain::get(registry, file.disk(), argument),
        request::COMMIT_DIRTY_BLOCKS_TRANS => drain::commit(registry, file.disk(), argument),
        request::FREEZE_VOLUME => freeze::freeze(registry, argument),
        request::THAW_VOLUME => freeze::thaw(registry, argument),
        request::CREATE_BARRIER_ALL => tag::create_barrier(registry, argument),
        request::REMOVE_BARRIER_ALL => tag::remove_barrier(registry, argument),
        request::TAG_COMMIT_V2 => tag::decide(registry, argument),
        request::TAG_VOLUME => stream::tag(registry, argument),
        request::SYNC_TAG_VOLUME => stream::sync_tag(registry, argument),
        request::GET_TAG_VOLUME_STATUS => stream::status(registry, argument),
        _ => smaller(registry, file, word, argument),
    }
}

/// Requests that an agent can do without.
fn smaller<P: Platform>(registry: &Registry<P>, file: &File, word: u32, argument: u64) -> Result<()> {
    match word {
        request::GET_NANOSECOND_TIME => numbers::time::<P>(argument),
        request::RESYNC_START_NOTIFICATION | request::RESYNC_END_NOTIFICATION => {
            numbers::resync_edge(registry, word, argument)
        }
        request::GET_DB_NOTIFY_THRESHOLD => numbers::notify_threshold(registry, argument),
        request::GET_ADDITIONAL_VOLUME_STATS => numbers::additional(registry, argument),
        request::GET_VOLUME_BMAP_STATS => numbers::bitmap(registry, argument),
        request::GET_MONITORING_STATS => numbers::monitoring(registry, argument),
        request::GET_BLK_MQ_STATUS => numbers::blk_mq::<P>(argument),
        request::GET_VOLUME_LATENCY_STATS => latency::tell(registry, argument),
        request::NAME_MAPPING => names::map(registry, argument),
        request::MODIFY_PERSISTENT_DEVICE_NAME => names::change(registry, argument),
        request::CLEAR_DIFFERENTIALS => drain_state::clear(registry, argument),
        request::COMMITDB_FAIL_TRANS => drain_state::commit_failed(registry, argument),
        request::REPLICATION_STATE => drain_state::throttled(registry, argument),
        request::GET_DRAIN_STATE => drain_state::get(registry, argument),
        request::SET_DRAIN_STATE => drain_state::allow(registry, argument),
        request::WAIT_FOR_DB => wait::named(registry, argument),
        request::WAIT_FOR_DB_V2 => wait::own(registry, file, argument),
        request::WAKEUP_ALL_THREADS => {
            registry.disks().for_each(|disk| disk.tracker.waits.wake());
            Ok(())
        }
        request::SYS_PRE_SHUTDOWN => system::before_shutdown(registry),
        request::SYS_SHUTDOWN => system::shutdown(registry, argument),
        request::SET_INVOLFLT_VERBOSITY => system::number::<P>(argument),
        request::SET_VOLUME_FLAGS => system::set_flags(registry, argument),
        request::GET_VOLUME_FLAGS => system::flags(registry, argument),
        request::GET_GLOBAL_STATS => stats::global(registry, argument),
        request::GET_VOLUME_STATS_V2 => telemetry::tell(registry, argument),
        request::LCW => system::last_writes(registry, argument),
        request::TAG_DRAIN_NOTIFY => notify::drained(registry, argument),
        request::WAKEUP_TAG_DRAIN_NOTIFY_THREAD => {
            notify::wake(registry);
            Ok(())
        }
        request::GET_CXSTATS_NOTIFY => churn::wait(registry, argument),
        request::WAKEUP_GET_CXSTATS_NOTIFY_THREAD => {
            churn::wake(registry);
            Ok(())
        }
        // They do nothing in the C driver either.
        request::SHELL_LOG | request::BOOTTIME_STACKING => Ok(()),
        _ => Err(refusal(word)),
    }
}

/// Why a request is not served.
fn refusal(word: u32) -> Errno {
    match word {
        request::START_MIRRORING_DEVICE
        | request::STOP_MIRRORING_DEVICE
        | request::MIRROR_VOLUME_STACKING
        | request::MIRROR_EXCEPTION_NOTIFY
        | request::MIRROR_TEST_HEARTBEAT
        | request::AT_LUN_CREATE
        | request::AT_LUN_DELETE
        | request::AT_LUN_LAST_WRITE_VI
        | request::AT_LUN_QUERY
        | request::AT_LUN_LAST_HOST_IO_TIMESTAMP
        | request::BLOCK_AT_LUN => Errno::NOTTY,
        _ => Errno::INVAL,
    }
}
