// SPDX-License-Identifier: GPL-2.0-only
//! Disks of a real kernel: the glue's handles in, the tracker's calls out. The same for both kernel platforms.

use crate::bindings;
use crate::data::Payload;
use crate::engine::{nvme, scsi};
use crate::engine::{Hole, Op, Tracker};
use crate::persist;
use crate::pin::PinnedFile;
use crate::platform::{Attached, Errno, Geometry, Opened, Platform, Result, Sighting};
use crate::ThisPlatform;
use core::ffi::c_void;
use core::ptr::NonNull;

/// Turns the glue's 0 or negative errno into a result.
pub fn check(code: i32) -> Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(Errno(-code))
    }
}

/// A disk that the glue has open; dropping it closes it.
pub struct OpenedDisk {
    device: NonNull<bindings::inv_device>,
    geometry: Geometry,
}

// SAFETY: the glue ties nothing of a device to the thread that opened it.
unsafe impl Send for OpenedDisk {}

impl Drop for OpenedDisk {
    fn drop(&mut self) {
        // SAFETY: the device is open, not attached, and this is its only owner.
        unsafe { bindings::inv_device_close(self.device.as_ptr()) }
    }
}

impl Opened<ThisPlatform> for OpenedDisk {
    fn open(path: &[u8]) -> Result<Self> {
        if path.last() != Some(&0) {
            return Err(Errno::INVAL);
        }
        let mut device = core::ptr::null_mut();
        let mut geometry = bindings::inv_geometry::default();
        // SAFETY: `path` ends with a NUL, and both places to write to outlive the call.
        check(unsafe { bindings::inv_device_open(path.as_ptr().cast(), &mut device, &mut geometry) })?;
        let device = NonNull::new(device).ok_or(Errno::NODEV)?;
        Ok(OpenedDisk { device, geometry: Geometry { sectors: geometry.sectors, identity: geometry.identity } })
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn attach(self, tracker: Shared<Tracker<ThisPlatform>>) -> Result<AttachedDisk> {
        let address: *const Tracker<ThisPlatform> = &*tracker;
        // SAFETY: the tracker stays where it is until `AttachedDisk` has detached the device.
        check(unsafe { bindings::inv_device_attach(self.device.as_ptr(), address.cast_mut().cast()) })?;
        Ok(AttachedDisk { tracker, opened: self })
    }
}

type Shared<T> = <ThisPlatform as Platform>::Shared<T>;

/// A disk whose writes are told to a tracker; dropping it detaches it first.
pub struct AttachedDisk {
    tracker: Shared<Tracker<ThisPlatform>>,
    opened: OpenedDisk,
}

impl Drop for AttachedDisk {
    fn drop(&mut self) {
        // SAFETY: the device is open; detaching one that is not attached does nothing. Not killable, so it succeeds.
        unsafe { bindings::inv_device_detach(self.opened.device.as_ptr(), 0) };
    }
}

impl Attached<ThisPlatform> for AttachedDisk {
    fn tracker(&self) -> &Tracker<ThisPlatform> {
        &self.tracker
    }

    fn refresh(&self) {
        // SAFETY: the device is open and attached.
        let sectors = unsafe { bindings::inv_device_refresh(self.opened.device.as_ptr()) };
        self.tracker.has_sectors(sectors);
    }

    fn settle(&self) {
        // SAFETY: the device is open and attached.
        unsafe { bindings::inv_device_settle(self.opened.device.as_ptr()) }
    }

    fn seen(&self) -> Sighting {
        let mut seen = bindings::inv_sighting::default();
        // SAFETY: the device is open, and the place to write to outlives the call.
        unsafe { bindings::inv_device_seen(self.opened.device.as_ptr(), &mut seen) };
        Sighting { device: seen.device, written: seen.written, sure: seen.sure != 0, untouched: seen.untouched != 0 }
    }

    fn flush(&self) -> Result<()> {
        // SAFETY: the device is open.
        check(unsafe { bindings::inv_device_flush(self.opened.device.as_ptr()) })
    }

    fn hold_writes(&self, file: &PinnedFile) -> Result<()> {
        // SAFETY: the device is open and attached, and the file is pinned.
        check(unsafe { bindings::inv_device_hold_writes(self.opened.device.as_ptr(), file.as_ptr()) })
    }

    fn release_writes(&self) {
        // SAFETY: the device is open and attached.
        unsafe { bindings::inv_device_release_writes(self.opened.device.as_ptr()) }
    }

    fn detach(&mut self) -> Result<()> {
        // SAFETY: the device is open and attached.
        check(unsafe { bindings::inv_device_detach(self.opened.device.as_ptr(), 1) })
    }
}

/// The tracker behind the glue's pointer.
///
/// # Safety
/// `tracker` was given to `inv_device_attach`, and the device has not been detached since.
unsafe fn tracker<'a>(tracker: *const c_void) -> &'a Tracker<ThisPlatform> {
    // SAFETY: by the caller's word it points to a tracker, which is shared and never moved or changed but by atomics.
    unsafe { &*tracker.cast() }
}

/// Whether a write's completion should be told.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_wants_completion(disk: *const c_void) -> i32 {
    // SAFETY: the glue calls this for an attached device only.
    i32::from(unsafe { tracker(disk) }.wants_completion())
}

/// A write to `sectors` from `sector` on has completed.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_complete(disk: *const c_void, sector: u64, sectors: u64, failed: i32) {
    // SAFETY: the glue calls this for an attached device only.
    unsafe { tracker(disk) }.complete(sector, sectors, failed != 0);
}

