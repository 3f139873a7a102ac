// SPDX-License-Identifier: GPL-2.0-only
//! The platform of kernels with Rust: the kernel's own crate.

use crate::bindings;
use crate::data::{self, Given, Payload, Slabs};
use crate::engine::Common;
use crate::entry;
use crate::file::{self, Stored};
use crate::hooks::{AttachedDisk, OpenedDisk};
use crate::pin::PinnedFile;
use crate::point::{self, FrozenDevice};
use crate::spin::Spin;
use crate::platform::{Errno, Platform, Result, User};
use crate::wait::{Happening, Turns};
use core::ops::{Deref, DerefMut};
use crate::sync::AtomicU64;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::time::{ClockSource, RealTime};
use kernel::uaccess::{UserPtr, UserSlice};

module! {
    type: Involflt,
    name: "involflt",
    authors: ["The involflt authors"],
    description: "Tracks every change made to a disk",
    license: "GPL v2",
}

/// The module while it is loaded.
struct Involflt;

impl kernel::Module for Involflt {
    fn init(_module: &'static ThisModule) -> kernel::error::Result<Self> {
        // SAFETY: the module is being loaded, and has no character device yet.
        unsafe { entry::begin() }.map_err(|_| ENOMEM)?;
        // SAFETY: called once; what it registers is taken back in `drop`.
        if let Err(error) = kernel::error::to_result(unsafe { bindings::inv_chardev_add() }) {
            // SAFETY: there is no character device.
            unsafe { entry::end() };
            return Err(error);
        }
        Ok(Involflt)
    }
}

impl Drop for Involflt {
    fn drop(&mut self) {
        // SAFETY: `init` registered it, and every attached disk holds the module, so none is left.
        unsafe {
            bindings::inv_chardev_del();
            bindings::inv_alarm_stop();
            bindings::inv_soon_stop();
            entry::end();
            bindings::inv_device_drain_frees();
        }
    }
}

static COMMON: Common = Common::new();

/// The platform.
pub struct Rfl;

impl Platform for Rfl {
    type Words = Words;
    type Bytes = Bytes;
    type Frozen = FrozenDevice;
    type Boxed<T: Send> = KBox<T>;
    type Shared<T: Send + Sync> = Arc<T>;
    type Lock<T: Send> = Spin<T>;
    type Mutex<T: Send> = Turns<T>;
    type Event = Happening;
    type Opened = OpenedDisk;
    type Attached = AttachedDisk;
    type User = Caller;
    type File = Stored;
    type Pinned = PinnedFile;
    type Arena = Slabs;
    type Payload = Payload;
    type Mapping = Given;

    fn arena(slabs: usize) -> Result<Slabs> {
        Self::words(slabs).map(Slabs)
    }

    fn memory() -> u64 {
        data::memory()
    }

    fn soon() {
        data::soon();
    }

    fn pause() {
        data::pause();
    }

    fn words(count: usize) -> Result<Words> {
        let mut words = KVVec::with_capacity(count, GFP_KERNEL).map_err(|_| Errno::NOMEM)?;
        for _ in 0..count {
            words.push(AtomicU64::new(0), GFP_KERNEL).map_err(|_| Errno::NOMEM)?;
        }
        Ok(Words(words))
    }

    fn bytes(count: usize) -> Result<Bytes> {
        let mut bytes = KVVec::with_capacity(count, GFP_KERNEL).map_err(|_| Errno::NOMEM)?;
        bytes.extend_with(count, 0, GFP_KERNEL).map_err(|_| Errno::NOMEM)?;
        Ok(Bytes(bytes))
    }

    fn boxed<T: Send>(value: T) -> Result<KBox<T>> {
        KBox::new(value, GFP_KERNEL).map_err(|_| Errno::NOMEM)
    }

    fn shared<T: Send + Sync>(value: T) -> Result<Arc<T>> {
        Arc::new(value, GFP_KERNEL).map_err(|_| Errno::NOMEM)
    }

    fn lock<T: Send>(value: T) -> Result<Spin<T>> {
        Spin::new(value)
    }

    fn mutex<T: Send>(value: T) -> Result<Turns<T>> {
        Turns::new(value)
    }

    fn event() -> Result<Happening> {
        Happening::new()
    }

    fn wake_pollers() {
        // SAFETY: has no preconditions.
        unsafe { bindings::inv_wake_pollers() }
    }

    fn is_blk_mq(path: &[u8]) -> Result<bool> {
        point::is_blk_mq(path)
    }

    fn freeze(path: &[u8]) -> Result<FrozenDevice> {
        FrozenDevice::new(path)
    }

    fn hold() {
        point::hold();
    }

    fn release() {
        point::release();
    }

    fn alarm(milliseconds: u32) {
        point::alarm(milliseconds);
    }

    fn uptime() -> u64 {
        point::uptime()
    }

    fn random(bytes: &mut [u8]) {
        file::random(bytes);
    }

    fn make_directory(path: &[u8]) -> Result<()> {
        file::make_directory(path)
    }

    fn common() -> &'static Common {
        &COMMON
    }

    fn unix_time() -> u64 {
        RealTime::ktime_get() as u64 / 100
    }
}

/// A fixed number of words.
pub struct Words(KVVec<AtomicU64>);

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

/// A fixed number of bytes.
pub struct Bytes(KVVec<u8>);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The calling process.
pub struct Caller;

impl Caller {
    fn slice(address: u64, length: usize) -> UserSlice {
        UserSlice::new(UserPtr::from_addr(address as usize), length)
    }
}

impl User for Caller {
    fn read(address: u64, to: &mut [u8]) -> Result<()> {
        Self::slice(address, to.len()).reader().read_slice(to).map_err(|_| Errno::FAULT)
    }

    fn write(address: u64, from: &[u8]) -> Result<()> {
        Self::slice(address, from.len()).writer().write_slice(from).map_err(|_| Errno::FAULT)
    }
}
