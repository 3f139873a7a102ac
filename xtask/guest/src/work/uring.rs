// SPDX-License-Identifier: GPL-2.0-only
//! Batches of writes with io_uring.

use super::buffer::Buffer;
use super::{Area, Random};
use crate::sys::{Doing, Failure, Step, ensure, is_errno, open};
use io_uring::{IoUring, opcode, types};
use nix::libc;
use std::fs::File;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

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

/// Rounds after which a program writes by itself what io_uring did not.
const ROUNDS: usize = 3;

fn batch(file: &File, ring: &mut IoUring, area: &Area, depth: u32, random: &mut Random) -> Step {
    let buffers: Vec<_> = (0..depth).map(|_| (Buffer::stamped(16384), random.place(area, 16384, 4096))).collect();
    let mut left: Vec<_> = buffers.iter().collect();
    for _ in 0..ROUNDS {
        let results = match submit(file, ring, &left) {
            Ok(results) => results,
            Err(failure) => {
                // Writes may still be reading the buffers.
                std::mem::forget(buffers);
                return Err(failure);
            }
        };
        // The first kernels with io_uring leave it to the program to try again when a queue is full.
        let again = |place: &usize| results.contains(&(*place as u64, -libc::EAGAIN));
        let done = results.iter().all(|&(_, result)| [16384, -libc::EAGAIN].contains(&result));
        ensure(done, || format!("results {results:?}"))?;
        left = (0..left.len()).filter(again).map(|place| left[place]).collect();
        if left.is_empty() {
            return Ok(());
        }
    }
    left.iter().try_for_each(|(buffer, at)| {
        file.write_all_at(buffer.bytes(), *at).doing(|| "write what io_uring did not".into())
    })
}

/// Places in `writes` and results, in the order of completion.
fn submit(file: &File, ring: &mut IoUring, writes: &[&(Buffer, u64)]) -> Step<Vec<(u64, i32)>> {
    let vectors: Vec<_> = writes.iter().map(|(buffer, _)| IoSlice::new(buffer.bytes())).collect();
    for (place, vector) in vectors.iter().enumerate() {
        // Those kernels know only writes of vectors.
        let write = opcode::Writev::new(types::Fd(file.as_raw_fd()), std::ptr::from_ref(vector).cast(), 1)
            .offset(writes[place].1)
            .build()
            .user_data(place as u64);
        // SAFETY: the file, the vectors (an IoSlice is an iovec) and the buffers live until every write has completed,
        // below, or for ever.
        unsafe { ring.submission().push(&write) }.doing(|| "queue a write".into())?;
    }
    // A wait may end early: by a signal, or by what the kernel has to do for this task.
    while ring.completion().len() < writes.len() {
        match ring.submit_and_wait(writes.len()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                std::mem::forget(vectors);
                return Err(Failure::Failed(format!("submit: {error}")));
            }
        }
    }
    let results: Vec<_> = ring.completion().map(|entry| (entry.user_data(), entry.result())).collect();
    Ok(results)
}
