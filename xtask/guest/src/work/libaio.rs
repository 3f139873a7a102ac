// SPDX-License-Identifier: GPL-2.0-only
//! Batches of writes with `io_submit`.

use super::buffer::Buffer;
use super::{Area, Random};
use crate::sys::{Doing, Step, ensure, open};
use nix::libc;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

const IOCB_CMD_PWRITE: u16 = 1;

/// `struct iocb` of a little-endian machine.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_file: u32,
}

/// `struct io_event`
#[repr(C)]
#[derive(Default, Clone)]
struct Event {
    data: u64,
    iocb: u64,
    result: i64,
    result2: i64,
}

/// An `aio_context_t`, destroyed with what is in flight when dropped.
struct Context(libc::c_ulong);

impl Context {
    fn new(depth: usize) -> io::Result<Context> {
        let mut context = 0;
        // SAFETY: io_setup writes one word to the address.
        checked(unsafe { libc::syscall(libc::SYS_io_setup, depth, &raw mut context) })?;
        Ok(Context(context))
    }

    /// Submits all at once and waits for all.
    fn run(&self, iocbs: &[Iocb]) -> io::Result<Vec<i64>> {
        let pointers: Vec<*const Iocb> = iocbs.iter().map(std::ptr::from_ref).collect();
        // SAFETY: the pointers are to as many iocbs as said; their buffers outlive this call, which waits for them all.
        let submitted =
            checked(unsafe { libc::syscall(libc::SYS_io_submit, self.0, pointers.len(), pointers.as_ptr()) })?;
        let mut events = vec![Event::default(); submitted as usize];
        let none = std::ptr::null::<libc::timespec>();
        // SAFETY: there is room for as many events as asked for.
        let got = checked(unsafe {
            libc::syscall(libc::SYS_io_getevents, self.0, submitted, submitted, events.as_mut_ptr(), none)
        })?;
        Ok(events[..got as usize].iter().map(|event| event.result).collect())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is one that io_setup gave; io_destroy waits for what is in flight.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Submits `batches` batches of `depth` direct writes of 8 KiB each.
pub fn batches(node: &str, area: &Area, batches: u64, depth: usize) -> Step<String> {
    let file = open(node, libc::O_DIRECT)?;
    let mut random = Random::new(0xa10);
    for _ in 0..batches {
        batch(&file, area, depth, &mut random)?;
    }
    Ok(format!("{} writes of 8 KiB, {depth} at a time", batches * depth as u64))
}

fn batch(file: &File, area: &Area, depth: usize, random: &mut Random) -> Step {
    let buffers: Vec<_> = (0..depth).map(|_| Buffer::stamped(8192)).collect();
    // After the buffers, so that it is dropped before them.
    let context = Context::new(depth).doing(|| "io_setup".into())?;
    let iocbs: Vec<_> = buffers
        .iter()
        .map(|buffer| Iocb {
            opcode: IOCB_CMD_PWRITE,
            file: file.as_raw_fd() as u32,
            buffer: buffer.bytes().as_ptr().expose_provenance() as u64,
            bytes: 8192,
            offset: random.place(area, 8192, 4096) as i64,
            ..Iocb::default()
        })
        .collect();
    let results = context.run(&iocbs).doing(|| "io_submit".into())?;
    ensure(results.len() == depth && results.iter().all(|&result| result == 8192), || format!("results {results:?}"))
}