/// A write to `sectors` from `sector` on has succeeded.
///
/// # Safety
/// As for [`tracker`]; the payload is the caller's until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_written(
    disk: *const c_void,
    sector: u64,
    sectors: u64,
    payload: *mut bindings::inv_payload,
) {
    // SAFETY: the glue calls this for an attached device only.
    let tracker = unsafe { tracker(disk) };
    match NonNull::new(payload) {
        Some(payload) => tracker.written(sector, sectors, &mut Payload(payload)),
        None => tracker.complete(sector, sectors, false),
    }
}

/// There was no memory to see a write's completion, so it is marked.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_no_memory(disk: *const c_void) {
    // SAFETY: the glue calls this for an attached device only.
    unsafe { tracker(disk) }.counters.no_memory();
}

/// A write may change `sectors` from `sector` on.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_mark(disk: *const c_void, sector: u64, sectors: u64) {
    // SAFETY: the glue calls this for an attached device only.
    unsafe { tracker(disk) }.mark(sector, sectors);
}

/// The disk's driver is given an operation.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_count(disk: *const c_void, op: u32, bytes: u64) {
    if let Some(op) = Op::from_number(op) {
        // SAFETY: the glue calls this for an attached device only.
        unsafe { tracker(disk) }.count(op, bytes);
    }
}

/// The disk's driver has refused the operation that was counted.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_uncount(disk: *const c_void, op: u32, bytes: u64) {
    if let Some(op) = Op::from_number(op) {
        // SAFETY: the glue calls this for an attached device only.
        unsafe { tracker(disk) }.uncount(op, bytes);
    }
}

/// Whether a write must wait.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_must_wait(disk: *const c_void, sector: u64, sectors: u64) -> i32 {
    // SAFETY: the glue calls this for an attached device only.
    i32::from(unsafe { tracker(disk) }.intent.must_wait(sector, sectors))
}

/// Does what writes wait for.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_mark_intent(disk: *const c_void) -> i32 {
    // SAFETY: the glue's work is stopped before the device is detached for good.
    i32::from(persist::work(unsafe { tracker(disk) }))
}

/// Writes have waited for so many seconds. Whether they still do.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_late(disk: *const c_void, seconds: u32) -> i32 {
    // SAFETY: the glue's work is stopped before the device is detached for good.
    unsafe { persist::late(tracker(disk), seconds) as i32 }
}

/// The whole disk may change.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_mark_all(disk: *const c_void) {
    // SAFETY: the glue calls this for an attached device only.
    unsafe { tracker(disk) }.mark_all();
}

/// A change could not be tracked.
///
/// # Safety
/// As for [`tracker`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_hole(disk: *const c_void, hole: u32) {
    // SAFETY: the glue calls this for an attached device only.
    unsafe { tracker(disk) }.hole(Hole::from_number(hole));
}

/// A passthrough SCSI command is about to be given to the disk.
///
/// # Safety
/// As for [`tracker`]; `command` and what it points to are the caller's until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_scsi(disk: *const c_void, command: *const bindings::inv_command) -> i32 {
    // SAFETY: the glue gives a whole structure, which it does not change meanwhile.
    let given = unsafe { &*command };
    // SAFETY: by the caller's word.
    let (cdb, data) = unsafe { parts(given) };
    let command = scsi::Command { cdb, data, bytes: given.bytes, sends: given.sends != 0 };
    // SAFETY: the glue calls this for an attached device only.
    i32::from(unsafe { tracker(disk) }.passthrough(command.effect(), given.block_sectors.into()))
}

/// A passthrough NVMe command is about to be given to the disk.
///
/// # Safety
/// As for [`inv_rs_scsi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_nvme(disk: *const c_void, command: *const bindings::inv_command) -> i32 {
    // SAFETY: the glue gives a whole structure, which it does not change meanwhile.
    let given = unsafe { &*command };
    // SAFETY: the glue calls this for an attached device only, and the rest by the caller's word.
    let (tracker, command) = unsafe { (tracker(disk), nvme(given)) };
    i32::from(tracker.passthrough(command.effect(), given.block_sectors.into()))
}

/// Whether an NVMe command is the write of these sectors.
///
/// # Safety
/// As for [`inv_rs_scsi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn inv_rs_nvme_is_write(command: *const bindings::inv_command, sector: u64, sectors: u64) -> i32 {
    // SAFETY: the glue gives a whole structure, which it does not change meanwhile.
    let given = unsafe { &*command };
    let blocks = |sectors: u64| sectors.checked_div(given.block_sectors.into()).unwrap_or(0);
    // SAFETY: by the caller's word.
    i32::from(unsafe { nvme(given) }.is_write(blocks(sector), blocks(sectors)))
}

/// # Safety
/// As for [`parts`].
unsafe fn nvme(given: &bindings::inv_command) -> nvme::Command<'_> {
    // SAFETY: by the caller's word.
    let (entry, data) = unsafe { parts(given) };
    nvme::Command { entry, data, fetches: given.sends == 0 && given.bytes != 0 }
}

/// A command, and what it sends.
///
/// # Safety
/// What `given` points to is so many bytes long, and nobody changes it meanwhile: the kernel's copy of the command, and the
/// glue's of the data.
unsafe fn parts(given: &bindings::inv_command) -> (&[u8], &[u8]) {
    // SAFETY: by the caller's word.
    unsafe { (slice(given.command, given.command_bytes), slice(given.data, given.data_bytes)) }
}

/// Bytes of the glue's; none for NULL.
///
/// # Safety
/// `start` is NULL, or is `length` bytes that nobody changes as long as the slice is in use.
unsafe fn slice<'a>(start: *const u8, length: u32) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: by the caller's word.
    unsafe { core::slice::from_raw_parts(start, length as usize) }
}
