// SPDX-License-Identifier: GPL-2.0-only
//! The platform of kernels with Rust: the kernel's own crate.

use crate::bindings;
use crate::control::File;
use crate::engine::{Common, Registry};
use crate::hooks::{AttachedDisk, OpenedDisk};
use crate::spin::Spin;
use crate::platform::{Errno, Platform, Result, User};
use core::ops::Deref;
use core::sync::atomic::AtomicU64;
use kernel::prelude::*;
use kernel::time::{ClockSource, RealTime};
use kernel::uaccess::{UserPtr, UserSlice};

module! {
    type: Involflt,
    name: "involflt",
    authors: ["The involflt authors"],
    description: "Tracks every change made to a disk",
    license: "GPL v2",
}

kernel::sync::global_lock! {
    // SAFETY: initialised in `Involflt::init`, before the character device exists.
    unsafe(uninit) static REGISTRY: Mutex<Registry<Rfl>> = Registry::new();
}

/// The module while it is loaded.
struct Involflt;

impl kernel::Module for Involflt {
    fn init(_module: &'static ThisModule) -> kernel::error::Result<Self> {
        // SAFETY: called once, and nothing has used the lock yet.
        unsafe { REGISTRY.init() };
        // SAFETY: called once; what it registers is taken back in `drop`.
        kernel::error::to_result(unsafe { bindings::inv_chardev_add() })?;
        Ok(Involflt)
    }
}

impl Drop for Involflt {
    fn drop(&mut self) {
        // SAFETY: `init` registered it, and every attached disk holds the module, so none is left.
        unsafe {
            bindings::inv_chardev_del();
            bindings::inv_device_drain_frees();
        }
    }
}

static COMMON: Common = Common::new();

/// The platform.
pub struct Rfl;

impl Platform for Rfl {
    type Words = Words;
    type Boxed<T> = KBox<T>;
    type Lock<T: Send> = Spin<T>;
    type Opened = OpenedDisk;
    type Attached = AttachedDisk;
    type User = Caller;

    fn words(count: usize) -> Result<Words> {
        let mut words = KVVec::with_capacity(count, GFP_KERNEL).map_err(|_| Errno::NOMEM)?;
        for _ in 0..count {
            words.push(AtomicU64::new(0), GFP_KERNEL).map_err(|_| Errno::NOMEM)?;
        }
        Ok(Words(words))
    }

    fn boxed<T>(value: T) -> Result<KBox<T>> {
        KBox::new(value, GFP_KERNEL).map_err(|_| Errno::NOMEM)
    }

    fn lock<T: Send>(value: T) -> Result<Spin<T>> {
        Spin::new(value)
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

/// One ioctl.
///
/// # Safety
/// `file` points to the open file's own state, which lives as long as the file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_ioctl(file: *mut File, word: u32, argument: u64) -> core::ffi::c_long {
    let mut registry = REGISTRY.lock();
    // SAFETY: the state is there by the caller's word, and the registry's mutex keeps other threads from it.
    match crate::control::ioctl(&mut *registry, unsafe { &mut *file }, word, argument) {
        Ok(()) => 0,
        Err(errno) => -core::ffi::c_long::from(errno.0),
    }
}

/// An open file is closed.
///
/// # Safety
/// As for [`inv_rs_ioctl`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_release(file: *mut File) {
    let mut registry = REGISTRY.lock();
    // SAFETY: the state is there by the caller's word, and nobody uses a file that is closed.
    crate::control::release(&mut *registry, unsafe { &*file });
}
