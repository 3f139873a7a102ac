// SPDX-License-Identifier: GPL-2.0-only
//! Where the character device comes in. The same for both kernel platforms.

use crate::bindings;
use crate::control::{self, File};
use crate::engine::Registry;
use crate::hooks::check;
use crate::platform::{Platform, Result};
use crate::ThisPlatform;
use core::cell::UnsafeCell;

/// The registry, while the module is loaded.
struct Global(UnsafeCell<Option<Registry<ThisPlatform>>>);

// SAFETY: the registry itself may be used by any thread; the cell is written by `begin` and `end` alone, when there is no
// character device and so nobody else.
unsafe impl Sync for Global where Registry<ThisPlatform>: Sync {}

static REGISTRY: Global = Global(UnsafeCell::new(None));

/// Makes the registry, and takes over what the driver has kept, where the root file system is there.
///
/// # Safety
/// There is no character device.
pub unsafe fn begin() -> Result<()> {
    // SAFETY: module parameters are set before the module begins.
    if unsafe { bindings::inv_is_before_root() } != 0 {
        ThisPlatform::common().begin_before_root();
    } else {
        crate::persist::common::load::<ThisPlatform>();
    }
    // SAFETY: by the caller's word nobody else is here.
    unsafe { make_registry() }
}

/// Not inlined: a registry is large for a kernel stack, on which nothing else should come beside it.
///
/// # Safety
/// As for [`begin`].
#[inline(never)]
unsafe fn make_registry() -> Result<()> {
    let registry = Registry::new()?;
    // SAFETY: by the caller's word nobody else is here.
    unsafe { *REGISTRY.0.get() = Some(registry) };
    // SAFETY: called once; it is taken back in `end`.
    check(unsafe { bindings::inv_watch_stop() })
}

/// Drops it.
///
/// # Safety
/// There is no character device any longer, no alarm and no work.
pub unsafe fn end() {
    // SAFETY: `begin` has begun it.
    unsafe { bindings::inv_unwatch_stop() };
    // SAFETY: nobody writes to the cell before this is done.
    #[cfg(feature = "telemetry")]
    unsafe { registry() }.inspect(|registry| registry.telemetry.flush());
    // SAFETY: by the caller's word nobody else is here.
    unsafe { *REGISTRY.0.get() = None };
}

/// # Safety
/// There is a character device, an alarm or work, or nobody else is here.
unsafe fn registry() -> Option<&'static Registry<ThisPlatform>> {
    // SAFETY: by the caller's word nobody writes to the cell.
    unsafe { (*REGISTRY.0.get()).as_ref() }
}

/// One ioctl.
///
/// # Safety
/// `file` points to the open file's own state, which lives as long as the file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_ioctl(file: *mut File, word: u32, argument: u64) -> core::ffi::c_long {
    // SAFETY: an open file keeps the character device; its state is there by the caller's word, and has atomics only.
    let (registry, file) = unsafe { (registry(), &*file) };
    let Some(registry) = registry else { return 0 };
    match control::ioctl(registry, file, word, argument) {
        Ok(answer) => answer.into(),
        Err(errno) => -core::ffi::c_long::from(errno.0),
    }
}

/// An open file is polled.
///
/// # Safety
/// As for [`inv_rs_ioctl`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_poll(file: *mut File) -> i32 {
    // SAFETY: as in `inv_rs_ioctl`.
    let (registry, file) = unsafe { (registry(), &*file) };
    registry.map_or(0, |registry| control::poll(registry, file) as i32)
}

/// The time of a consistency point is over.
#[unsafe(no_mangle)]
pub extern "C" fn inv_rs_alarm() {
    // SAFETY: the glue's alarm is stopped before the registry is dropped.
    if let Some(registry) = unsafe { registry() } {
        control::alarm(registry);
    }
}

/// Somebody asked for work that it could not do itself.
#[unsafe(no_mangle)]
pub extern "C" fn inv_rs_work() {
    // SAFETY: the glue's work is stopped before the registry is dropped.
    if let Some(registry) = unsafe { registry() } {
        control::work(registry);
    }
}

/// The machine is about to be halted, switched off or started again.
#[unsafe(no_mangle)]
pub extern "C" fn inv_rs_machine_stops() {
    // SAFETY: the glue watches for it only while there is a registry.
    if let Some(registry) = unsafe { registry() } {
        registry.machine_stops();
    }
}

/// The machine goes on after its memory was written to a disk.
#[unsafe(no_mangle)]
pub extern "C" fn inv_rs_machine_woke() {
    // SAFETY: the glue watches for it only while there is a registry.
    if let Some(registry) = unsafe { registry() } {
        registry.machine_woke();
    }
}

/// An open file is closed.
///
/// # Safety
/// As for [`inv_rs_ioctl`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_release(file: *mut File) {
    // SAFETY: as in `inv_rs_ioctl`.
    let (registry, file) = unsafe { (registry(), &*file) };
    if let Some(registry) = registry {
        control::release(registry, file);
    }
}
