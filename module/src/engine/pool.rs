// SPDX-License-Identifier: GPL-2.0-only
//! Memory for captured data: chunks that all disks share, of which each disk is promised some.

use crate::platform::{Arena, Mutex, Platform, Result, CHUNK, SLAB_CHUNKS};
use crate::sync::{AtomicI64, AtomicU64, Ordering};

/// What a disk is promised, in bytes: two full nodes.
pub const PROMISED_BYTES: u64 = 8 << 20;
const PROMISED: i64 = PROMISED_BYTES as i64 / CHUNK as i64;
/// The pool is made larger when fewer chunks than this are free beyond those that are promised.
const LOW: i64 = 2 * SLAB_CHUNKS as i64;
/// In place of a slab's number of free chunks: it is given back.
const GOES: u64 = u64::MAX;
const SLAB_BYTES: u64 = (CHUNK * SLAB_CHUNKS) as u64;
/// The pool has room for half of the machine's memory, but for 64 GiB at most: its list of chunks takes 8 bytes each.
const MAX_BYTES: u64 = 64 << 30;
/// The smallest limit of a pool, in bytes, as the ABI has it.
pub const MIN_POOL_BYTES: u64 = 64 << 20;

/// Chunks of memory. Those that are free are a stack that needs no lock, so disks never wait for each other.
pub struct Pool<P: Platform> {
    arena: P::Arena,
    /// The free chunk on top and one, 0 for none, in the lower half; the upper half is another one after each change, so
    /// that a stack that was changed and looks the same is known.
    top: AtomicU64,
    /// Of each chunk the one behind it and one, 0 for none: in the stack of free ones, or in the chain of whoever has it.
    next: P::Words,
    /// Free chunks. May be a moment behind.
    free: AtomicI64,
    /// Chunks that disks have been promised and do not use. May be a moment behind.
    promised: AtomicI64,
    /// Disks that have a share.
    disks: AtomicI64,
    chunks: AtomicI64,
    limit: AtomicI64,
    /// Not 0 from when more memory was asked for until it is there.
    asked: AtomicU64,
    /// Slabs come and go one at a time.
    slabs: P::Mutex<()>,
}

/// A chain of chunks that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    /// The first one.
    pub first: u32,
    /// The last one.
    pub last: u32,
    /// Their number, at least 1.
    pub count: u64,
}

