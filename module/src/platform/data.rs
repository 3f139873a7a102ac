// SPDX-License-Identifier: GPL-2.0-only
//! The glue's part in captured data. The same for both kernel platforms.

use crate::bindings;
use crate::hooks::check;
use crate::platform::{Arena, Errno, Mapping, Platform, Result, CHUNK, SLAB_CHUNKS};
use crate::sync::{AtomicU64, Ordering};
use crate::ThisPlatform;
use core::ffi::c_void;
use core::ptr::NonNull;

/// The data of a write that has completed, while its completion is told.
pub struct Payload(pub NonNull<bindings::inv_payload>);

/// Slabs of kernel memory: their addresses, 0 for one that is not there.
pub struct Slabs(pub <ThisPlatform as Platform>::Words);

impl Slabs {
    /// Where in memory `bytes` bytes at `offset` of a chunk are, if they are there.
    fn place(&self, chunk: u32, offset: usize, bytes: usize) -> Option<*mut c_void> {
        let slab = self.0.get(chunk as usize / SLAB_CHUNKS)?.load(Ordering::Acquire) as usize;
        let is_inside = offset.checked_add(bytes).is_some_and(|end| end <= CHUNK);
        (slab != 0 && is_inside).then(|| (slab + chunk as usize % SLAB_CHUNKS * CHUNK + offset) as *mut c_void)
    }

    fn slab(&self, slab: usize) -> Option<&AtomicU64> {
        self.0.get(slab)
    }
}

impl Drop for Slabs {
    fn drop(&mut self) {
        (0..self.0.len()).for_each(|slab| self.remove(slab));
    }
}

impl Arena<ThisPlatform> for Slabs {
    fn add(&self, slab: usize) -> Result<()> {
        let place = self.slab(slab).ok_or(Errno::NOMEM)?;
        // SAFETY: has no preconditions.
        let memory = NonNull::new(unsafe { bindings::inv_slab_new(SLAB_CHUNKS * CHUNK) }).ok_or(Errno::NOMEM)?;
        place.store(memory.as_ptr() as u64, Ordering::Release);
        Ok(())
    }

    fn has(&self, slab: usize) -> bool {
        self.slab(slab).is_some_and(|place| place.load(Ordering::Relaxed) != 0)
    }

    fn remove(&self, slab: usize) {
        let memory = self.slab(slab).map_or(0, |place| place.swap(0, Ordering::Relaxed));
        // SAFETY: it came from `inv_slab_new`, or is NULL, and is nobody's now: each of its chunks was free.
        unsafe { bindings::inv_slab_free(memory as *mut c_void) };
    }

    #[inline]
    fn write(&self, chunk: u32, offset: usize, from: &[u8]) {
        if let Some(place) = self.place(chunk, offset, from.len()) {
            // SAFETY: the slab has so many bytes there, which belong to whoever has the chunk.
            unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), place.cast(), from.len()) };
        }
    }

    fn read(&self, chunk: u32, offset: usize, to: &mut [u8]) {
        if let Some(place) = self.place(chunk, offset, to.len()) {
            // SAFETY: as in `write`.
            unsafe { core::ptr::copy_nonoverlapping(place.cast(), to.as_mut_ptr(), to.len()) };
        }
    }

    #[inline]
    fn fill(&self, chunk: u32, offset: usize, bytes: usize, from: &mut Payload) {
        if let Some(place) = self.place(chunk, offset, bytes) {
            // SAFETY: as in `write`; the payload is there while its completion is told.
            unsafe { bindings::inv_payload_copy(from.0.as_ptr(), place, bytes) };
        }
    }

    fn tell(&self, chunk: u32, offset: usize, bytes: usize, to: u64) -> Result<()> {
        let place = self.place(chunk, offset, bytes).ok_or(Errno::FAULT)?;
        // SAFETY: the slab has so many bytes there; the address is checked by the kernel.
        check(unsafe { bindings::inv_tell(to, place, bytes) })
    }
}

/// Memory of a process that the glue has given to it.
pub struct Given(NonNull<bindings::inv_mapping>);

// SAFETY: the glue asks which process calls, and ties nothing to a thread.
unsafe impl Send for Given {}

impl Mapping for Given {
    fn new(bytes: u64) -> Result<Self> {
        let mut mapping = core::ptr::null_mut();
        // SAFETY: the place to write to outlives the call, which is a process's own.
        check(unsafe { bindings::inv_mapping_new(bytes as usize, &mut mapping) })?;
        NonNull::new(mapping).map(Given).ok_or(Errno::NOMEM)
    }

    fn address(&self) -> u64 {
        // SAFETY: the mapping is there until it is dropped.
        unsafe { bindings::inv_mapping_address(self.0.as_ptr()) }
    }

    fn is_here(&self) -> bool {
        // SAFETY: as above.
        unsafe { bindings::inv_mapping_is_here(self.0.as_ptr()) != 0 }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // SAFETY: this is its only owner.
        unsafe { bindings::inv_mapping_free(self.0.as_ptr()) }
    }
}

/// The machine's memory, in bytes.
pub fn memory() -> u64 {
    // SAFETY: has no preconditions.
    unsafe { bindings::inv_memory() }
}

/// [`crate::entry::inv_rs_work`] is called soon.
pub fn soon() {
    // SAFETY: has no preconditions.
    unsafe { bindings::inv_soon() }
}

/// Sleeps for less than a millisecond.
pub fn pause() {
    // SAFETY: whoever calls this may sleep.
    unsafe { bindings::inv_pause() }
}
