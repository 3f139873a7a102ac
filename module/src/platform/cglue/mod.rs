// SPDX-License-Identifier: GPL-2.0-only
//! The platform of kernels without Rust: `glue/services.c`.

mod memory;
mod runtime;

use crate::bindings;
use crate::control::File;
use crate::engine::{Common, Registry};
use crate::hooks::{check, AttachedDisk, OpenedDisk};
use crate::spin::Spin;
use crate::platform::{Platform, Result, User};
use core::cell::UnsafeCell;
use memory::{Boxed, Words};

static COMMON: Common = Common::new();

/// The platform.
pub struct Cglue;

impl Platform for Cglue {
    type Words = Words;
    type Boxed<T> = Boxed<T>;
    type Lock<T: Send> = Spin<T>;
    type Opened = OpenedDisk;
    type Attached = AttachedDisk;
    type User = Caller;

    fn words(count: usize) -> Result<Words> {
        Words::new(count)
    }

    fn boxed<T>(value: T) -> Result<Boxed<T>> {
        Boxed::new(value)
    }

    fn lock<T: Send>(value: T) -> Result<Spin<T>> {
        Spin::new(value)
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

/// The registry, behind the glue's mutex.
struct Global(UnsafeCell<Registry<Cglue>>);

// SAFETY: the cell is reached through `with_registry` alone, which holds the glue's mutex.
unsafe impl Sync for Global {}

static REGISTRY: Global = Global(UnsafeCell::new(Registry::new()));

fn with_registry<R>(work: impl FnOnce(&mut Registry<Cglue>) -> R) -> R {
    // SAFETY: the mutex is never held here already: `work` cannot reach this function.
    unsafe { bindings::inv_lock() };
    // SAFETY: the mutex makes this the only reference.
    let result = work(unsafe { &mut *REGISTRY.0.get() });
    // SAFETY: the mutex is held, by this thread.
    unsafe { bindings::inv_unlock() };
    result
}

/// One ioctl.
///
/// # Safety
/// `file` points to the open file's own state, which lives as long as the file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_ioctl(file: *mut File, word: u32, argument: u64) -> core::ffi::c_long {
    let result = with_registry(|registry| {
        // SAFETY: the state is there by the caller's word, and the registry's mutex keeps other threads from it.
        crate::control::ioctl(registry, unsafe { &mut *file }, word, argument)
    });
    match result {
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
    // SAFETY: the state is there by the caller's word, and nobody uses a file that is closed.
    with_registry(|registry| crate::control::release(registry, unsafe { &*file }));
}

/// Nothing to make ready.
#[unsafe(no_mangle)]
pub extern "C" fn inv_rs_init() -> i32 {
    0
}

/// Every attached disk holds the module, so none is left.
#[unsafe(no_mangle)]
pub extern "C" fn inv_rs_exit() {}
