// SPDX-License-Identifier: GPL-2.0-only
//! `glue/glue.h` as Rust sees it; a test holds the two together.

#![allow(missing_docs, non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};

/// A disk that the glue has open.
#[repr(C)]
pub struct inv_device {
    opaque: [u8; 0],
}

/// A lock that the glue has made.
#[repr(C)]
pub struct inv_spin {
    opaque: [u8; 0],
}

/// A mutex that the glue has made.
#[repr(C)]
pub struct inv_mutex {
    opaque: [u8; 0],
}

/// An event that the glue has made.
#[repr(C)]
pub struct inv_event {
    opaque: [u8; 0],
}

/// A frozen file system.
#[repr(C)]
pub struct inv_frozen {
    opaque: [u8; 0],
}

/// An open file.
#[repr(C)]
pub struct inv_stored {
    opaque: [u8; 0],
}

/// Blocks of a file.
#[repr(C)]
pub struct inv_pinned {
    opaque: [u8; 0],
}

/// A disk as it was at a moment.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct inv_sighting {
    pub device: u64,
    pub written: u64,
    pub sure: u64,
    pub untouched: u64,
}

/// The data of a write that has completed.
#[repr(C)]
pub struct inv_payload {
    opaque: [u8; 0],
}

/// Memory of a process that the glue has given to it.
#[repr(C)]
pub struct inv_mapping {
    opaque: [u8; 0],
}

/// Facts about an opened disk.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct inv_geometry {
    pub sectors: u64,
    pub identity: u64,
}

/// A passthrough command.
#[repr(C)]
pub struct inv_command {
    pub bytes: u64,
    pub command: *const u8,
    pub data: *const u8,
    pub command_bytes: u32,
    pub data_bytes: u32,
    pub block_sectors: u32,
    pub sends: u32,
}

unsafe extern "C" {
    pub fn inv_device_open(path: *const c_char, out: *mut *mut inv_device, geometry: *mut inv_geometry) -> c_int;
    pub fn inv_device_attach(dev: *mut inv_device, tracker: *mut c_void) -> c_int;
    pub fn inv_device_refresh(dev: *mut inv_device) -> u64;
    pub fn inv_device_settle(dev: *mut inv_device);
    pub fn inv_device_flush(dev: *mut inv_device) -> c_int;
    pub fn inv_device_hold_writes(dev: *mut inv_device, file: *const inv_pinned) -> c_int;
    pub fn inv_device_release_writes(dev: *mut inv_device);
    pub fn inv_device_detach(dev: *mut inv_device, killable: c_int) -> c_int;
    pub fn inv_device_seen(dev: *const inv_device, out: *mut inv_sighting);
    pub fn inv_device_close(dev: *mut inv_device);
    pub fn inv_spin_new() -> *mut inv_spin;
    pub fn inv_spin_free(spin: *mut inv_spin);
    pub fn inv_spin_lock(spin: *mut inv_spin) -> u64;
    pub fn inv_spin_unlock(spin: *mut inv_spin, flags: u64);
    pub fn inv_mutex_new() -> *mut inv_mutex;
    pub fn inv_mutex_free(mutex: *mut inv_mutex);
    pub fn inv_mutex_lock(mutex: *mut inv_mutex, killable: c_int) -> c_int;
    pub fn inv_mutex_try(mutex: *mut inv_mutex) -> c_int;
    pub fn inv_mutex_unlock(mutex: *mut inv_mutex);
    pub fn inv_event_new() -> *mut inv_event;
    pub fn inv_event_free(event: *mut inv_event);
    pub fn inv_event_count(event: *mut inv_event) -> u32;
    pub fn inv_event_happen(event: *mut inv_event);
    pub fn inv_event_wait(event: *mut inv_event, seen: u32, milliseconds: u32) -> c_int;
    pub fn inv_frozen_new(path: *const c_char, out: *mut *mut inv_frozen) -> c_int;
    pub fn inv_frozen_free(frozen: *mut inv_frozen);
    pub fn inv_stored_open(path: *const c_char, mode: u32, out: *mut *mut inv_stored) -> c_int;
    pub fn inv_stored_close(file: *mut inv_stored);
    pub fn inv_stored_bytes(file: *const inv_stored) -> u64;
    pub fn inv_stored_read(file: *mut inv_stored, at: u64, to: *mut c_void, bytes: usize) -> c_int;
    pub fn inv_stored_write(file: *mut inv_stored, at: u64, from: *const c_void, bytes: usize) -> c_int;
    pub fn inv_stored_flush(file: *mut inv_stored) -> c_int;
    pub fn inv_make_directory(path: *const c_char) -> c_int;
    pub fn inv_is_before_root() -> c_int;
    pub fn inv_random(to: *mut c_void, bytes: usize);
    pub fn inv_pin(path: *const c_char, out: *mut *mut inv_pinned) -> c_int;
    pub fn inv_unpin(pinned: *mut inv_pinned);
    pub fn inv_pinned_blocks(pinned: *const inv_pinned) -> u64;
    pub fn inv_pinned_read(pinned: *mut inv_pinned, index: u64, to: *mut c_void) -> c_int;
    pub fn inv_pinned_write(pinned: *mut inv_pinned, index: u64, from: *const c_void) -> c_int;
    pub fn inv_pinned_flush(pinned: *mut inv_pinned) -> c_int;
    pub fn inv_pinned_mounts(pinned: *mut inv_pinned, mounts: *mut u64, writable: *mut c_int) -> c_int;
    pub fn inv_watch_stop() -> c_int;
    pub fn inv_unwatch_stop();
    pub fn inv_is_blk_mq(path: *const c_char) -> c_int;
    pub fn inv_hold();
    pub fn inv_let_go();
    pub fn inv_alarm(milliseconds: u32);
    pub fn inv_alarm_stop();
    pub fn inv_uptime() -> u64;
    pub fn inv_memory() -> u64;
    pub fn inv_slab_new(bytes: usize) -> *mut c_void;
    pub fn inv_slab_free(slab: *mut c_void);
    pub fn inv_payload_copy(payload: *mut inv_payload, to: *mut c_void, bytes: usize);
    pub fn inv_tell(to: u64, from: *const c_void, bytes: usize) -> c_int;
    pub fn inv_mapping_new(bytes: usize, out: *mut *mut inv_mapping) -> c_int;
    pub fn inv_mapping_address(mapping: *const inv_mapping) -> u64;
    pub fn inv_mapping_is_here(mapping: *const inv_mapping) -> c_int;
    pub fn inv_mapping_free(mapping: *mut inv_mapping);
    pub fn inv_soon();
    pub fn inv_soon_stop();
    pub fn inv_pause();
    pub fn inv_alloc_zeroed(bytes: usize) -> *mut c_void;
    pub fn inv_free(memory: *mut c_void);
    pub fn inv_unix_time() -> u64;
    pub fn inv_copy_from_user(to: *mut c_void, from: u64, bytes: usize) -> c_int;
    pub fn inv_copy_to_user(to: u64, from: *const c_void, bytes: usize) -> c_int;
    pub fn inv_panic();
    pub fn inv_wake_pollers();
    pub fn inv_chardev_add() -> c_int;
    pub fn inv_chardev_del();
    pub fn inv_device_drain_frees();
}
