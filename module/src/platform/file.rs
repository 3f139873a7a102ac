// SPDX-License-Identifier: GPL-2.0-only
//! Files by way of the glue. The same for both kernel platforms.

use crate::bindings;
use crate::hooks::check;
use crate::platform::{Errno, File, Mode, Result};
use core::ptr::NonNull;

/// An open file; dropping it closes it.
pub struct Stored(NonNull<bindings::inv_stored>);

impl File for Stored {
    fn open(path: &[u8], mode: Mode) -> Result<Self> {
        ends(path)?;
        let mut file = core::ptr::null_mut();
        // SAFETY: `path` ends with a NUL, and the place to write to outlives the call.
        check(unsafe { bindings::inv_stored_open(path.as_ptr().cast(), mode as u32, &mut file) })?;
        NonNull::new(file).map(Stored).ok_or(Errno::NOENT)
    }

    fn bytes(&self) -> u64 {
        // SAFETY: the file is open.
        unsafe { bindings::inv_stored_bytes(self.0.as_ptr()) }
    }

    fn read(&mut self, at: u64, to: &mut [u8]) -> Result<()> {
        // SAFETY: the file is open, and `to` is writable for its whole length.
        check(unsafe { bindings::inv_stored_read(self.0.as_ptr(), at, to.as_mut_ptr().cast(), to.len()) })
    }

    fn write(&mut self, at: u64, from: &[u8]) -> Result<()> {
        // SAFETY: the file is open, and `from` is readable for its whole length.
        check(unsafe { bindings::inv_stored_write(self.0.as_ptr(), at, from.as_ptr().cast(), from.len()) })
    }

    fn flush(&mut self) -> Result<()> {
        // SAFETY: the file is open.
        check(unsafe { bindings::inv_stored_flush(self.0.as_ptr()) })
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // SAFETY: the file is open, and this is its only owner.
        unsafe { bindings::inv_stored_close(self.0.as_ptr()) }
    }
}

/// Makes a directory, and those that it is in.
pub fn make_directory(path: &[u8]) -> Result<()> {
    ends(path)?;
    // SAFETY: `path` ends with a NUL.
    check(unsafe { bindings::inv_make_directory(path.as_ptr().cast()) })
}

/// Fills `bytes` with random ones.
pub fn random(bytes: &mut [u8]) {
    // SAFETY: `bytes` is writable for its whole length.
    unsafe { bindings::inv_random(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// Whether a path ends with a NUL.
fn ends(path: &[u8]) -> Result<()> {
    (path.last() == Some(&0)).then_some(()).ok_or(Errno::INVAL)
}
