// SPDX-License-Identifier: GPL-2.0-only
//! The glue's pinned files. The same for both kernel platforms.

use crate::bindings;
use crate::hooks::check;
use crate::platform::{Errno, Mounts, Pinned, Result, PINNED_BLOCK};
use core::ptr::NonNull;

/// A pinned file; dropping it lets it go.
pub struct PinnedFile(NonNull<bindings::inv_pinned>);

// SAFETY: the glue ties nothing of a pinned file to the thread that pinned it.
unsafe impl Send for PinnedFile {}

impl PinnedFile {
    /// The glue's.
    pub fn as_ptr(&self) -> *const bindings::inv_pinned {
        self.0.as_ptr()
    }
}

impl Pinned for PinnedFile {
    fn pin(path: &[u8]) -> Result<Self> {
        if path.last() != Some(&0) {
            return Err(Errno::INVAL);
        }
        let mut pinned = core::ptr::null_mut();
        // SAFETY: `path` ends with a NUL, and the place to write to outlives the call.
        check(unsafe { bindings::inv_pin(path.as_ptr().cast(), &mut pinned) })?;
        NonNull::new(pinned).map(PinnedFile).ok_or(Errno::OPNOTSUPP)
    }

    fn blocks(&self) -> u64 {
        // SAFETY: the file is pinned.
        unsafe { bindings::inv_pinned_blocks(self.0.as_ptr()) }
    }

    fn read(&mut self, index: u64, to: &mut [u8; PINNED_BLOCK]) -> Result<()> {
        // SAFETY: the file is pinned, and `to` is writable for a whole block.
        check(unsafe { bindings::inv_pinned_read(self.0.as_ptr(), index, to.as_mut_ptr().cast()) })
    }

    fn write(&mut self, index: u64, from: &[u8; PINNED_BLOCK]) -> Result<()> {
        // SAFETY: the file is pinned, and `from` is readable for a whole block.
        check(unsafe { bindings::inv_pinned_write(self.0.as_ptr(), index, from.as_ptr().cast()) })
    }

    fn flush(&mut self) -> Result<()> {
        // SAFETY: the file is pinned.
        check(unsafe { bindings::inv_pinned_flush(self.0.as_ptr()) })
    }

    fn mounts(&mut self) -> Result<Mounts> {
        let (mut count, mut writable) = (0, 0);
        // SAFETY: the file is pinned, and both places to write to outlive the call.
        check(unsafe { bindings::inv_pinned_mounts(self.0.as_ptr(), &mut count, &mut writable) })?;
        Ok(Mounts { count: count as u16, checked: (count >> 16) as u32, writable: writable != 0 })
    }
}

impl Drop for PinnedFile {
    fn drop(&mut self) {
        // SAFETY: the file is pinned, and this is its only owner.
        unsafe { bindings::inv_unpin(self.0.as_ptr()) }
    }
}
