// SPDX-License-Identifier: GPL-2.0-only
//! Writes that fail, of which a part has reached the disk.

use crate::agent::{Agent, Batch, become_service};
use crate::dm;
use crate::sys::{Doing, Step, ensure, is_errno, open};
use crate::work::{buffer::Buffer, null_blk};
use guest::layout::{LIVE_BACKING_NODE, MIB, NEXT_DM_NODE};
use nix::libc;
use std::os::unix::fs::FileExt;

/// The disk is good up to here, and fails behind.
const GOOD: u64 = 4 * MIB;
const LENGTH: u64 = 64 << 10;
/// Half of it can be written.
const HALF: (u64, u64) = (GOOD - LENGTH / 2, LENGTH);
const NONE: (u64, u64) = (GOOD + MIB, LENGTH);

/// With and without data: what failed is a change, whole, that is read from the disk.
pub fn scenario() -> Step<String> {
    let bad = dm::Target { size: GOOD, kind: "error", parameters: String::new() };
    dm::create("half-bad", &[dm::part_of(LIVE_BACKING_NODE, 0, GOOD), bad])?;
    let mut agent = Agent::attach(null_blk::at(NEXT_DM_NODE, 2 * GOOD))?;
    fail(&mut agent, false)?;
    let service = become_service()?;
    agent.drain_all()?;
    fail(&mut agent, true)?;
    drop(service);
    agent.detach().and(dm::remove("half-bad"))?;
    Ok("half of a write, and all of one, as extents and among data".into())
}

/// Two writes that fail, after one that is good.
fn fail(agent: &mut Agent, with_data: bool) -> Step {
    let file = open(agent.disk.node, libc::O_DIRECT)?;
    let write = |(offset, length): (u64, u64)| file.write_all_at(Buffer::stamped(length as usize).bytes(), offset);
    let failed = |agent: &Agent| agent.statistics()?.get("failed_writes");
    let before = failed(agent)?;
    write((0, LENGTH)).doing(|| "a good write".into())?;
    for place in [HALF, NONE] {
        let answer = write(place);
        let has_failed = answer.as_ref().is_err_and(|error| is_errno(error, &[libc::EIO]));
        ensure(has_failed, || format!("a write at {place:?} of a bad disk: {answer:?}"))?;
    }
    let told = failed(agent)? - before;
    ensure(told == 2, || format!("{told} failed writes were counted, not 2"))?;
    let batches = batches(agent)?;
    let (data, extents): (Vec<Batch>, Vec<Batch>) = batches.into_iter().partition(|batch| !batch.data.is_empty());
    let places = |batches: &[Batch]| batches.iter().flat_map(|batch| batch.changes.clone()).collect::<Vec<_>>();
    let good = vec![(0, LENGTH)];
    let expected = if with_data { (good, vec![HALF, NONE]) } else { (vec![], [good, vec![HALF, NONE]].concat()) };
    let found = (places(&data), places(&extents));
    ensure(found == expected, || format!("drained with and without data: {found:?}, not {expected:?}"))
}

fn batches(agent: &mut Agent) -> Step<Vec<Batch>> {
    let mut batches = Vec::new();
    loop {
        let batch = agent.get()?;
        if batch.is_empty() {
            return Ok(batches);
        }
        agent.finish(&batch)?;
        batches.push(batch);
    }
}
