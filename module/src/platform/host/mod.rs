// SPDX-License-Identifier: GPL-2.0-only
//! A platform for tests: memory from the standard library, disks that exist in name only, and a clock that ticks.

mod files;

use crate::engine::{Common, Hole, Pool, Tracker};
use crate::platform::{
    self, Attached, Errno, Event, Geometry, Lock, Opened, Platform, Result, Sighting, User, Waited, CHUNK, SLAB_CHUNKS,
};
use crate::sync::AtomicU64;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub use files::{Files, HostFile, HostPinned};

/// The platform.
pub struct Host;

thread_local! {
    static TIME: Cell<u64> = const { Cell::new(0) };
    static POLLERS_WOKEN: Cell<u64> = const { Cell::new(0) };
    static FROZEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static HELD: Cell<bool> = const { Cell::new(false) };
    static ALARM: Cell<Option<u64>> = const { Cell::new(None) };
    static UPTIME: Cell<u64> = const { Cell::new(1) };
    static WRITTEN: Cell<u64> = const { Cell::new(1) };
    static SURE: Cell<bool> = const { Cell::new(true) };
    static NEW_PATH: Cell<bool> = const { Cell::new(false) };
    /// Not random, but another one each time.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    static MEMORY_BYTES: Cell<u64> = const { Cell::new(256 << 20) };
    static AT_SETTLE: RefCell<Option<Hook>> = const { RefCell::new(None) };
    static AT_FLUSH: RefCell<Option<Hook>> = const { RefCell::new(None) };
    static WORK: Cell<bool> = const { Cell::new(false) };
    static NO_MEMORY: Cell<bool> = const { Cell::new(false) };
    /// Each thread its own, so that tests do not meet.
    static COMMON: &'static Common = Box::leak(Box::default());
}

impl Platform for Host {
    type Words = Box<[AtomicU64]>;
    type Bytes = Box<[u8]>;
    type Frozen = FrozenName;
    type Boxed<T: Send> = Box<T>;
    type Shared<T: Send + Sync> = Arc<T>;
    type Lock<T: Send> = Mutex<T>;
    type Mutex<T: Send> = Mutex<T>;
    type Event = Happening;
    type Opened = NamedDisk;
    type Attached = TrackedDisk;
    type User = OwnMemory;
    type File = HostFile;
    type Pinned = HostPinned;
    type Arena = Slabs;
    type Payload = Written;
    type Mapping = Shown;

    fn arena(slabs: usize) -> Result<Slabs> {
        Ok(Slabs(std::iter::repeat_with(Mutex::default).take(slabs).collect()))
    }

    fn memory() -> u64 {
        MEMORY_BYTES.get()
    }

    fn soon() {
        WORK.set(true);
    }

    fn pause() {
        std::thread::yield_now();
    }

    fn words(count: usize) -> Result<Self::Words> {
        Ok(std::iter::repeat_with(AtomicU64::default).take(count).collect())
    }

    fn bytes(count: usize) -> Result<Self::Bytes> {
        Ok(vec![0; count].into_boxed_slice())
    }

    fn boxed<T: Send>(value: T) -> Result<Box<T>> {
        Ok(Box::new(value))
    }

    fn shared<T: Send + Sync>(value: T) -> Result<Arc<T>> {
        Ok(Arc::new(value))
    }

    fn lock<T: Send>(value: T) -> Result<Mutex<T>> {
        Ok(Mutex::new(value))
    }

    fn mutex<T: Send>(value: T) -> Result<Mutex<T>> {
        Ok(Mutex::new(value))
    }

    fn event() -> Result<Happening> {
        Ok(Happening::default())
    }

    fn wake_pollers() {
        POLLERS_WOKEN.with(|woken| woken.set(woken.get() + 1));
    }

    fn is_blk_mq(path: &[u8]) -> Result<bool> {
        NamedDisk::open(path).map(|_| !path.starts_with(b"dm"))
    }

    fn freeze(path: &[u8]) -> Result<FrozenName> {
        FrozenName::new(path)
    }

    fn hold() {
        HELD.set(true);
    }

    fn release() {
        HELD.set(false);
    }

    fn alarm(milliseconds: u32) {
        ALARM.set(Some(UPTIME.get() + u64::from(milliseconds)));
    }

    fn uptime() -> u64 {
        UPTIME.get()
    }

