// SPDX-License-Identifier: GPL-2.0-only
//! The glue's part in consistency points. The same for both kernel platforms.

use crate::bindings;
use crate::hooks::check;
use crate::platform::{Errno, Result};
use core::ptr::NonNull;

/// A block device whose file system is frozen; dropping it thaws it.
pub struct FrozenDevice(NonNull<bindings::inv_frozen>);

// SAFETY: the glue ties nothing of it to the thread that froze it.
unsafe impl Send for FrozenDevice {}

impl FrozenDevice {
    /// Freezes the block device at `path`, which ends with a NUL. Fails as opening or freezing it does.
    pub fn new(path: &[u8]) -> Result<Self> {
        if path.last() != Some(&0) {
            return Err(Errno::INVAL);
        }
        let mut frozen = core::ptr::null_mut();
        // SAFETY: `path` ends with a NUL, and the place to write to outlives the call.
        check(unsafe { bindings::inv_frozen_new(path.as_ptr().cast(), &mut frozen) })?;
        NonNull::new(frozen).map(FrozenDevice).ok_or(Errno::NODEV)
    }
}

impl Drop for FrozenDevice {
    fn drop(&mut self) {
        // SAFETY: it is frozen, and this is its only owner.
        unsafe { bindings::inv_frozen_free(self.0.as_ptr()) }
    }
}

/// Whether the block device at `path`, which ends with a NUL, is blk-mq. Fails as opening it does.
pub fn is_blk_mq(path: &[u8]) -> Result<bool> {
    if path.last() != Some(&0) {
        return Err(Errno::INVAL);
    }
    // SAFETY: `path` ends with a NUL.
    match unsafe { bindings::inv_is_blk_mq(path.as_ptr().cast()) } {
        answer @ ..=-1 => Err(Errno(-answer)),
        answer => Ok(answer != 0),
    }
}

/// Filtered disks take no new request.
pub fn hold() {
    // SAFETY: has no preconditions.
    unsafe { bindings::inv_hold() }
}

/// They do.
pub fn release() {
    // SAFETY: has no preconditions.
    unsafe { bindings::inv_let_go() }
}

/// [`crate::entry::inv_rs_alarm`] is called in so many milliseconds.
pub fn alarm(milliseconds: u32) {
    // SAFETY: has no preconditions.
    unsafe { bindings::inv_alarm(milliseconds) }
}

/// Milliseconds of a clock that never goes back.
pub fn uptime() -> u64 {
    // SAFETY: has no preconditions.
    unsafe { bindings::inv_uptime() }
}