impl<P: Platform> Pool<P> {
    /// No chunks; a sixteenth of the machine's memory at most, at least 64 MiB. Fails with
    /// [`crate::platform::Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        let memory = P::memory();
        let slabs = ((memory / 2).clamp(MIN_POOL_BYTES, MAX_BYTES) / SLAB_BYTES) as usize;
        let pool = Pool {
            arena: P::arena(slabs)?,
            top: AtomicU64::new(0),
            next: P::words(slabs * SLAB_CHUNKS)?,
            free: AtomicI64::new(0),
            promised: AtomicI64::new(0),
            disks: AtomicI64::new(0),
            chunks: AtomicI64::new(0),
            limit: AtomicI64::new(0),
            asked: AtomicU64::new(0),
            slabs: P::mutex(())?,
        };
        pool.set_limit((memory / 16).clamp(MIN_POOL_BYTES, pool.most()));
        Ok(pool)
    }

    /// The largest limit, in bytes.
    pub fn most(&self) -> u64 {
        (self.next.len() * CHUNK) as u64
    }

    /// What it may grow to, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed) as u64 * CHUNK as u64
    }

    /// It may grow to so many bytes, rounded down to slabs, [`MIN_POOL_BYTES`] to [`Self::most`]. What is free beyond that is
    /// given back now.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store((bytes / SLAB_BYTES) as i64 * SLAB_CHUNKS as i64, Ordering::Relaxed);
        self.shrink(self.limit.load(Ordering::Relaxed));
    }

    /// Bytes that it has taken from the kernel.
    pub fn bytes(&self) -> u64 {
        self.chunks.load(Ordering::Relaxed) as u64 * CHUNK as u64
    }

    #[inline]
    fn take(&self) -> Option<u32> {
        let mut top = self.top.load(Ordering::Acquire);
        loop {
            let chunk = (top as u32).checked_sub(1)?;
            let next = self.next[chunk as usize].load(Ordering::Relaxed);
            match self.top.compare_exchange_weak(top, changed(top, next), Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => break,
                Err(seen) => top = seen,
            }
        }
        let free = self.free.fetch_sub(1, Ordering::Relaxed) - 1;
        if free < self.promised.load(Ordering::Relaxed) + LOW && self.may_grow() {
            self.ask();
        }
        (top as u32).checked_sub(1)
    }

    fn may_grow(&self) -> bool {
        self.disks.load(Ordering::Relaxed) > 0
            && self.chunks.load(Ordering::Relaxed) < self.limit.load(Ordering::Relaxed)
    }

    #[cold]
    fn ask(&self) {
        if self.asked.swap(1, Ordering::Relaxed) == 0 {
            P::soon();
        }
    }

    /// Puts a chain on the stack. Whoever takes from it sees all that was done to the chunks before.
    #[inline]
    fn give(&self, chunks: Chunks) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            self.next[chunks.last as usize].store(u64::from(top as u32), Ordering::Relaxed);
            let new = changed(top, u64::from(chunks.first) + 1);
            match self.top.compare_exchange_weak(top, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(seen) => top = seen,
            }
        }
        self.free.fetch_add(chunks.count as i64, Ordering::Relaxed);
    }

    /// Takes memory until enough is free, or the limit is reached, or the kernel has none. May sleep.
    pub fn grow(&self) {
        self.slabs.with_always(|()| {
            let enough = || self.free.load(Ordering::Relaxed) >= self.promised.load(Ordering::Relaxed) + 2 * LOW;
            let mut slabs = 0..self.next.len() / SLAB_CHUNKS;
            while self.may_grow() && !enough() {
                let Some(slab) = slabs.find(|&slab| !self.arena.has(slab)) else { break };
                if self.arena.add(slab).is_err() {
                    break;
                }
                self.give(self.chain(slab));
                self.chunks.fetch_add(SLAB_CHUNKS as i64, Ordering::Relaxed);
            }
            self.asked.store(0, Ordering::Relaxed);
        });
    }

    /// The chunks of a new slab.
    fn chain(&self, slab: usize) -> Chunks {
        let (first, last) = (slab * SLAB_CHUNKS, (slab + 1) * SLAB_CHUNKS - 1);
        for chunk in first..last {
            self.next[chunk].store(chunk as u64 + 2, Ordering::Relaxed);
        }
        Chunks { first: first as u32, last: last as u32, count: SLAB_CHUNKS as u64 }
    }

    /// Gives back slabs of which nobody has a chunk, until there are no more than so many chunks. For a moment none is free.
    /// May sleep.
    fn shrink(&self, most: i64) {
        self.slabs.with_always(|()| {
            if self.chunks.load(Ordering::Relaxed) <= most {
                return;
            }
            // Where there is no memory for the count, all of it stays.
            let Ok(free) = P::words(self.next.len() / SLAB_CHUNKS) else { return };
            let all = self.take_all(&free);
            self.choose(&free, most);
            self.give_of_slabs_that_stay(all, &free);
            let goes = |slab: &usize| free[*slab].load(Ordering::Relaxed) == GOES;
            (0..free.len()).filter(goes).for_each(|slab| self.arena.remove(slab));
        });
    }

    /// Takes every free chunk, counts those of each slab, and gives the first one of their chain.
    fn take_all(&self, free: &P::Words) -> Option<u32> {
        let mut all = None;
        while let Some(chunk) = self.take() {
            free[chunk as usize / SLAB_CHUNKS].fetch_add(1, Ordering::Relaxed);
            self.next[chunk as usize].store(all.map_or(0, |behind| u64::from(behind) + 1), Ordering::Relaxed);
            all = Some(chunk);
        }
        all
    }

    /// Marks slabs that go.
    fn choose(&self, free: &P::Words, most: i64) {
        for slab in free.iter().filter(|slab| slab.load(Ordering::Relaxed) == SLAB_CHUNKS as u64) {
            if self.chunks.load(Ordering::Relaxed) <= most {
                return;
            }
            slab.store(GOES, Ordering::Relaxed);
            self.chunks.fetch_sub(SLAB_CHUNKS as i64, Ordering::Relaxed);
        }
    }

    fn give_of_slabs_that_stay(&self, mut all: Option<u32>, free: &P::Words) {
        while let Some(chunk) = all {
            all = self.behind(chunk);
            if free[chunk as usize / SLAB_CHUNKS].load(Ordering::Relaxed) != GOES {
                self.give(Chunks { first: chunk, last: chunk, count: 1 });
            }
        }
    }

    /// The chunk behind one in a chain.
    pub fn behind(&self, chunk: u32) -> Option<u32> {
        (self.next[chunk as usize].load(Ordering::Relaxed) as u32).checked_sub(1)
    }

    fn link(&self, chunk: u32, behind: u32) {
        self.next[chunk as usize].store(u64::from(behind) + 1, Ordering::Relaxed);
    }
}

