// SPDX-License-Identifier: GPL-2.0-only
//! What threads share on a write's way, in every order that the processor and the compiler may give it.

use involflt::engine::{Bitmap, Hole, Pool, Resync, Share};
use involflt::host::Host;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

type Bits = Bitmap<Box<[AtomicU64]>>;

fn bitmap() -> Arc<Bits> {
    Arc::new(Bitmap::new(std::iter::repeat_with(AtomicU64::default).take(2).collect(), 128))
}

fn take_all(bits: &Bits) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(run) = bits.take_run(0, u64::MAX) {
        found.extend(run.first..run.first + run.blocks);
    }
    found
}

#[test]
fn two_writers_and_a_drain_lose_no_bit() {
    loom::model(|| {
        let (live, taken) = (bitmap(), bitmap());
        let writers = [(62, 65), (64, 66)].map(|(first, end)| {
            let live = live.clone();
            thread::spawn(move || live.set(first, end))
        });
        live.move_into(&taken);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(live.dirty() + taken.dirty(), {
            let (left, moved) = (take_all(&live), take_all(&taken));
            let mut all = [left.as_slice(), moved.as_slice()].concat();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all, [62, 63, 64, 65]);
            (left.len() + moved.len()) as u64
        });
        assert_eq!((live.dirty(), taken.dirty()), (0, 0));
    });
}

#[test]
fn a_drain_that_knows_of_a_write_has_its_bit() {
    loom::model(|| {
        let (live, taken) = (bitmap(), bitmap());
        let begun = Arc::new(AtomicBool::new(false));
        let writer = {
            let (live, begun) = (live.clone(), begun.clone());
            thread::spawn(move || {
                live.set(7, 8);
                // The queue, which a drain freezes, has the write from here on.
                begun.store(true, Ordering::Release);
            })
        };
        if begun.load(Ordering::Acquire) {
            live.move_into(&taken);
            assert_eq!(take_all(&taken), [7]);
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_bit_is_set_again_while_its_run_is_taken() {
    loom::model(|| {
        let bits = bitmap();
        bits.set(3, 5);
        let writer = {
            let bits = bits.clone();
            thread::spawn(move || bits.set(4, 6))
        };
        let run = bits.take_run(0, u64::MAX).unwrap();
        writer.join().unwrap();
        let mut all: Vec<u64> = (run.first..run.first + run.blocks).chain(take_all(&bits)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, [3, 4, 5]);
        assert_eq!(bits.dirty(), 0);
    });
}

#[test]
fn no_hole_is_acknowledged_that_was_not_reported() {
    loom::model(|| {
        let resync = Arc::new(Resync::default());
        let raisers = [(Hole::NoMemory, 5), (Hole::Passthrough, 6)].map(|(hole, time)| {
            let resync = resync.clone();
            thread::spawn(move || resync.raise(hole, time))
        });
        let acknowledged = resync.report().filter(|report| {
            assert!([5, 6].contains(&report.time), "a report without its time");
            resync.acknowledge(*report)
        });
        raisers.into_iter().for_each(|raiser| raiser.join().unwrap());
        let left = resync.report().map_or(0, |report| report.count);
        assert_eq!(left + acknowledged.map_or(0, |report| report.count), 2);
    });
}

#[test]
fn no_chunk_of_the_pool_is_had_twice_and_none_is_lost() {
    let mut model = loom::model::Builder::new();
    // More would take hours, and two are enough for a stack that was changed and looks the same.
    model.preemption_bound = Some(2);
    model.max_branches = 100_000;
    model.check(|| {
        let pool = std::sync::Arc::new(Pool::<Host>::new().unwrap());
        let shares = [(); 2].map(|()| std::sync::Arc::new(Share::new(pool.clone())));
        shares.iter().for_each(|share| share.join());
        let [one, other] = shares.clone();
        let quick = thread::spawn(move || one.take(1).unwrap());
        // Takes two and gives the first one back, so that the stack's top is the same again and what is behind it is not.
        let slow = thread::spawn(move || {
            let (first, second) = (other.take(1).unwrap(), other.take(1).unwrap());
            other.give(first);
            second
        });
        let (one, other) = (quick.join().unwrap(), slow.join().unwrap());
        assert_ne!(one.first, other.first, "a chunk is had twice");
        let [share, gone] = shares;
        share.give(one);
        gone.give(other);
        // What it was promised may be had now.
        drop(gone);
        let all = pool.bytes() / (64 << 10);
        assert_eq!(chunks_of(&share, all), all, "a chunk is lost");
    });
}

/// How many of so many chunks can be had, all of them different.
fn chunks_of(share: &Share<Host>, most: u64) -> u64 {
    let mut had = std::collections::BTreeSet::new();
    let chunks = share.take(most).unwrap();
    let mut chunk = Some(chunks.first);
    while let Some(next) = chunk.filter(|_| (had.len() as u64) < most) {
        had.insert(next);
        chunk = share.at(next, 1);
    }
    had.len() as u64
}
