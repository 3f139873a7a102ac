// SPDX-License-Identifier: GPL-2.0-only
//! What is filtered, and its statistics.

use crate::abi::{volume_list, volume_stats, GUID_BYTES};
use crate::control::user::Struct;
use crate::engine::{Disk, Filtered, Op, Phase, Registry, State};
use crate::platform::{Errno, Mutex, Platform, Result, User};
use core::fmt::{self, Write};

/// The names, each with a newline, and a NUL. Where the buffer is too small: EAGAIN, and the size that is enough.
pub(super) fn volume_list<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, volume_list::BYTES)?;
    let needed: usize = registry.disks().map(|disk| disk.path.as_bytes().len() + 1).sum::<usize>() + 1;
    if (request.u32(volume_list::BUFFER_BYTES)? as usize) < needed {
        request.put_u32(volume_list::BUFFER_BYTES, needed as u32 + volume_list::SLACK)?;
        request.put_u64(volume_list::BUFFER, 0)?;
        return Err(Errno::AGAIN);
    }
    let buffer = Struct::<P>::new(request.u64(volume_list::BUFFER)?, needed)?;
    let mut at = 0;
    for disk in registry.disks() {
        let path = disk.path.as_bytes();
        // A disk that came meanwhile is in the next list.
        if at as usize + path.len() + 2 > needed {
            break;
        }
        buffer.put(at, path)?;
        buffer.put(at + path.len() as u64, b"\n")?;
        at += path.len() as u64 + 1;
    }
    buffer.put(at, &[0])
}

/// Text that goes to the caller as it is made, as much of it as there is room for.
struct Text<P: Platform> {
    address: u64,
    room: u64,
    result: Result<()>,
    platform: core::marker::PhantomData<P>,
}

impl<P: Platform> Text<P> {
    /// A line for each.
    fn numbers(&mut self, numbers: &[(&str, u64)]) -> fmt::Result {
        numbers.iter().try_for_each(|(name, number)| writeln!(self, "{name}: {number}"))
    }
}

impl<P: Platform> Write for Text<P> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let length = text.len().min(self.room as usize);
        self.result = P::User::write(self.address, &text.as_bytes()[..length]);
        self.address += length as u64;
        self.room -= length as u64;
        self.result.map_err(|_| fmt::Error)
    }
}

/// Text of `key: value` lines, cut off where the buffer ends, with a NUL.
pub(super) fn volume_stats<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, volume_stats::BYTES)?;
    let disk = registry.find(request.name::<GUID_BYTES>(0)?.as_bytes()).ok_or(Errno::NODEV)?;
    let room = u64::from(request.u32(volume_stats::BUFFER_BYTES)?);
    let address = request.u64(volume_stats::BUFFER)?;
    let room = room.checked_sub(1).ok_or(Errno::INVAL)?;
    address.checked_add(room).ok_or(Errno::FAULT)?;
    let mut text = Text::<P> { address, room, result: Ok(()), platform: core::marker::PhantomData };
    // A formatting error is the copy's error, which `result` has.
    let _ = disk.with(|filtered| describe(&mut text, &disk, filtered).and_then(|()| describe_use(&mut text, &disk)))?;
    text.result?;
    P::User::write(text.address, &[0])
}

/// Room for the driver's own statistics: the C driver's page.
const PAGE: u64 = 4096;

/// The driver's own statistics, as `key: value` lines and a NUL.
pub(super) fn global<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    argument.checked_add(PAGE).ok_or(Errno::FAULT)?;
    let mut text = Text::<P> { address: argument, room: PAGE - 1, result: Ok(()), platform: core::marker::PhantomData };
    let disks = || registry.disks();
    let pending: u64 = disks().map(|disk| disk.tracker.pending_bytes()).sum();
    // A formatting error is the copy's error, which `result` has.
    let _ = text.numbers(&[
        ("disks", disks().count() as u64),
        ("service_state", P::common().service() as u64),
        ("pending_bytes", pending),
        ("data_pool_bytes", registry.pool.bytes()),
        ("data_pool_limit_bytes", registry.pool.limit()),
        ("last_sequence", P::common().clock.last().sequence()),
    ]);
    let _ = describe_agents(&mut text, registry);
    text.result?;
    P::User::write(text.address, &[0])
}

