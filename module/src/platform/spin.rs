// SPDX-License-Identifier: GPL-2.0-only
//! A value behind the glue's spin lock. The same for both kernel platforms.

use crate::bindings;
use crate::platform::{Errno, Lock, Result};
use core::cell::UnsafeCell;
use core::ptr::NonNull;

/// A value that one holder at a time has, with interrupts off.
pub struct Spin<T> {
    raw: NonNull<bindings::inv_spin>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock is tied to no thread, and the value may go to another one.
unsafe impl<T: Send> Send for Spin<T> {}
// SAFETY: the value is reached through `with` alone, by one holder at a time.
unsafe impl<T: Send> Sync for Spin<T> {}

impl<T> Spin<T> {
    /// Puts `value` behind a new lock. Fails with [`Errno::NOMEM`].
    pub fn new(value: T) -> Result<Self> {
        // SAFETY: has no preconditions.
        let raw = NonNull::new(unsafe { bindings::inv_spin_new() }).ok_or(Errno::NOMEM)?;
        Ok(Spin { raw, value: UnsafeCell::new(value) })
    }
}

impl<T> Lock<T> for Spin<T> {
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the lock lives as long as `self`. `work` cannot reach the same lock again: nothing in it has a tracker.
        let flags = unsafe { bindings::inv_spin_lock(self.raw.as_ptr()) };
        // SAFETY: the lock makes this the only reference.
        let result = work(unsafe { &mut *self.value.get() });
        // SAFETY: the lock is held, and the flags are its own.
        unsafe { bindings::inv_spin_unlock(self.raw.as_ptr(), flags) };
        result
    }
}

impl<T> Drop for Spin<T> {
    fn drop(&mut self) {
        // SAFETY: nobody holds a lock that is dropped, and it is freed once.
        unsafe { bindings::inv_spin_free(self.raw.as_ptr()) }
    }
}
