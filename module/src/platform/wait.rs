// SPDX-License-Identifier: GPL-2.0-only
//! The glue's mutex and event. The same for both kernel platforms.

use crate::bindings;
use crate::platform::{Errno, Event, Mutex, Result, Waited};
use core::cell::UnsafeCell;
use core::ptr::NonNull;

/// A value that one thread at a time has.
pub struct Turns<T> {
    raw: NonNull<bindings::inv_mutex>,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex is tied to no thread while nobody holds it, and the value may go to another one.
unsafe impl<T: Send> Send for Turns<T> {}
// SAFETY: the value is reached through the mutex alone, by one holder at a time.
unsafe impl<T: Send> Sync for Turns<T> {}

impl<T> Turns<T> {
    /// Puts `value` behind a new mutex. Fails with [`Errno::NOMEM`].
    pub fn new(value: T) -> Result<Self> {
        // SAFETY: has no preconditions.
        let raw = NonNull::new(unsafe { bindings::inv_mutex_new() }).ok_or(Errno::NOMEM)?;
        Ok(Turns { raw, value: UnsafeCell::new(value) })
    }

    fn locked<R>(&self, killable: bool, work: impl FnOnce(&mut T) -> R) -> Result<R> {
        // SAFETY: the mutex lives as long as `self`.
        if unsafe { bindings::inv_mutex_lock(self.raw.as_ptr(), killable.into()) } != 0 {
            return Err(Errno::INTR);
        }
        Ok(self.held(work))
    }

    /// Does `work` with the mutex taken by this thread, and gives it back.
    fn held<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the mutex makes this the only reference; a thread that took it twice would have stopped there.
        let result = work(unsafe { &mut *self.value.get() });
        // SAFETY: the mutex is held, by this thread.
        unsafe { bindings::inv_mutex_unlock(self.raw.as_ptr()) };
        result
    }
}

impl<T> Mutex<T> for Turns<T> {
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<R> {
        self.locked(true, work)
    }

    fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        // SAFETY: the mutex lives as long as `self`.
        (unsafe { bindings::inv_mutex_try(self.raw.as_ptr()) } == 1).then(|| self.held(work))
    }

    fn with_always<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        match self.locked(false, work) {
            Ok(result) => result,
            Err(_) => unreachable!("a lock that is not killable is always taken"),
        }
    }
}

impl<T> Drop for Turns<T> {
    fn drop(&mut self) {
        // SAFETY: nobody holds a mutex that is dropped, and it is freed once.
        unsafe { bindings::inv_mutex_free(self.raw.as_ptr()) }
    }
}

/// Something that happens again and again.
pub struct Happening(NonNull<bindings::inv_event>);

// SAFETY: the event is tied to no thread.
unsafe impl Send for Happening {}
// SAFETY: the glue's event has its own lock.
unsafe impl Sync for Happening {}

impl Happening {
    /// An event that has not happened. Fails with [`Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        // SAFETY: has no preconditions.
        NonNull::new(unsafe { bindings::inv_event_new() }).map(Happening).ok_or(Errno::NOMEM)
    }
}

impl Event for Happening {
    fn count(&self) -> u32 {
        // SAFETY: the event lives as long as `self`.
        unsafe { bindings::inv_event_count(self.0.as_ptr()) }
    }

    fn happen(&self) {
        // SAFETY: as above.
        unsafe { bindings::inv_event_happen(self.0.as_ptr()) }
    }

    fn wait(&self, seen: u32, milliseconds: u32) -> Waited {
        // SAFETY: as above; whoever waits holds a reference to what has the event.
        match Errno(-unsafe { bindings::inv_event_wait(self.0.as_ptr(), seen, milliseconds) }) {
            Errno(0) => Waited::Happened,
            Errno::TIMEDOUT => Waited::TimedOut,
            _ => Waited::Interrupted,
        }
    }
}

impl Drop for Happening {
    fn drop(&mut self) {
        // SAFETY: nobody waits for an event that is dropped, and it is freed once.
        unsafe { bindings::inv_event_free(self.0.as_ptr()) }
    }
}
