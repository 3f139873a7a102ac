// SPDX-License-Identifier: GPL-2.0-only
//! The platform of kernels without Rust: `glue/services.c`.

mod memory;
mod runtime;

use crate::bindings;
use crate::data::{self, Given, Payload, Slabs};
use crate::engine::Common;
use crate::entry;
use crate::file::{self, Stored};
use crate::hooks::{check, AttachedDisk, OpenedDisk};
use crate::pin::PinnedFile;
use crate::point::{self, FrozenDevice};
use crate::spin::Spin;
use crate::platform::{Platform, Result, User};
use crate::wait::{Happening, Turns};
use memory::{Boxed, Bytes, Shared, Words};

static COMMON: Common = Common::new();

/// The platform.
pub struct Cglue;

impl Platform for Cglue {
    type Words = Words;
    type Bytes = Bytes;
    type Frozen = FrozenDevice;
    type Boxed<T: Send> = Boxed<T>;
    type Shared<T: Send + Sync> = Shared<T>;
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
        Words::new(count)
    }

    fn bytes(count: usize) -> Result<Bytes> {
        Bytes::new(count)
    }

    fn boxed<T: Send>(value: T) -> Result<Boxed<T>> {
        Boxed::new(value)
    }

    fn shared<T: Send + Sync>(value: T) -> Result<Shared<T>> {
        Shared::new(value)
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
        // SAFETY: has no preconditions.
        unsafe { bindings::inv_unix_time() }
    }
}

/// The calling process.
pub struct Caller;

impl User for Caller {
    fn read(address: u64, to: &mut [u8]) -> Result<()> {
        // SAFETY: `to` is writable for its whole length; the address is checked by the kernel.
        check(unsafe { bindings::inv_copy_from_user(to.as_mut_ptr().cast(), address, to.len()) })
    }

    fn write(address: u64, from: &[u8]) -> Result<()> {
        // SAFETY: `from` is readable for its whole length; the address is checked by the kernel.
        check(unsafe { bindings::inv_copy_to_user(address, from.as_ptr().cast(), from.len()) })
    }
}

/// Makes the registry. 0 or a negative errno.
#[unsafe(no_mangle)]
pub extern "C" fn inv_rs_init() -> i32 {
    // SAFETY: the module is being loaded, and has no character device yet.
    match unsafe { entry::begin() } {
        Ok(()) => 0,
        Err(errno) => -errno.0,
    }
}

/// Every attached disk holds the module, so none is left.
#[unsafe(no_mangle)]
pub extern "C" fn inv_rs_exit() {
    // SAFETY: the module is being unloaded, and has no character device any longer.
    unsafe { entry::end() }
}