fn changed(top: u64, chunk: u64) -> u64 {
    ((top >> 32).wrapping_add(1) << 32) | chunk
}

/// A disk's share of the pool.
pub struct Share<P: Platform> {
    pool: P::Shared<Pool<P>>,
    used: AtomicI64,
    /// Not 0 once it has been promised chunks.
    joined: AtomicU64,
}

impl<P: Platform> Share<P> {
    /// A share that has nothing, and is promised nothing.
    pub fn new(pool: P::Shared<Pool<P>>) -> Self {
        Share { pool, used: AtomicI64::new(0), joined: AtomicU64::new(0) }
    }

    /// It is promised [`PROMISED`] chunks from now on, and as many are there if the pool may have them. May sleep.
    pub fn join(&self) {
        if self.joined.swap(1, Ordering::Relaxed) == 0 {
            self.pool.disks.fetch_add(1, Ordering::Relaxed);
            self.pool.promised.fetch_add(PROMISED, Ordering::Relaxed);
            self.pool.grow();
        }
    }

    /// Whether it uses no more than it is promised.
    pub fn is_within_promise(&self) -> bool {
        self.used.load(Ordering::Relaxed) <= PROMISED
    }

    /// Bytes that it uses.
    pub fn bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed) as u64 * CHUNK as u64
    }

    /// Takes a chain of `count` chunks, at least 1; `None` where that would break what others are promised.
    pub fn take(&self, count: u64) -> Option<Chunks> {
        let first = self.take_one()?;
        let mut chunks = Chunks { first, last: first, count: 1 };
        while chunks.count < count {
            let Some(chunk) = self.take_one() else {
                self.give(chunks);
                return None;
            };
            self.pool.link(chunks.last, chunk);
            chunks = Chunks { last: chunk, count: chunks.count + 1, ..chunks };
        }
        Some(chunks)
    }

    fn take_one(&self) -> Option<u32> {
        let pool = &*self.pool;
        let is_promised = self.used.fetch_add(1, Ordering::Relaxed) < PROMISED;
        if is_promised {
            pool.promised.fetch_sub(1, Ordering::Relaxed);
        }
        let may = is_promised || pool.free.load(Ordering::Relaxed) > pool.promised.load(Ordering::Relaxed);
        let chunk = if may { pool.take() } else { None };
        if chunk.is_none() {
            self.uses_fewer(1);
        }
        chunk
    }

    fn uses_fewer(&self, count: i64) {
        let before = self.used.fetch_sub(count, Ordering::Relaxed);
        let of_promise = PROMISED.min(before) - PROMISED.min(before - count);
        self.pool.promised.fetch_add(of_promise, Ordering::Relaxed);
    }

    /// Gives a chain back.
    pub fn give(&self, chunks: Chunks) {
        self.pool.give(chunks);
        self.uses_fewer(chunks.count as i64);
    }

    /// Puts `behind` behind `chunks`.
    pub fn join_chains(&self, chunks: Chunks, behind: Chunks) -> Chunks {
        self.pool.link(chunks.last, behind.first);
        Chunks { first: chunks.first, last: behind.last, count: chunks.count + behind.count }
    }

    /// Takes the first `count` chunks of a chain that has more; gives them, and the rest.
    pub fn split(&self, chunks: Chunks, count: u64) -> Option<(Chunks, Chunks)> {
        let last = self.at(chunks.first, count.checked_sub(1)?)?;
        let front = Chunks { first: chunks.first, last, count };
        Some((
            front,
            Chunks { first: self.pool.behind(last)?, last: chunks.last, count: chunks.count.checked_sub(count)? },
        ))
    }

    /// The chunk that is so many behind one.
    pub fn at(&self, chunk: u32, steps: u64) -> Option<u32> {
        (0..steps).try_fold(chunk, |chunk, _| self.pool.behind(chunk))
    }

    /// Begins to write, or to read, at a place in a chain.
    pub fn cursor(&self, chunk: u32, offset: usize) -> Cursor<'_, P> {
        Cursor { pool: &self.pool, chunk, offset }
    }
}

