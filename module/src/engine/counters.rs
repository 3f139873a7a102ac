// SPDX-License-Identifier: GPL-2.0-only
//! Exact counts of what the disk was given to do.

use core::sync::atomic::{AtomicU64, Ordering};

/// Kinds of operation that are counted apart. Numbers as in `glue.h`, `enum inv_op`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Op {
    /// A write, with or without FUA.
    Write = 0,
    /// A discard.
    Discard = 1,
    /// A secure erase.
    SecureErase = 2,
    /// A write of zeroes without payload.
    WriteZeroes = 3,
    /// A write of one block many times.
    WriteSame = 4,
    /// A zone append, reset or finish.
    Zone = 5,
}

impl Op {
    /// All kinds, each with the statistics' names of its operations and of its bytes.
    pub const ALL: [(Op, &'static str, &'static str); 6] = [
        (Op::Write, "writes", "write_bytes"),
        (Op::Discard, "discards", "discard_bytes"),
        (Op::SecureErase, "secure_erases", "secure_erase_bytes"),
        (Op::WriteZeroes, "write_zeroes", "write_zeroes_bytes"),
        (Op::WriteSame, "write_sames", "write_same_bytes"),
        (Op::Zone, "zone_operations", "zone_bytes"),
    ];

    /// The kind with `number`, if there is one.
    pub fn from_number(number: u32) -> Option<Op> {
        Self::ALL.get(number as usize).map(|&(op, ..)| op)
    }
}

#[derive(Debug, Default)]
struct Counter {
    operations: AtomicU64,
    bytes: AtomicU64,
}

/// Operations and bytes of each kind that the disk's driver has accepted, and what became of them.
#[derive(Debug, Default)]
pub struct Counters {
    kinds: [Counter; Op::ALL.len()],
    failed: AtomicU64,
    marked_for_memory: AtomicU64,
}

impl Counters {
    /// Counts one operation.
    pub fn add(&self, op: Op, bytes: u64) {
        let counter = &self.kinds[op as usize];
        counter.operations.fetch_add(1, Ordering::Relaxed);
        counter.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back one operation that was counted.
    pub fn take_back(&self, op: Op, bytes: u64) {
        let counter = &self.kinds[op as usize];
        counter.operations.fetch_sub(1, Ordering::Relaxed);
        counter.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts a bio that has failed.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Bios that have failed, of those whose completion was seen.
    pub fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Counts a request that was marked because there was no memory to see its completion.
    pub fn no_memory(&self) {
        self.marked_for_memory.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were marked because there was no memory to see their completion.
    pub fn marked_for_memory(&self) -> u64 {
        self.marked_for_memory.load(Ordering::Relaxed)
    }

    /// Operations of a kind.
    pub fn operations(&self, op: Op) -> u64 {
        self.kinds[op as usize].operations.load(Ordering::Relaxed)
    }

    /// Bytes of a kind.
    pub fn bytes(&self, op: Op) -> u64 {
        self.kinds[op as usize].bytes.load(Ordering::Relaxed)
    }
}
