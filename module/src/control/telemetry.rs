// SPDX-License-Identifier: GPL-2.0-only
//! The driver and a disk, as telemetry has them.

use crate::abi::{stats_v2, GUID_BYTES};
use crate::control::churn::since_1601;
use crate::control::user::Struct;
use crate::engine::{Disk, Op, Registry};
use crate::platform::{Errno, Mutex, Platform, Result};

/// Tells of the driver and of the disk that is named. What this driver does not have is 0.
pub(super) fn tell<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, stats_v2::BYTES)?;
    let name = request.name::<GUID_BYTES>(stats_v2::GUID)?;
    let disk = registry.find(name.as_bytes()).ok_or(Errno::INVAL)?;
    request.zero(0, stats_v2::BYTES as u64)?;
    put_driver(&request, registry)?;
    put_times(&request, registry)?;
    request.put(stats_v2::GUID, name.with_nul())?;
    put_disk(&request, &disk)
}

fn put_driver<P: Platform>(request: &Struct<P>, registry: &Registry<P>) -> Result<()> {
    let disks = registry.disks().count();
    request.put_u16(stats_v2::MAJOR, stats_v2::VALUE_MAJOR)?;
    request.put_u64(stats_v2::RETURNED, 1)?;
    request.put_u64(stats_v2::TOTAL, disks as u64)?;
    request.put_u16(stats_v2::PROTECTED, disks as u16)?;
    request.put_u32(stats_v2::SERVICE, P::common().service() as u32)?;
    request.put_u32(stats_v2::MODE, stats_v2::VALUE_NO_REBOOT)
}

fn put_times<P: Platform>(request: &Struct<P>, registry: &Registry<P>) -> Result<()> {
    let times = &registry.times;
    let jump = registry.churn.with_always(|churn| churn.last_jump());
    put(
        request,
        [
            (stats_v2::LOADED, times.loaded.get()),
            (stats_v2::JUMP_EXPECTED, jump.map_or(0, |jump| jump.expected)),
            (stats_v2::JUMP_FOUND, jump.map_or(0, |jump| jump.found)),
            (stats_v2::DRAINER_CAME, times.drainer_came.get()),
            (stats_v2::DRAINER_WENT, times.drainer_went.get()),
            (stats_v2::SERVICE_CAME, times.service_came.get()),
            (stats_v2::SERVICE_WENT, times.service_went.get()),
            (stats_v2::TAGGED, times.tagged.get()),
        ],
    )
}

fn put_disk<P: Platform>(request: &Struct<P>, disk: &Disk<P>) -> Result<()> {
    let tracked = Op::ALL.iter().map(|&(op, _, _)| disk.tracker.counters.bytes(op)).sum();
    request.put_u64(stats_v2::TRACKED, tracked)?;
    request.put_u64(stats_v2::SIZE, disk.tracker.sectors() << 9)?;
    request.put_u64(stats_v2::FLAGS, u64::from(disk.is_read_only()) << 1)?;
    let times = &disk.times;
    put(
        request,
        [
            (stats_v2::CREATED, times.created.get()),
            (stats_v2::STARTED, times.started.get()),
            (stats_v2::ASKED, times.asked.get()),
            (stats_v2::CLEARED, times.cleared.get()),
            (stats_v2::COMMITTED, times.committed.get()),
            (stats_v2::GOT, times.got.get()),
        ],
    )
}

/// Times that are kept in 100 ns since 1970.
fn put<P: Platform, const N: usize>(request: &Struct<P>, times: [(u64, u64); N]) -> Result<()> {
    times.into_iter().try_for_each(|(offset, time)| request.put_u64(offset, since_1601(time)))
}