impl<P: Platform> Drop for Share<P> {
    fn drop(&mut self) {
        if self.joined.load(Ordering::Relaxed) != 0 {
            self.pool.promised.fetch_sub(PROMISED, Ordering::Relaxed);
            if self.pool.disks.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.pool.shrink(0);
            }
        }
    }
}

/// A place in a chain, which moves on with what is written or read.
pub struct Cursor<'a, P: Platform> {
    pool: &'a Pool<P>,
    chunk: u32,
    offset: usize,
}

impl<P: Platform> Cursor<'_, P> {
    /// Where the next of `bytes` bytes go, and how many of them. Past the chain's end nothing goes anywhere.
    #[inline]
    fn advance(&mut self, bytes: usize) -> Option<(u32, usize, usize)> {
        if self.offset == CHUNK {
            self.chunk = self.pool.behind(self.chunk)?;
            self.offset = 0;
        }
        let place = (self.chunk, self.offset, bytes.min(CHUNK - self.offset));
        self.offset += place.2;
        Some(place)
    }

    /// Writes bytes.
    #[inline]
    pub fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some((chunk, offset, length)) = self.advance(bytes.len()) else { return };
            let (now, later) = bytes.split_at(length);
            self.pool.arena.write(chunk, offset, now);
            bytes = later;
        }
    }

    /// Reads bytes.
    pub fn read(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            let Some((chunk, offset, length)) = self.advance(to.len()) else { return };
            let (now, later) = to.split_at_mut(length);
            self.pool.arena.read(chunk, offset, now);
            to = later;
        }
    }

    /// Goes past so many bytes.
    pub fn skip(&mut self, mut bytes: u64) {
        while bytes != 0 {
            let Some((.., length)) = self.advance(bytes.min(CHUNK as u64) as usize) else { return };
            bytes -= length as u64;
        }
    }

    /// Writes the payload's next `bytes` bytes.
    #[inline]
    pub fn fill(&mut self, mut bytes: usize, payload: &mut P::Payload) {
        while bytes != 0 {
            let Some((chunk, offset, length)) = self.advance(bytes) else { return };
            self.pool.arena.fill(chunk, offset, length, payload);
            bytes -= length;
        }
    }

    /// Copies so many bytes to the calling process. Fails with [`crate::platform::Errno::FAULT`].
    pub fn tell(&mut self, mut bytes: u64, mut to: u64) -> Result<()> {
        while bytes != 0 {
            let Some((chunk, offset, length)) = self.advance(bytes.min(CHUNK as u64) as usize) else { return Ok(()) };
            self.pool.arena.tell(chunk, offset, length, to)?;
            bytes -= length as u64;
            to += length as u64;
        }
        Ok(())
    }
}
