// SPDX-License-Identifier: GPL-2.0-only
//! Owned memory from the glue's allocator.

use crate::bindings;
use crate::platform::{Errno, Result};
use crate::sync::AtomicU64;
use core::mem::{align_of, size_of};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{fence, AtomicUsize, Ordering};

/// At least one byte, so that no size needs a case of its own. The allocator aligns to 8 bytes and more.
fn allocate(bytes: usize) -> Result<NonNull<u8>> {
    // SAFETY: has no preconditions.
    NonNull::new(unsafe { bindings::inv_alloc_zeroed(bytes.max(1)) }.cast()).ok_or(Errno::NOMEM)
}

/// A fixed number of words.
pub struct Words {
    memory: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the memory is owned, and atomics may be used from any thread.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    pub fn new(count: usize) -> Result<Self> {
        let bytes = count.checked_mul(size_of::<AtomicU64>()).ok_or(Errno::NOMEM)?;
        Ok(Words { memory: allocate(bytes)?.cast(), count })
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the allocation has `count` words, zero at first, and zero is a valid atomic.
        unsafe { core::slice::from_raw_parts(self.memory.as_ptr(), self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the memory came from the glue's allocator and has no other owner.
        unsafe { bindings::inv_free(self.memory.as_ptr().cast()) }
    }
}

/// A fixed number of bytes.
pub struct Bytes {
    memory: NonNull<u8>,
    count: usize,
}

// SAFETY: the memory is owned, and tied to no thread.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

impl Bytes {
    pub fn new(count: usize) -> Result<Self> {
        Ok(Bytes { memory: allocate(count)?, count })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the allocation has `count` bytes, zero at first.
        unsafe { core::slice::from_raw_parts(self.memory.as_ptr(), self.count) }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `self` is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.memory.as_ptr(), self.count) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: the memory came from the glue's allocator and has no other owner.
        unsafe { bindings::inv_free(self.memory.as_ptr().cast()) }
    }
}

/// One value.
pub struct Boxed<T>(NonNull<T>);

// SAFETY: the value is owned, and the memory is tied to no thread.
unsafe impl<T: Send> Send for Boxed<T> {}

impl<T> Boxed<T> {
    pub fn new(value: T) -> Result<Self> {
        const { assert!(align_of::<T>() <= 8, "the allocator promises no more") };
        let memory = allocate(size_of::<T>())?.cast::<T>();
        // SAFETY: the allocation is large enough, aligned, and owned.
        unsafe { memory.as_ptr().write(value) };
        Ok(Boxed(memory))
    }
}

impl<T> Deref for Boxed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value was written in `new` and is owned.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Boxed<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `self` is borrowed alone.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Boxed<T> {
    fn drop(&mut self) {
        // SAFETY: the value is owned and is dropped once; then its memory goes back to where it came from.
        unsafe {
            self.0.as_ptr().drop_in_place();
            bindings::inv_free(self.0.as_ptr().cast());
        }
    }
}

struct Counted<T> {
    owners: AtomicUsize,
    value: T,
}

/// One value that has several owners.
pub struct Shared<T>(NonNull<Counted<T>>);

// SAFETY: any owner may use the value, and the last one drops it, on whatever thread.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub fn new(value: T) -> Result<Self> {
        const { assert!(align_of::<Counted<T>>() <= 8, "the allocator promises no more") };
        let memory = allocate(size_of::<Counted<T>>())?.cast::<Counted<T>>();
        // SAFETY: the allocation is large enough, aligned, and owned.
        unsafe { memory.as_ptr().write(Counted { owners: AtomicUsize::new(1), value }) };
        Ok(Shared(memory))
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: the value was written in `new`, and an owner keeps it.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // There is memory for fewer owners than the number holds: each is at least the pointer to it.
        self.counted().owners.fetch_add(1, Ordering::Relaxed);
        Shared(self.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.counted().owners.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        // SAFETY: this was the last owner; the value is dropped once, then its memory goes back to where it came from.
        unsafe {
            self.0.as_ptr().drop_in_place();
            bindings::inv_free(self.0.as_ptr().cast());
        }
    }
}
