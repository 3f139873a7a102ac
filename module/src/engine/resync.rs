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
}

impl Hole {
    /// The reason with `number`, as in `glue.h`, `enum inv_hole`; an unknown one is [`Hole::UnknownOp`].
    pub fn from_number(number: u32) -> Hole {
        match number {
            0 => Hole::NoMemory,
            1 => Hole::Passthrough,
            3 => Hole::NewPath,
            4 => Hole::Unhooked,
            _ => Hole::UnknownOp,
        }
    }

    /// The code that the ABI gives it.
    pub fn code(self) -> u32 {
        match self {
            Hole::NoMemory => resync_code::NO_MEMORY,
            Hole::OutOfRange | Hole::Resized => resync_code::OUT_OF_RANGE,
            Hole::NewPath => resync_code::NEW_PATH,
            Hole::Unhooked => resync_code::SEE_TEXT,
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
        }
    }

    const fn number(self) -> u64 {
        match self {
            Hole::NoMemory => 0,
            Hole::Passthrough => 1,
            Hole::UnknownOp => 2,
            Hole::NewPath => 3,
            Hole::Unhooked => 4,
            Hole::OutOfRange => 5,
            Hole::Resized => 6,
        }
    }

    const fn stored(number: u64) -> Hole {
        match number {
            0 => Hole::NoMemory,
            1 => Hole::Passthrough,
            3 => Hole::NewPath,
            4 => Hole::Unhooked,
            5 => Hole::OutOfRange,
            6 => Hole::Resized,
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
///
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