    fn random(bytes: &mut [u8]) {
        RANDOM.set(RANDOM.get() + 1);
        bytes.iter_mut().zip(RANDOM.get().to_le_bytes().iter().cycle()).for_each(|(byte, random)| *byte = *random);
    }

    fn make_directory(path: &[u8]) -> Result<()> {
        files::make_directory(path)
    }

    fn common() -> &'static Common {
        COMMON.with(|common| *common)
    }

    fn unix_time() -> u64 {
        TIME.with(|time| {
            time.set(time.get() + 1);
            time.get()
        })
    }
}

impl<T> Lock<T> for Mutex<T> {
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().expect("nothing panics while it has the value"))
    }
}

impl<T> platform::Mutex<T> for Mutex<T> {
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<R> {
        Ok(self.with_always(work))
    }

    fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.try_lock().ok().map(|mut value| work(&mut value))
    }

    fn with_always<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().expect("nothing panics while it has the value"))
    }
}

/// Something that happens again and again.
#[derive(Default)]
pub struct Happening {
    count: Mutex<u32>,
    changed: Condvar,
}

impl Event for Happening {
    fn count(&self) -> u32 {
        *self.count.lock().expect("nothing panics while it counts")
    }

    fn happen(&self) {
        *self.count.lock().expect("nothing panics while it counts") += 1;
        self.changed.notify_all();
    }

    fn wait(&self, seen: u32, milliseconds: u32) -> Waited {
        // Nobody wakes a fuzzer, and what it looks for is not in the waiting: whoever waits has a signal.
        if cfg!(fuzzing) {
            return Waited::Interrupted;
        }
        let count = self.count.lock().expect("nothing panics while it counts");
        let time = Duration::from_millis(milliseconds.into());
        let waited = self.changed.wait_timeout_while(count, time, |count| *count == seen);
        match waited.expect("nothing panics while it counts").1.timed_out() {
            true => Waited::TimedOut,
            false => Waited::Happened,
        }
    }
}

impl Host {
    /// How often this thread has woken those who poll.
    pub fn pollers_woken() -> u64 {
        POLLERS_WOKEN.get()
    }

    /// What this thread has frozen and not thawed.
    pub fn frozen() -> Vec<String> {
        FROZEN.with_borrow(Clone::clone)
    }

    /// Whether this thread has disks held.
    pub fn is_held() -> bool {
        HELD.get()
    }

    /// Somebody writes to the disks, whether they are filtered or not.
    pub fn write_to_disks() {
        WRITTEN.set(WRITTEN.get() + 1);
    }

    /// The machine starts: nothing was written to its disks in this boot.
    pub fn disks_appear() {
        WRITTEN.set(1);
    }

    /// What a disk of this thread does when the writes in flight are waited for, and when it is flushed.
    pub fn disks_do(at_settle: Hook, at_flush: Hook) {
        AT_SETTLE.set(Some(at_settle));
        AT_FLUSH.set(Some(at_flush));
    }

    /// Whether the disks' driver is known to count what is written.
    pub fn is_sure_of_counts(sure: bool) {
        SURE.set(sure);
    }

    /// A disk gets a path that writes go by unseen, until somebody looks for it.
    pub fn path_comes() {
        NEW_PATH.set(true);
    }

    /// From now on the machine has so much memory, in bytes, for what this thread makes.
    pub fn set_memory(bytes: u64) {
        MEMORY_BYTES.set(bytes);
    }

    /// From now on this thread gets no memory for captured data or streams, or does again.
    pub fn refuse_memory(refuse: bool) {
        NO_MEMORY.set(refuse);
    }

    /// Whether this thread has asked for work that it could not do itself, since somebody looked last.
    pub fn has_work() -> bool {
        WORK.replace(false)
    }

    /// So many milliseconds go by for this thread. Whether its alarm has rung meanwhile.
    pub fn pass(milliseconds: u64) -> bool {
        UPTIME.set(UPTIME.get() + milliseconds);
        TIME.set(TIME.get() + 10_000 * milliseconds);
        let rings = ALARM.get().is_some_and(|time| time <= UPTIME.get());
        if rings {
            ALARM.set(None);
        }
        rings
    }
}

impl Host {
    /// This thread's wall clock is set so many milliseconds forwards, or back.
    pub fn set_clock(milliseconds: i64) {
        TIME.set(TIME.get().saturating_add_signed(10_000 * milliseconds));
    }
}

