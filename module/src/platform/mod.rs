// SPDX-License-Identifier: GPL-2.0-only
//! The boundary to a kernel: what the driver needs from one, and nothing else.
//!
//! `rfl` and `cglue` implement it for real kernels, `host` for tests.

use crate::engine::{Common, Tracker};
use crate::sync::AtomicU64;
use core::ops::{Deref, DerefMut};

/// A positive errno, as Linux numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// No such device.
    pub const NODEV: Errno = Errno(19);
    /// Not a file for that.
    pub const BADF: Errno = Errno(9);
    /// Interrupted.
    pub const INTR: Errno = Errno(4);
    /// Try again.
    pub const AGAIN: Errno = Errno(11);
    /// Out of memory.
    pub const NOMEM: Errno = Errno(12);
    /// It would wait for itself.
    pub const DEADLK: Errno = Errno(35);
    /// Bad address.
    pub const FAULT: Errno = Errno(14);
    /// Busy.
    pub const BUSY: Errno = Errno(16);
    /// Invalid argument.
    pub const INVAL: Errno = Errno(22);
    /// Not a request of this device.
    pub const NOTTY: Errno = Errno(25);
    /// The time is over.
    pub const TIMEDOUT: Errno = Errno(110);
    /// Not permitted.
    pub const PERM: Errno = Errno(1);
    /// It exists already.
    pub const EXIST: Errno = Errno(17);
    /// Not supported.
    pub const OPNOTSUPP: Errno = Errno(95);
    /// Too many disks; no room in a file system.
    pub const NOSPC: Errno = Errno(28);
    /// No such file or directory.
    pub const NOENT: Errno = Errno(2);
    /// Input or output has failed.
    pub const IO: Errno = Errno(5);
    /// A file is another one than it was.
    pub const STALE: Errno = Errno(116);
}

/// The result of everything that can fail in the driver.
pub type Result<T> = core::result::Result<T, Errno>;

/// What an opened disk says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Capacity, in 512-byte sectors.
    pub sectors: u64,
    /// The same for every path to one disk, and for no other disk while this one is open.
    pub identity: u64,
}

/// By what one knows later whether a disk was written to since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The kernel's own number of the disk, which no other one gets until the next boot.
    pub device: u64,
    /// Grows with each write to the disk, filtered or not, if its driver counts them. 0: not known.
    pub written: u64,
    /// Its driver counts them.
    pub sure: bool,
    /// It has counted none since the disk appeared.
    pub untouched: bool,
}

/// A kernel, or what stands in for one.
pub trait Platform: Sized {
    /// A fixed number of 64-bit words, zero at first.
    type Words: Deref<Target = [AtomicU64]> + Send + Sync;
    /// A fixed number of bytes, zero at first.
    type Bytes: DerefMut<Target = [u8]> + Send + Sync;
    /// A block device whose file system is frozen; dropping it thaws it.
    type Frozen: Send;
    /// One value on the heap.
    type Boxed<T: Send>: DerefMut<Target = T> + Send;
    /// One value on the heap that has several owners.
    type Shared<T: Send + Sync>: Deref<Target = T> + Clone + Send + Sync;
    /// A value that interrupts and threads take turns at.
    type Lock<T: Send>: Lock<T> + Send + Sync;
    /// A value that threads take turns at.
    type Mutex<T: Send>: Mutex<T> + Send + Sync;
    /// What threads wait for.
    type Event: Event + Send + Sync;
    /// A disk that is open, and not filtered.
    type Opened: Opened<Self>;
    /// A disk that is filtered; dropping it detaches it.
    type Attached: Attached<Self> + Send;
    /// The calling process's memory.
    type User: User;
    /// A file of a file system.
    type File: File;
    /// Memory for captured data.
    type Arena: Arena<Self> + Send + Sync;
    /// The data of a write that has completed.
    type Payload;
    /// Memory of a process that the driver has given to it.
    type Mapping: Mapping + Send;
    /// A file that can be written past its file system.
    type Pinned: Pinned + Send;

