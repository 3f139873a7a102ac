// SPDX-License-Identifier: GPL-2.0-only
//! Batches of writes with io_uring.

use super::buffer::Buffer;
use super::{Area, Random};
use crate::sys::{Doing, Failure, Step, ensure, is_errno, open};
use io_uring::{IoUring, opcode, types};
use nix::libc;
use std::fs::File;
use std::os::fd::AsRawFd;

/// Submits `batches` batches of `depth` direct writes of 16 KiB each.
pub fn batches(node: &str, area: &Area, batches: u64, depth: u32) -> Step<String> {
    let file = open(node, libc::O_DIRECT)?;
    let mut ring = match IoUring::new(depth) {
        Err(error) if is_errno(&error, &[libc::ENOSYS, libc::EPERM]) => {
            return Err(Failure::Skipped(format!("the kernel has no io_uring: {error}")));
        }
        ring => ring.doing(|| "set up io_uring".into())?,
    };
    let mut random = Random::new(0x0a10);
    for _ in 0..batches {
        batch(&file, &mut ring, area, depth, &mut random)?;
    }
    Ok(format!("{} writes of 16 KiB, {depth} at a time", batches * u64::from(depth)))
}

fn batch(file: &File, ring: &mut IoUring, area: &Area, depth: u32, random: &mut Random) -> Step {
    let buffers: Vec<_> = (0..depth).map(|_| Buffer::stamped(16384)).collect();
    for buffer in &buffers {
        let bytes = buffer.bytes();
        let write = opcode::Write::new(types::Fd(file.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32)
            .offset(random.place(area, 16384, 4096))
            .build();
        // SAFETY: the file and the buffers live until every write of this batch has completed, below.
        unsafe { ring.submission().push(&write) }.doing(|| "queue a write".into())?;
    }
    ring.submit_and_wait(buffers.len()).doing(|| "submit".into())?;
    let results: Vec<_> = ring.completion().map(|entry| entry.result()).collect();
    if results.len() != buffers.len() {
        // Writes may still be reading the buffers.
        std::mem::forget(buffers);
        return Err(Failure::Failed(format!("{} of {depth} writes completed", results.len())));
    }
    ensure(results.iter().all(|&result| result == 16384), || format!("results {results:?}"))
}
