// SPDX-License-Identifier: GPL-2.0-only
//! Page-aligned memory whose contents are never the same twice.

use std::sync::atomic::{AtomicU64, Ordering};

const ALIGN: usize = 4096;
static STAMP: AtomicU64 = AtomicU64::new(0x1001);

/// Memory for direct I/O.
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// `length` bytes at an address that is a multiple of 4096.
    pub fn new(length: usize) -> Buffer {
        let memory = vec![0xa5; length + ALIGN];
        let start = memory.as_ptr().align_offset(ALIGN);
        Buffer { memory, start, length }
    }

    /// The same, with contents that no other buffer has had.
    pub fn stamped(length: usize) -> Buffer {
        let mut buffer = Buffer::new(length);
        buffer.stamp();
        buffer
    }

    /// `length` bytes that begin with a number.
    pub fn numbered(length: usize, number: u64) -> Buffer {
        let mut buffer = Buffer::new(length);
        buffer.bytes_mut()[..8].copy_from_slice(&number.to_le_bytes());
        buffer
    }

    /// `contents`, of which the first 12 bytes are the last ones of a page.
    pub fn across_pages(contents: &[u8]) -> Buffer {
        let mut buffer = Buffer::new(contents.len() + ALIGN);
        buffer.start += ALIGN - 12;
        buffer.length = contents.len();
        buffer.bytes_mut().copy_from_slice(contents);
        buffer
    }

    /// Changes every 512-byte sector to what no sector has held before.
    pub fn stamp(&mut self) {
        for sector in self.bytes_mut().chunks_mut(512) {
            let stamp = STAMP.fetch_add(1, Ordering::Relaxed);
            let length = sector.len().min(8);
            sector[..length].copy_from_slice(&stamp.to_le_bytes()[..length]);
        }
    }

    /// The memory.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }

    /// The memory, to change.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}