/// Who uses the driver. Times are in 100 ns since the Unix epoch, 0 where they have not come.
fn describe_agents<P: Platform>(text: &mut Text<P>, registry: &Registry<P>) -> fmt::Result {
    let times = &registry.times;
    let behind = registry.churn.with_always(|churn| churn.all().is_on());
    text.numbers(&[
        ("loaded", times.loaded.get()),
        ("drainer", registry.has_drainer().into()),
        ("drainer_came", times.drainer_came.get()),
        ("drainer_went", times.drainer_went.get()),
        ("service_came", times.service_came.get()),
        ("service_went", times.service_went.get()),
        ("tags_asked_for", times.tagged.get()),
        ("behind", behind.into()),
    ])
}

/// What agents have done with a disk. Times as above.
fn describe_use<P: Platform>(text: &mut Text<P>, disk: &Disk<P>) -> fmt::Result {
    let times = &disk.times;
    text.numbers(&[
        ("tags_lost", disk.tracker.capture.tags_lost()),
        ("drain_blocked", disk.is_drain_blocked().into()),
        ("read_only", disk.is_read_only().into()),
        ("started", times.started.get()),
        ("cleared", times.cleared.get()),
        ("last_get", times.got.get()),
        ("last_commit", times.committed.get()),
        ("throttled_since", times.throttled.get()),
        ("throttled_until", times.unthrottled.get()),
    ])
}

fn describe<P: Platform>(text: &mut Text<P>, disk: &Disk<P>, filtered: &Filtered<P>) -> fmt::Result {
    let (tracker, drain) = (&disk.tracker, &filtered.drain);
    let state = match drain.state(&filtered.device) {
        State::Bitmap => "bitmap",
        State::Metadata => "metadata",
        State::Data => "data",
    };
    writeln!(text, "state: {state}")?;
    text.numbers(&[
        ("size_bytes", tracker.sectors() << 9),
        ("block_bytes", 1u64 << tracker.block_shift()),
        ("pending_bytes", tracker.pending_bytes()),
        ("pending_extents", tracker.capture.extents()),
        ("pending_data_changes", tracker.capture.data_changes()),
        ("data_memory_bytes", tracker.capture.data_memory()),
        ("falls_to_metadata", tracker.capture.data_falls()),
        ("falls_to_bitmap", tracker.capture.falls()),
        ("failed_writes", tracker.counters.failures()),
        ("committed_bytes", drain.committed_bytes()),
        ("network_failures", drain.network_failures()),
        ("marked_for_memory", tracker.counters.marked_for_memory()),
    ])?;
    match filtered.keep.state() {
        Ok(()) => writeln!(text, "bitmap_file: in use")?,
        Err(Errno(number)) => writeln!(text, "bitmap_file: none, error {number}")?,
    }
    if tracker.intent.phase() == Phase::On {
        writeln!(text, "marked_regions: {} of {}", tracker.intent.marks(), tracker.intent.regions())?;
    }
    for (op, operations, bytes) in Op::ALL {
        text.numbers(&[(operations, tracker.counters.operations(op)), (bytes, tracker.counters.bytes(op))])?;
    }
    match tracker.resync.report() {
        None => writeln!(text, "resync_required: no"),
        Some(report) => {
            writeln!(text, "resync_required: yes")?;
            writeln!(text, "resync_reason: {:#x} {}", report.hole.code(), report.hole.text())?;
            text.numbers(&[("resync_count", report.count), ("resync_time", report.time)])
        }
    }
}