/// A file system that is frozen in name only; a name that begins with `no` cannot be.
pub struct FrozenName(String);

impl FrozenName {
    fn new(path: &[u8]) -> Result<Self> {
        let path = path.strip_suffix(b"\0").ok_or(Errno::INVAL)?;
        let name = String::from_utf8_lossy(path).into_owned();
        if name.starts_with("no") {
            return Err(Errno::NODEV);
        }
        FROZEN.with_borrow_mut(|frozen| frozen.push(name.clone()));
        Ok(FrozenName(name))
    }
}

impl Drop for FrozenName {
    fn drop(&mut self) {
        FROZEN.with_borrow_mut(|frozen| frozen.retain(|name| *name != self.0));
    }
}

/// What a test's disk does.
pub type Hook = Rc<dyn Fn()>;

fn call(hook: Option<Hook>) {
    hook.inspect(|hook| hook());
}

/// A disk named `NAME:SECTORS`; any other name is no disk.
pub struct NamedDisk {
    geometry: Geometry,
}

impl Opened<Host> for NamedDisk {
    fn open(path: &[u8]) -> Result<Self> {
        let text = path.strip_suffix(b"\0").and_then(|path| std::str::from_utf8(path).ok()).ok_or(Errno::INVAL)?;
        let (name, sectors) = text.rsplit_once(':').ok_or(Errno::NODEV)?;
        let sectors = sectors.parse().map_err(|_| Errno::NODEV)?;
        let identity = name.bytes().fold(sectors, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Ok(NamedDisk { geometry: Geometry { sectors, identity } })
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn attach(self, tracker: Arc<Tracker<Host>>) -> Result<TrackedDisk> {
        Ok(TrackedDisk { tracker, settled: Cell::new(0) })
    }
}

/// A tracked disk; the test calls its tracker in the writes' place.
pub struct TrackedDisk {
    tracker: Arc<Tracker<Host>>,
    settled: Cell<u64>,
}

impl TrackedDisk {
    /// A disk of `sectors` sectors, with a pool of its own.
    pub fn new(sectors: u64) -> Result<Self> {
        Self::with_pool(sectors, Arc::new(Pool::new()?))
    }

    /// A disk of `sectors` sectors, whose data is captured in memory of `pool`.
    pub fn with_pool(sectors: u64, pool: Arc<Pool<Host>>) -> Result<Self> {
        Ok(TrackedDisk { tracker: Arc::new(Tracker::new(sectors, pool)?), settled: Cell::new(0) })
    }

    /// How often a drain has waited for the writes in flight.
    pub fn settled(&self) -> u64 {
        self.settled.get()
    }
}

impl Attached<Host> for TrackedDisk {
    fn tracker(&self) -> &Tracker<Host> {
        &self.tracker
    }

    fn refresh(&self) {
        if NEW_PATH.take() {
            self.tracker.hole(Hole::NewPath);
        }
    }

    fn settle(&self) {
        call(AT_SETTLE.with_borrow(Clone::clone));
        self.settled.set(self.settled.get() + 1);
    }

    fn seen(&self) -> Sighting {
        Sighting { device: 1, written: WRITTEN.get(), sure: SURE.get(), untouched: SURE.get() && WRITTEN.get() == 1 }
    }

    fn flush(&self) -> Result<()> {
        call(AT_FLUSH.with_borrow(Clone::clone));
        Ok(())
    }

    fn hold_writes(&self, _: &HostPinned) -> Result<()> {
        Ok(())
    }

    fn release_writes(&self) {}

    fn detach(&mut self) -> Result<()> {
        Ok(())
    }
}

fn has_memory() -> Result<()> {
    if NO_MEMORY.get() {
        Err(Errno::NOMEM)
    } else {
        Ok(())
    }
}

/// Memory for captured data: slabs that are there, or not. A chunk gets its memory with its first write.
pub struct Slabs(Box<[Mutex<Slab>]>);

type Slab = Option<Vec<Box<[u8]>>>;

impl Slabs {
    fn with_bytes<R>(&self, chunk: u32, offset: usize, bytes: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
        assert!(offset + bytes <= CHUNK, "{bytes} bytes at {offset} of a chunk");
        self.0[chunk as usize / SLAB_CHUNKS].with(|slab| {
            let slab = slab.as_mut().expect("the slab of a chunk that somebody has is there");
            let memory = &mut slab[chunk as usize % SLAB_CHUNKS];
            if memory.is_empty() {
                *memory = vec![0xee; CHUNK].into_boxed_slice();
            }
            work(&mut memory[offset..offset + bytes])
        })
    }
}

impl platform::Arena<Host> for Slabs {
    fn add(&self, slab: usize) -> Result<()> {
        has_memory()?;
        self.0[slab].with(|slab| *slab = Some(vec![Box::default(); SLAB_CHUNKS]));
        Ok(())
    }

    fn has(&self, slab: usize) -> bool {
        self.0[slab].with(|slab| slab.is_some())
    }

    fn remove(&self, slab: usize) {
        self.0[slab].with(|slab| *slab = None);
    }

    fn write(&self, chunk: u32, offset: usize, from: &[u8]) {
        self.with_bytes(chunk, offset, from.len(), |to| to.copy_from_slice(from));
    }

    fn read(&self, chunk: u32, offset: usize, to: &mut [u8]) {
        self.with_bytes(chunk, offset, to.len(), |from| to.copy_from_slice(from));
    }

    fn fill(&self, chunk: u32, offset: usize, bytes: usize, from: &mut Written) {
        let (now, later) = from.0.split_at(bytes);
        self.write(chunk, offset, now);
        from.0 = later.to_vec();
    }

    fn tell(&self, chunk: u32, offset: usize, bytes: usize, to: u64) -> Result<()> {
        self.with_bytes(chunk, offset, bytes, |from| OwnMemory::write(to, from))
    }
}

/// The data of a write that has completed.
pub struct Written(pub Vec<u8>);

/// Memory that the driver has given to this thread.
pub struct Shown(u64);

impl platform::Mapping for Shown {
    fn new(bytes: u64) -> Result<Self> {
        has_memory()?;
        let address = SHOWN.with_borrow_mut(|shown| {
            // None begins where another one was, so that nothing is read from one that is gone.
            let address = LAST_SHOWN.get();
            LAST_SHOWN.set(address + bytes.next_multiple_of(4096) + 4096);
            shown.insert(address, vec![0; bytes as usize]);
            address
        });
        Ok(Shown(address))
    }

    fn address(&self) -> u64 {
        self.0
    }

    fn is_here(&self) -> bool {
        SHOWN.with_borrow(|shown| shown.contains_key(&self.0))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        SHOWN.with_borrow_mut(|shown| drop(shown.remove(&self.0)));
    }
}

thread_local! {
    static MEMORY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SHOWN: RefCell<BTreeMap<u64, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
    static LAST_SHOWN: Cell<u64> = const { Cell::new(1 << 40) };
}

/// The test's own memory: a buffer whose first byte has address [`OwnMemory::BASE`], and what the driver has given to it.
pub struct OwnMemory;

impl OwnMemory {
    /// Where the buffer begins; what is below or past its end is no memory, unless the driver gave it.
    pub const BASE: u64 = 0x1_0000;

    /// Makes this thread's buffer `bytes` long, all of it `fill`.
    pub fn reset(bytes: usize, fill: u8) {
        MEMORY.with_borrow_mut(|memory| *memory = vec![fill; bytes]);
    }

    fn with_range<R>(address: u64, length: usize, work: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        let part = |memory: &mut Vec<u8>, base: u64| {
            let start = address.checked_sub(base).ok_or(Errno::FAULT)? as usize;
            let range = start..start.checked_add(length).ok_or(Errno::FAULT)?;
            memory.get_mut(range).map(work).ok_or(Errno::FAULT)
        };
        SHOWN.with_borrow_mut(|shown| match shown.range_mut(..=address).next_back() {
            Some((&base, memory)) => part(memory, base),
            None => MEMORY.with_borrow_mut(|memory| part(memory, Self::BASE)),
        })
    }
}

impl User for OwnMemory {
    fn read(address: u64, to: &mut [u8]) -> Result<()> {
        Self::with_range(address, to.len(), |memory| to.copy_from_slice(memory))
    }

    fn write(address: u64, from: &[u8]) -> Result<()> {
        Self::with_range(address, from.len(), |memory| memory.copy_from_slice(from))
    }
}