    /// Allocates `count` zero words. Fails with [`Errno::NOMEM`].
    fn words(count: usize) -> Result<Self::Words>;
    /// Allocates `count` zero bytes. Fails with [`Errno::NOMEM`].
    fn bytes(count: usize) -> Result<Self::Bytes>;
    /// Puts `value` on the heap. Fails with [`Errno::NOMEM`].
    fn boxed<T: Send>(value: T) -> Result<Self::Boxed<T>>;
    /// Puts `value` on the heap, for several owners. Fails with [`Errno::NOMEM`].
    fn shared<T: Send + Sync>(value: T) -> Result<Self::Shared<T>>;
    /// Puts `value` behind a lock. Fails with [`Errno::NOMEM`].
    fn lock<T: Send>(value: T) -> Result<Self::Lock<T>>;
    /// Puts `value` behind a mutex. Fails with [`Errno::NOMEM`].
    fn mutex<T: Send>(value: T) -> Result<Self::Mutex<T>>;
    /// An event that has not happened. Fails with [`Errno::NOMEM`].
    fn event() -> Result<Self::Event>;
    /// Room for `slabs` slabs of captured data; none of them is there yet. Fails with [`Errno::NOMEM`].
    fn arena(slabs: usize) -> Result<Self::Arena>;
    /// The machine's memory, in bytes.
    fn memory() -> u64;
    /// [`crate::control::work`] is called soon, where it may sleep. From any context.
    fn soon();
    /// Sleeps for less than a millisecond.
    fn pause();
    /// Has every open file that is polled ask anew whether it is ready. From any context.
    fn wake_pollers();
    /// Whether the block device at `path`, which ends with a NUL, is blk-mq. It need not be filtered. Fails as opening it does.
    fn is_blk_mq(path: &[u8]) -> Result<bool>;
    /// Freezes the file system on the block device at `path`, which ends with a NUL. A device without one stays as it is.
    /// Fails as opening or freezing it does.
    fn freeze(path: &[u8]) -> Result<Self::Frozen>;
    /// Filtered disks take no new request until [`Self::release`]. Those that they have taken go on, and are not waited for.
    fn hold();
    /// They do.
    fn release();
    /// [`crate::control::alarm`] is called in so many milliseconds, once; this takes the place of an earlier alarm.
    fn alarm(milliseconds: u32);
    /// Milliseconds of a clock that never goes back.
    fn uptime() -> u64;
    /// Fills `bytes` with random ones.
    fn random(bytes: &mut [u8]);
    /// Makes the directory `path`, which ends with a NUL, and those that it is in. Fails with [`Errno::IO`].
    fn make_directory(path: &[u8]) -> Result<()>;
    /// What all disks share.
    fn common() -> &'static Common;
    /// Wall-clock time since the Unix epoch, in 100 ns.
    fn unix_time() -> u64;
}

