// SPDX-License-Identifier: GPL-2.0-only
//! The honest verdict that tracking has a hole.

use crate::abi::resync_code;
use crate::sync::{AtomicU64, Ordering};

/// Why a change could not be tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    /// No memory to note a change.
    NoMemory,
    /// A command that came past the block layer's own operations.
    Passthrough,
    /// An operation that is not known.
    UnknownOp,
    /// A way to the disk (a multipath path) was there before the driver knew of it.
    NewPath,
    /// The disk was not filtered for a moment: a detach that was broken off.
    Unhooked,
    /// A change past the end that the disk had when it was attached.
    OutOfRange,
    /// The disk has another size than before.
    Resized,
    /// There is another medium in the disk.
    Medium,
    /// The machine stopped while the disk's bitmap file was in use.
    Unclean,
    /// The disk may have been written to while it was not filtered.
    Unwatched,
    /// The disk had a bitmap file, which is not there any longer.
    FileGone,
    /// The disk's bitmap file is another disk's, or no bitmap file.
    FileForeign,
    /// The disk's bitmap file is not as it was written.
    FileDamaged,
    /// The disk's bitmap file cannot be read.
    FileUnreadable,
    /// Write-intent mode was to end, and its file could not be written.
    NoMark,
}

impl Hole {
    /// The reason with `number`, as in `glue.h`, `enum inv_hole`; an unknown one is [`Hole::UnknownOp`].
    pub fn from_number(number: u32) -> Hole {
        match number {
            0 => Hole::NoMemory,
            1 => Hole::Passthrough,
            3 => Hole::NewPath,
            4 => Hole::Unhooked,
            13 => Hole::Medium,
            _ => Hole::UnknownOp,
        }
    }

    /// The code that the ABI gives it.
    pub fn code(self) -> u32 {
        match self {
            Hole::NoMemory => resync_code::NO_MEMORY,
            Hole::OutOfRange | Hole::Resized => resync_code::OUT_OF_RANGE,
            Hole::NewPath => resync_code::NEW_PATH,
            Hole::Unhooked | Hole::Medium => resync_code::SEE_TEXT,
            Hole::FileGone | Hole::FileForeign | Hole::FileDamaged => resync_code::SEE_TEXT,
            Hole::Unclean => resync_code::UNCLEAN,
            Hole::Unwatched => resync_code::UNWATCHED,
            Hole::FileUnreadable => resync_code::BITMAP_READ,
            Hole::NoMark => resync_code::SEE_TEXT,
            Hole::Passthrough | Hole::UnknownOp => resync_code::UNSUPPORTED,
        }
    }

    /// The text that the ABI carries beside the code.
    pub fn text(self) -> &'static str {
        match self {
            Hole::NoMemory => "no memory to note a change",
            Hole::Passthrough => "a passthrough write that is not decoded",
            Hole::UnknownOp => "an operation that is not known",
            Hole::NewPath => "a path to the disk came before it was filtered",
            Hole::Unhooked => "the disk was not filtered for a moment",
            Hole::OutOfRange => "a change past the known end of the disk",
            Hole::Resized => "the disk's size has changed",
            Hole::Medium => "there is another medium in the disk",
            Hole::Unclean => "the machine stopped without a clean end of tracking",
            Hole::Unwatched => "the disk may have changed while it was not filtered",
            Hole::FileGone => "the bitmap file is gone",
            Hole::FileForeign => "the bitmap file is not this disk's",
            Hole::FileDamaged => "the bitmap file is damaged",
            Hole::FileUnreadable => "the bitmap file cannot be read",
            Hole::NoMark => "writes did not wait for the bitmap file any longer",
        }
    }

    /// The number by which a bitmap file has it (`docs/bitmap.md`).
    pub(crate) const fn number(self) -> u64 {
        match self {
            Hole::NoMemory => 0,
            Hole::Passthrough => 1,
            Hole::UnknownOp => 2,
            Hole::NewPath => 3,
            Hole::Unhooked => 4,
            Hole::OutOfRange => 5,
            Hole::Resized => 6,
            Hole::Unclean => 7,
            Hole::Unwatched => 8,
            Hole::FileGone => 9,
            Hole::FileForeign => 10,
            Hole::FileDamaged => 11,
            Hole::FileUnreadable => 12,
            Hole::Medium => 13,
            Hole::NoMark => 14,
        }
    }

    /// The reason that was stored as `number`; an unknown one is [`Hole::UnknownOp`].
    pub(crate) const fn stored(number: u64) -> Hole {
        match number {
            0 => Hole::NoMemory,
            1 => Hole::Passthrough,
            3 => Hole::NewPath,
            4 => Hole::Unhooked,
            5 => Hole::OutOfRange,
            6 => Hole::Resized,
            7 => Hole::Unclean,
            8 => Hole::Unwatched,
            9 => Hole::FileGone,
            10 => Hole::FileForeign,
            11 => Hole::FileDamaged,
            12 => Hole::FileUnreadable,
            13 => Hole::Medium,
            14 => Hole::NoMark,
            _ => Hole::UnknownOp,
        }
    }
}

/// A hole as it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResyncReport {
    /// The first reason since the last resync began.
    pub hole: Hole,
    /// How many there were.
    pub count: u64,
    /// When the first came: 100 ns since the Unix epoch.
    pub time: u64,
}

/// Whether a disk must be copied anew. Any context may raise it; only an agent's word takes it back.
#[derive(Debug, Default)]
pub struct Resync {
    /// The count in the low 56 bits, the first reason above. 0 is "in sync".
    state: AtomicU64,
    /// When the first hole came. Written before the state says that there is one.
    time: AtomicU64,
}

const REASON_SHIFT: u32 = 56;
const COUNT_MASK: u64 = (1 << REASON_SHIFT) - 1;

impl Resync {
    /// Notes a hole that was seen at `time`, in 100 ns since the Unix epoch.
    pub fn raise(&self, hole: Hole, time: u64) {
        let first = (hole.number() << REASON_SHIFT) | 1;
        let more = |state: u64| {
            if state != 0 {
                return Some(state + 1);
            }
            self.time.store(time, Ordering::Relaxed);
            Some(first)
        };
        // The closure never refuses, so the result has nothing to tell.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
    }

    /// What was reported before the disk was filtered anew is still so. If something was raised since, it
    /// is told as this is, and both are over once the agent has begun its resync.
    pub(crate) fn restore(&self, report: ResyncReport) {
        self.time.store(report.time, Ordering::Relaxed);
        self.state.store((report.hole.number() << REASON_SHIFT) | (report.count & COUNT_MASK), Ordering::Release);
    }

    /// What to report, if there is anything.
    pub fn report(&self) -> Option<ResyncReport> {
        let state = self.state.load(Ordering::Acquire);
        (state != 0).then(|| ResyncReport {
            hole: Hole::stored(state >> REASON_SHIFT),
            count: state & COUNT_MASK,
            time: self.time.load(Ordering::Relaxed),
        })
    }

    /// The agent has begun the resync of `reported`: back in sync, unless there was another hole since.
    pub fn acknowledge(&self, reported: ResyncReport) -> bool {
        let word = (reported.hole.number() << REASON_SHIFT) | reported.count;
        self.state.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
