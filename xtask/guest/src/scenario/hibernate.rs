// SPDX-License-Identifier: GPL-2.0-only
//! The machine's memory is written to a filtered disk, and read back from it (hibernation): of what was written to the disk
//! meanwhile, the image among it, that memory knows nothing.

use super::suspend;
use crate::agent::Agent;
use crate::sys::{Doing, Failure, Step, ensure, is_linux, open, set};
use crate::work::{buffer::Buffer, ranges};
use guest::layout::{Disk, LIVE, REPLICA_NODES};
use nix::errno::Errno;
use nix::libc;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::FileExt;

/// A replica that was not copied yet, with room for the image.
const SWAP: Disk = Disk { name: "swap", node: REPLICA_NODES[2], partitioned: false, ..LIVE[2] };
const PAGE: usize = 4096;
const MAGIC: &[u8] = b"SWAPSPACE2";
/// What is done behind the writing of the image: with `test_resume` it is read back, as by a machine that starts again.
const METHOD: &str = "/sys/power/disk";
/// Bytes that the image should have at most; with 0 it is as small as can be.
const IMAGE_SIZE: &str = "/sys/power/image_size";

/// Each disk needs a resync afterwards, and says why.
pub fn scenario() -> Step<String> {
    if let Some(reason) = why_not()? {
        return Err(Failure::Skipped(reason));
    }
    make_swap()?;
    let mut agent = Agent::attach(&SWAP)?;
    let hole = agent.take_hole()?;
    ensure(hole.is_none(), || format!("before: {hole:?}"))?;
    swap(true)?;
    let hibernated = hibernate();
    swap(false)?;
    hibernated?;
    let hole = agent.take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("not filtered")), || format!("afterwards: {hole:?}"))?;
    agent.drain_all()?;
    agent.detach()?;
    // involfltctl copies to no disk that holds data of others.
    ranges::zero(&open(SWAP.node, 0)?, 0, SWAP.size)?;
    Ok("memory went to a filtered disk and came back: it needs a resync".into())
}

fn why_not() -> Step<Option<String>> {
    if !fs::read_to_string(METHOD).unwrap_or_default().contains("test_resume") {
        return Ok(Some(format!("{METHOD} has no test_resume")));
    }
    let reads_back = is_linux((6, 4))?;
    Ok((!reads_back).then(|| "such a kernel does not read an image back from a swap area that is in use".into()))
}

fn hibernate() -> Step {
    set(IMAGE_SIZE, "0")?;
    set(METHOD, "test_resume")?;
    set(suspend::STATE, "disk")
}

/// A header of a swap area as the kernel has it (`union swap_header` in its include/linux/swap.h): version 1, the last page,
/// no bad ones, and the magic at the page's end.
fn make_swap() -> Step {
    let mut page = Buffer::new(PAGE);
    let bytes = page.bytes_mut();
    bytes.fill(0);
    bytes[1024..1028].copy_from_slice(&1_u32.to_le_bytes());
    bytes[1028..1032].copy_from_slice(&((SWAP.size / PAGE as u64 - 1) as u32).to_le_bytes());
    bytes[PAGE - MAGIC.len()..].copy_from_slice(MAGIC);
    open(SWAP.node, libc::O_DIRECT)?.write_all_at(page.bytes(), 0).doing(|| format!("write to {}", SWAP.node))
}

fn swap(on: bool) -> Step {
    let node = CString::new(SWAP.node).expect("no NUL");
    // SAFETY: The path is a string that ends in NUL, and neither call keeps it.
    let code = unsafe { if on { libc::swapon(node.as_ptr(), 0) } else { libc::swapoff(node.as_ptr()) } };
    Errno::result(code).map(drop).doing(|| format!("{}: swap {}", SWAP.node, if on { "on" } else { "off" }))
}