/// A value that interrupts and threads take turns at.
pub trait Lock<T> {
    /// Does `work`, which is short and never sleeps, while nobody else has the value. From any context.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

/// A value that threads take turns at. Whoever has it may sleep.
pub trait Mutex<T> {
    /// Does `work` while nobody else has the value. Fails with [`Errno::INTR`] when the caller is killed while it waits for
    /// its turn.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<R>;
    /// Does `work` if nobody has the value.
    fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R>;
    /// The same for a value that nobody has for long: always waits.
    fn with_always<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

/// Why a thread waits no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The event happened.
    Happened,
    /// The time is over.
    TimedOut,
    /// The thread has a signal.
    Interrupted,
}

/// What threads wait for: something that happens again and again.
pub trait Event {
    /// How often it has happened. Wraps.
    fn count(&self) -> u32;
    /// It happens. From any context.
    fn happen(&self);
    /// Waits until it has happened more often than `seen`, or `milliseconds` are over. Signals end the wait.
    fn wait(&self, seen: u32, milliseconds: u32) -> Waited;
}

/// Bytes of a chunk: what a change node takes of the memory for captured data at a time.
pub const CHUNK: usize = 64 << 10;
/// Chunks of a slab: what the driver takes of the kernel's memory at a time.
pub const SLAB_CHUNKS: usize = 64;

/// Memory for captured data, in chunks that are numbered through all slabs. Whoever has a chunk is the only one to write to
/// it or read it; nothing here can be done to a chunk whose slab is not there, or past a chunk's end.
pub trait Arena<P: Platform> {
    /// Takes memory for a slab from the kernel. Fails with [`Errno::NOMEM`].
    fn add(&self, slab: usize) -> Result<()>;
    /// Whether a slab is there.
    fn has(&self, slab: usize) -> bool;
    /// Gives the memory of a slab back, whose chunks nobody has.
    fn remove(&self, slab: usize);
    /// Writes bytes to a chunk.
    fn write(&self, chunk: u32, offset: usize, from: &[u8]);
    /// Reads bytes of a chunk.
    fn read(&self, chunk: u32, offset: usize, to: &mut [u8]);
    /// Writes the payload's next `bytes` bytes to a chunk.
    fn fill(&self, chunk: u32, offset: usize, bytes: usize, from: &mut P::Payload);
    /// Copies bytes of a chunk to an address of the calling process. Fails with [`Errno::FAULT`].
    fn tell(&self, chunk: u32, offset: usize, bytes: usize, to: u64) -> Result<()>;
}

/// Memory of a process that the driver has given to it. Dropping it takes it back, where the process is the calling one.
pub trait Mapping: Sized {
    /// Gives so many bytes to the calling process. Fails with [`Errno::NOMEM`].
    fn new(bytes: u64) -> Result<Self>;
    /// Where it begins.
    fn address(&self) -> u64;
    /// Whether it is the calling process's.
    fn is_here(&self) -> bool;
}

/// A disk that is open, and not filtered.
pub trait Opened<P: Platform>: Sized {
    /// Opens the disk at `path`, which ends with a NUL. Fails as opening it would, or because it cannot be filtered.
    fn open(path: &[u8]) -> Result<Self>;
    /// Size and identity.
    fn geometry(&self) -> Geometry;
    /// From now on every write to the disk is told to `tracker`.
    fn attach(self, tracker: P::Shared<Tracker<P>>) -> Result<P::Attached>;
}

/// A filtered disk.
pub trait Attached<P: Platform> {
    /// What the disk's writes are told to.
    fn tracker(&self) -> &Tracker<P>;
    /// Looks for new ways to the disk (multipath) and another size; tells the tracker of a hole where writes may have been
    /// taken unseen.
    fn refresh(&self);
    /// Returns when every write that was told to the tracker before the call has completed.
    fn settle(&self);
    /// The disk at the moment from which on its writes were told, or, once it is detached, were not told any longer.
    fn seen(&self) -> Sighting;
    /// Returns when all that was written to the disk outlives a power cut. Fails as flushing does.
    fn flush(&self) -> Result<()>;
    /// From now on each write asks the tracker whether it must wait, and what it waits for is done by [`crate::persist::work`],
    /// in a thread of the disk's own. `file` is what that writes. Fails with [`Errno::OPNOTSUPP`] where writes of the disk
    /// cannot be held, and with [`Errno::DEADLK`] where the file is on this very disk.
    fn hold_writes(&self, file: &P::Pinned) -> Result<()>;
    /// Writes that were held go on, if the tracker does not hold them again.
    fn release_writes(&self);
    /// Detaches the disk. Fails with [`Errno::INTR`], the disk still filtered, when the caller is killed meanwhile.
    fn detach(&mut self) -> Result<()>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// One that is there, to read. Numbers as in `glue.h`, `enum inv_mode`.
    Read = 0,
    /// One that is there, to read and write.
    Write = 1,
    /// An empty one, whether it was there or not.
    New = 2,
}

/// An open file. May sleep: by a process or a worker alone, never by what completes I/O.
pub trait File: Sized {
    /// Opens the regular file at `path`, which ends with a NUL. Fails as opening does.
    fn open(path: &[u8], mode: Mode) -> Result<Self>;
    /// Its length.
    fn bytes(&self) -> u64;
    /// Reads all of `to` from offset `at` on. Fails as reading does, and with [`Errno::IO`] where the file is shorter.
    fn read(&mut self, at: u64, to: &mut [u8]) -> Result<()>;
    /// Writes all of `from` to offset `at`. Fails as writing does; a part may then be written.
    fn write(&mut self, at: u64, from: &[u8]) -> Result<()>;
    /// Returns when all that was written outlives a power cut. Fails as that does.
    fn flush(&mut self) -> Result<()>;
}

/// Bytes of a block of a pinned file.
pub const PINNED_BLOCK: usize = 4096;

/// A file whose blocks its file system neither moves nor frees, nor lets anybody change, until this is dropped; they are read and
/// written past it. May sleep.
pub trait Pinned: Sized {
    /// Pins the file at `path`, which ends with a NUL. Fails with [`Errno::OPNOTSUPP`] where its file system cannot promise that.
    fn pin(path: &[u8]) -> Result<Self>;
    /// Whole blocks that it has.
    fn blocks(&self) -> u64;
    /// Reads a block from the disk. Fails as reading does.
    fn read(&mut self, index: u64, to: &mut [u8; PINNED_BLOCK]) -> Result<()>;
    /// Writes a block to the disk. Fails as writing does.
    fn write(&mut self, index: u64, from: &[u8; PINNED_BLOCK]) -> Result<()>;
    /// Returns when all that was written outlives a power cut.
    fn flush(&mut self) -> Result<()>;
    /// The file system's mounts. Fails as reading does.
    fn mounts(&mut self) -> Result<Mounts>;
}

/// How a file system was mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mounts {
    /// How often it was mounted writable, modulo 65536, now included.
    pub count: u16,
    /// When it was checked last, which began the count anew: seconds since the Unix epoch, modulo 2^32.
    pub checked: u32,
    /// Whether it is now.
    pub writable: bool,
}

/// By what it is known that a file system was not mounted writable meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Writable mounts that have ended, modulo 65536.
    pub mounts: u16,
    /// As [`Mounts::checked`].
    pub checked: u32,
}

impl Mounts {
    /// Writable mounts that have ended. The same from a read-only one to the next writable one.
    pub fn ended(self) -> Ended {
        Ended { mounts: self.count.wrapping_sub(self.writable.into()), checked: self.checked }
    }

    /// The same at the next boot, if the file system is mounted writable in this one.
    pub fn will_have_ended(self) -> Ended {
        Ended { mounts: self.count.wrapping_add((!self.writable).into()), checked: self.checked }
    }
}

/// The calling process's memory. Addresses are the process's own and may be anything.
pub trait User {
    /// Copies from `address` into all of `to`. Fails with [`Errno::FAULT`].
    fn read(address: u64, to: &mut [u8]) -> Result<()>;
    /// Copies all of `from` to `address`. Fails with [`Errno::FAULT`].
    fn write(address: u64, from: &[u8]) -> Result<()>;
}
