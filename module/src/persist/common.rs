// SPDX-License-Identifier: GPL-2.0-only
//! What of the driver as a whole outlives the module: one text file for each attribute, in the ABI's directory `common`.

use super::place::path;
use crate::abi::attribute::common;
use crate::engine::{Limits, Stamp};
use crate::platform::{Errno, File, Mode, Platform, Result};
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU64, Ordering};

const DIRECTORY: &[u8] = b"/etc/vxagent/involflt/common";
/// The latest stamp, by the two names that the ABI has for it: time and sequence are one number.
const STAMPS: [&str; 2] = ["GlobalTimeStamp", "SequenceNumber"];
/// Whether the shutdown request came after the agent's service: `0` while it runs.
const CLEAN_SHUTDOWN: &str = "CleanShutdown";
/// Digits of the largest number.
const DIGITS: usize = 20;

/// A tunable that outlives the module.
struct Tunable {
    /// The ABI's, among the driver's attributes.
    index: u32,
    /// Its file's name.
    name: &'static str,
    /// What it may be.
    range: RangeInclusive<u64>,
    value: fn(&Limits) -> &AtomicU64,
}

const ANY: RangeInclusive<u64> = 0..=u64::MAX;

const TUNABLES: [Tunable; 7] = [
    Tunable {
        index: common::HIGH_WATER_NOT_STARTED,
        name: "DirtyBlockHighWaterMarkServiceNotStarted",
        range: ANY,
        value: |limits| &limits.high_not_started,
    },
    Tunable {
        index: common::LOW_WATER_RUNNING,
        name: "DirtyBlockLowWaterMarkServiceRunning",
        range: ANY,
        value: |limits| &limits.low,
    },
    Tunable {
        index: common::HIGH_WATER_RUNNING,
        name: "DirtyBlockHighWaterMarkServiceRunning",
        range: ANY,
        value: |limits| &limits.high_running,
    },
    Tunable {
        index: common::HIGH_WATER_SHUTDOWN,
        name: "DirtyBlockHighWaterMarkServiceShutdown",
        range: ANY,
        value: |limits| &limits.high_shutdown,
    },
    Tunable { index: common::DATA_FILTERING, name: "VolumeDataFiltering", range: 0..=1, value: |limits| &limits.data },
    Tunable {
        index: common::DATA_FILTERING_NEW,
        name: "VolumeDataFilteringForNewVolumes",
        range: 0..=1,
        value: |limits| &limits.data_for_new,
    },
    Tunable {
        index: common::MAX_STREAM,
        name: "MaxDataSizeForDataModeDirtyBlock",
        range: 1..=64,
        value: |limits| &limits.stream,
    },
];

/// Takes over what there is. What there is not, or is no number, stays as it is.
pub fn load<P: Platform>() {
    let shared = P::common();
    for tunable in &TUNABLES {
        if let Some(value) = read::<P>(tunable.name).filter(|value| tunable.range.contains(value)) {
            (tunable.value)(&shared.limits).store(value, Ordering::Relaxed);
        }
    }
    STAMPS.iter().filter_map(|name| read::<P>(name)).for_each(|value| shared.clock.is_after(Stamp::from_word(value)));
    if let Some(clean) = read::<P>(CLEAN_SHUTDOWN) {
        shared.clean_shutdown.store(clean, Ordering::Relaxed);
    }
}

/// The driver's attribute with this index was set. Where its file cannot be written it is so until the module is unloaded.
pub fn keep_tunable<P: Platform>(index: u32) {
    if let Some(tunable) = TUNABLES.iter().find(|tunable| tunable.index == index) {
        let _ = write::<P>(tunable.name, (tunable.value)(&P::common().limits).load(Ordering::Relaxed));
    }
}

/// Stamps go on after the latest one when the module is loaded again.
pub fn keep_stamps<P: Platform>() {
    let last = P::common().clock.last();
    let _ = write::<P>(STAMPS[0], last.time()).and_then(|()| write::<P>(STAMPS[1], last.sequence()));
}

/// The agent's service has come, or the shutdown request. Fails as writing the file does.
pub fn keep_clean_shutdown<P: Platform>(clean: bool) -> Result<()> {
    P::common().clean_shutdown.store(clean.into(), Ordering::Relaxed);
    write::<P>(CLEAN_SHUTDOWN, clean.into())
}

fn read<P: Platform>(name: &str) -> Option<u64> {
    let mut text = [0; DIGITS];
    let mut file = P::File::open(&file::<P>(name).ok()?, Mode::Read).ok()?;
    let text = text.get_mut(..file.bytes() as usize)?;
    file.read(0, text).ok()?;
    core::str::from_utf8(text).ok()?.trim_ascii_end().parse().ok()
}

fn write<P: Platform>(name: &str, value: u64) -> Result<()> {
    let path = file::<P>(name)?;
    let mut file = match P::File::open(&path, Mode::New) {
        Err(Errno::NOENT) => {
            P::make_directory(&self::path::<P>(&[DIRECTORY])?)?;
            P::File::open(&path, Mode::New)?
        }
        opened => opened?,
    };
    let (digits, first) = decimal(value);
    file.write(0, &digits[first..])?;
    file.flush()
}

/// Fails with [`Errno::AGAIN`] where the root file system is not there yet.
fn file<P: Platform>(name: &str) -> Result<P::Bytes> {
    if P::common().is_before_root() {
        return Err(Errno::AGAIN);
    }
    path::<P>(&[DIRECTORY, b"/", name.as_bytes()])
}

/// Digits, and the index of the first one.
fn decimal(mut value: u64) -> ([u8; DIGITS], usize) {
    let mut digits = [b'0'; DIGITS];
    let mut at = DIGITS;
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return (digits, at);
        }
    }
}
