// SPDX-License-Identifier: GPL-2.0-only
//! Attributes: tunables of the driver and facts of a disk, as text.

use crate::abi::attribute::{self, common as common_index, disk as disk_index};
use crate::abi::threshold;
use crate::control::drain_state;
use crate::control::user::Struct;
use crate::engine::{Disk, Phase, Pool, Registry, Timeouts, MIN_POOL_BYTES, PROMISED_BYTES};
use crate::persist::{common::keep_tunable, note_write_intent};
use crate::platform::{Errno, Platform, Result, User};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

/// Longest text of an attribute, NUL not included.
const MAX_TEXT: usize = 128;
const MEBIBYTE: u64 = 1 << 20;

/// A text that is short enough for an attribute.
struct Text {
    bytes: [u8; MAX_TEXT],
    length: usize,
}

impl Text {
    const fn new() -> Self {
        Text { bytes: [0; MAX_TEXT], length: 0 }
    }

    fn number(value: u64) -> Self {
        let mut text = Text::new();
        // A number has at most 20 digits.
        let _ = write!(text, "{value}");
        text
    }

    /// A text that is not too long.
    fn words(words: &str) -> Self {
        let mut text = Text::new();
        // What is too long stays away.
        let _ = text.write_str(words);
        text
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The caller's text, without what ends it: a NUL or a newline.
    fn read<P: Platform>(address: u64, bytes: usize) -> Result<Self> {
        let mut text = Text { bytes: [0; MAX_TEXT], length: bytes };
        P::User::read(address, text.bytes.get_mut(..bytes).ok_or(Errno::INVAL)?)?;
        let end = text.as_bytes().iter().position(|&byte| byte == 0 || byte == b'\n');
        text.length = end.unwrap_or(bytes);
        Ok(text)
    }

    /// As the ABI writes sizes of memory.
    fn mebibytes(bytes: u64) -> Self {
        let mut text = Text::new();
        // A number has at most 20 digits.
        let _ = write!(text, "{}MB", bytes / MEBIBYTE);
        text
    }

    fn to_switch(&self) -> Result<bool> {
        match self.to_number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Errno::INVAL),
        }
    }

    fn to_number(&self) -> Result<u64> {
        core::str::from_utf8(self.as_bytes()).ok().and_then(|text| text.parse().ok()).ok_or(Errno::INVAL)
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// An attribute: a number or a switch that may be set, or a fact.
enum Value<'a, P: Platform> {
    Tunable(&'a AtomicU64),
    /// A number from 1 to so many.
    Timeout(&'a AtomicU64, u64),
    /// Bits that are always set, and may be set with others that mean nothing here.
    Bits(u64),
    /// 0 or 1.
    Switch(&'static AtomicU64),
    /// MiB of a block's stream, which are brought into their range.
    Stream(&'static AtomicU64),
    Pool(&'a Pool<P>),
    DrainBlocked(&'a Disk<P>),
    Data(&'a Disk<P>),
    WriteIntent(&'a Disk<P>),
    Fact(Text),
}

/// Indexes of the ABI's table of the driver's attributes.
fn common<P: Platform>(registry: &Registry<P>, index: u32) -> Option<Value<'_, P>> {
    let (limits, clock) = (&P::common().limits, &P::common().clock);
    let timeouts = &registry.timeouts;
    Some(match index {
        common_index::HIGH_WATER_NOT_STARTED => Value::Tunable(&limits.high_not_started),
        common_index::LOW_WATER_RUNNING => Value::Tunable(&limits.low),
        common_index::HIGH_WATER_RUNNING => Value::Tunable(&limits.high_running),
        common_index::HIGH_WATER_SHUTDOWN => Value::Tunable(&limits.high_shutdown),
        common_index::POOL => Value::Pool(&registry.pool),
        common_index::MAX_POOL => Value::Fact(Text::number(50)),
        common_index::PROMISED_POOL => Value::Fact(Text::mebibytes(PROMISED_BYTES)),
        common_index::DATA_FILTERING => Value::Switch(&limits.data),
        common_index::DATA_FILTERING_NEW => Value::Switch(&limits.data_for_new),
        // Data is in memory only.
        common_index::DATA_FILES | common_index::DATA_FILES_NEW => Value::Fact(Text::number(0)),
        common_index::MAX_STREAM => Value::Stream(&limits.stream),
        common_index::STABLE_PAGES => Value::Fact(Text::number(1)),
        common_index::PURGED => Value::Tunable(&registry.purged),
        common_index::BARRIER_TIMEOUT => Value::Timeout(&timeouts.barrier, Timeouts::MAX_BARRIER),
        common_index::FREEZE_TIMEOUT => Value::Timeout(&timeouts.freeze, Timeouts::MAX),
        common_index::TAG_TIMEOUT => Value::Timeout(&timeouts.tags, Timeouts::MAX),
        common_index::GRANULARITY_SIZE => Value::Fact(Text::number(512)),
        common_index::CHAINED_IO => Value::Fact(Text::number(1)),
        common_index::DATA_FILE_LIMIT | common_index::OWN_WRITES => Value::Fact(Text::number(0)),
        common_index::CLEAN_SHUTDOWN => Value::Fact(Text::number(P::common().clean_shutdown.load(Ordering::Relaxed))),
        common_index::SEQUENCE => Value::Fact(Text::number(clock.last().sequence())),
        common_index::MAX_COALESCED => Value::Fact(Text::number(1 << 20)),
        _ => return None,
    })
}

/// Indexes of the ABI's table of a disk's attributes.
fn of_disk<P: Platform>(disk: &Disk<P>, index: u32) -> Result<Option<Value<'_, P>>> {
    match index {
        disk_index::DRAIN_BLOCKED => return Ok(Some(Value::DrainBlocked(disk))),
        disk_index::DATA_FILTERING => return Ok(Some(Value::Data(disk))),
        disk_index::WRITE_INTENT => return Ok(Some(Value::WriteIntent(disk))),
        disk_index::PROMISED_POOL => return Ok(Some(Value::Fact(Text::mebibytes(PROMISED_BYTES)))),
        _ => {}
    }
    let resync = disk.tracker.resync.report();
    match index {
        disk_index::TYPE => return Ok(Some(Value::Fact(Text::words("Host-Volume")))),
        disk_index::RESYNC_TEXT => {
            return Ok(Some(Value::Fact(Text::words(resync.map_or("", |report| report.hole.text())))))
        }
        disk_index::OPTIMIZATION => return Ok(Some(Value::Bits(7))),
        _ => {}
    }
    let previous = disk.with(|filtered| filtered.drain.previous())?;
    let number = match index {
        disk_index::FILTERING_DISABLED | disk_index::DATA_FILES => 0,
        disk_index::BITMAP_READ_DISABLED | disk_index::BITMAP_WRITE_DISABLED | disk_index::DATA_FILE_LIMIT => 0,
        disk_index::NOTIFY_LIMIT => u64::from(threshold::VALUE) >> 10,
        disk_index::GRANULARITY => 1 << disk.tracker.block_shift(),
        disk_index::OLDEST => disk.tracker.capture.oldest().unwrap_or_else(P::unix_time),
        disk_index::RESYNC_REQUIRED => u64::from(resync.is_some()),
        disk_index::RESYNC_CODE => resync.map_or(0, |report| u64::from(report.hole.code())),
        disk_index::RESYNC_STATUS => 0,
        disk_index::RESYNC_COUNT => resync.map_or(0, |report| report.count),
        disk_index::RESYNC_TIME => resync.map_or(0, |report| report.time),
        disk_index::BLOCKS => disk.tracker.sectors(),
        disk_index::BLOCK_BYTES => 512,
        disk_index::PREVIOUS_TIME => previous.stamp.time(),
        disk_index::PREVIOUS_SEQUENCE => previous.stamp.sequence(),
        disk_index::PREVIOUS_SPLIT => u64::from(previous.split),
        _ => return Ok(None),
    };
    Ok(Some(Value::Fact(Text::number(number))))
}

/// Gets or sets one attribute of the driver or of a disk, which is named by its path or its persistent name.
///
/// Fails with [`Errno::NODEV`] for a disk that is not filtered, [`Errno::OPNOTSUPP`] for an attribute that this driver
/// does not have and for a fact that is set to what it is not, [`Errno::INVAL`] for a text that is no number, a buffer
/// that is too small, and neither get nor set.
pub(super) fn get_or_set<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, attribute::BYTES)?;
    let name = request.name::<{ crate::abi::GUID_BYTES }>(attribute::GUID)?;
    let index = request.u32(attribute::INDEX)?;
    let disk;
    let is_common = name.as_bytes() == attribute::VALUE_COMMON;
    let value = if is_common {
        common(registry, index)
    } else {
        disk = registry.find_by_any_name(name.as_bytes()).ok_or(Errno::NODEV)?;
        of_disk(&disk, index)?
    };
    let value = value.ok_or(Errno::OPNOTSUPP)?;
    let buffer = request.u64(attribute::BUFFER)?;
    let bytes = request.u32(attribute::BUFFER_BYTES)? as usize;
    match request.u32(attribute::WHY)? {
        attribute::VALUE_GET => get::<P>(value, buffer, bytes),
        attribute::VALUE_SET => {
            set(value, &Text::read::<P>(buffer, bytes)?)?;
            if is_common {
                keep_tunable::<P>(index);
            }
            Ok(())
        }
        _ => Err(Errno::INVAL),
    }
}

fn get<P: Platform>(value: Value<'_, P>, buffer: u64, bytes: usize) -> Result<()> {
    let text = match value {
        Value::Tunable(number) | Value::Timeout(number, _) | Value::Switch(number) | Value::Stream(number) => {
            Text::number(number.load(Ordering::Relaxed))
        }
        Value::Pool(pool) => Text::mebibytes(pool.limit()),
        Value::Data(disk) => Text::number(u64::from(disk.tracker.capture.is_data_allowed())),
        Value::WriteIntent(disk) => Text::number(u64::from(disk.tracker.intent.phase() == Phase::On)),
        Value::Bits(bits) => Text::number(bits),
        Value::DrainBlocked(disk) => Text::number(u64::from(disk.is_drain_blocked())),
        Value::Fact(text) => text,
    };
    if bytes <= text.as_bytes().len() {
        return Err(Errno::INVAL);
    }
    let reply = Struct::<P>::new(buffer, text.as_bytes().len() + 1)?;
    reply.put(0, text.as_bytes())?;
    reply.put(text.as_bytes().len() as u64, &[0])
}

fn set<P: Platform>(value: Value<'_, P>, text: &Text) -> Result<()> {
    match value {
        Value::Tunable(number) => number.store(text.to_number()?, Ordering::Relaxed),
        Value::Timeout(number, most) => match text.to_number()? {
            milliseconds if (1..=most).contains(&milliseconds) => number.store(milliseconds, Ordering::Relaxed),
            _ => return Err(Errno::INVAL),
        },
        Value::Bits(_) => drop(text.to_number()?),
        Value::Switch(number) => number.store(text.to_switch()?.into(), Ordering::Relaxed),
        Value::Stream(number) => number.store(text.to_number()?.clamp(1, 64), Ordering::Relaxed),
        Value::Pool(pool) => {
            let bytes = text.to_number()?.checked_mul(MEBIBYTE).ok_or(Errno::INVAL)?;
            if !(MIN_POOL_BYTES..=pool.most()).contains(&bytes) {
                return Err(Errno::INVAL);
            }
            pool.set_limit(bytes);
        }
        Value::DrainBlocked(disk) => drain_state::block(disk, text.to_switch()?),
        Value::Data(disk) => disk.tracker.capture.allow_data(text.to_switch()?),
        Value::WriteIntent(disk) => {
            let on = text.to_switch()?;
            // Said before anything is waited for: writes may wait for the same.
            disk.tracker.intent.is_wanted(on);
            let done = disk.with(|filtered| filtered.intend(disk, on))?;
            if done.is_ok() || !on {
                note_write_intent::<P>(&disk.persistent_name(), on);
            }
            done?;
        }
        Value::Fact(fact) if fact.as_bytes() == text.as_bytes() => {}
        Value::Fact(_) => return Err(Errno::OPNOTSUPP),
    }
    Ok(())
}
