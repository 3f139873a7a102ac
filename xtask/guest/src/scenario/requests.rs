// SPDX-License-Identifier: GPL-2.0-only
//! The scenario `bad-requests`: whatever the argument, the answer is an errno.

use crate::agent::{DEVICE, guid, start_request};
use crate::sys::{Fields, Step, ensure, ioctl, ioctl_word, is_errno, open};
use guest::layout::DISKS;
use involflt::abi::{dev_info, dirty_block, request, volume_list, volume_stats};
use nix::libc;
use std::fs::File;
use std::io;

/// Every request of the driver that takes a structure, with its name.
const WITH_ARGUMENT: [(&str, u32); 44] = [
    ("set volume flags", request::SET_VOLUME_FLAGS),
    ("get volume flags", request::GET_VOLUME_FLAGS),
    ("wait for changes", request::WAIT_FOR_DB),
    ("system shutdown", request::SYS_SHUTDOWN),
    ("tag volume", request::TAG_VOLUME),
    ("get notify threshold", request::GET_DB_NOTIFY_THRESHOLD),
    ("volume stacking", request::VOLUME_STACKING),
    ("resync start", request::RESYNC_START_NOTIFICATION),
    ("resync end", request::RESYNC_END_NOTIFICATION),
    ("volume unstacking", request::VOLUME_UNSTACKING),
    ("sync tag volume", request::SYNC_TAG_VOLUME),
    ("get tag volume status", request::GET_TAG_VOLUME_STATUS),
    ("get additional stats", request::GET_ADDITIONAL_VOLUME_STATS),
    ("get latency stats", request::GET_VOLUME_LATENCY_STATS),
    ("get bitmap stats", request::GET_VOLUME_BMAP_STATS),
    ("set verbosity", request::SET_INVOLFLT_VERBOSITY),
    ("freeze volumes", request::FREEZE_VOLUME),
    ("tag volumes", request::TAG_VOLUME_V2),
    ("thaw volumes", request::THAW_VOLUME),
    ("tag under a barrier", request::IOBARRIER_TAG_VOLUME),
    ("create a barrier", request::CREATE_BARRIER_ALL),
    ("remove a barrier", request::REMOVE_BARRIER_ALL),
    ("commit tags", request::TAG_COMMIT_V2),
    ("get monitoring stats", request::GET_MONITORING_STATS),
    ("replication state", request::REPLICATION_STATE),
    ("wait for churn", request::GET_CXSTATS_NOTIFY),
    ("wait for a tag", request::TAG_DRAIN_NOTIFY),
    ("get volume stats v2", request::GET_VOLUME_STATS_V2),
    ("get the time", request::GET_NANOSECOND_TIME),
    ("map names", request::NAME_MAPPING),
    ("change the persistent name", request::MODIFY_PERSISTENT_DEVICE_NAME),
    ("get drain state", request::GET_DRAIN_STATE),
    ("set drain state", request::SET_DRAIN_STATE),
    ("clear differentials", request::CLEAR_DIFFERENTIALS),
    ("process start", request::PROCESS_START_NOTIFY),
    ("service start", request::SERVICE_SHUTDOWN_NOTIFY),
    ("get or set attribute", request::GET_SET_ATTR),
    ("get driver version", request::GET_DRIVER_VERSION),
    ("start filtering", request::START_FILTERING_DEVICE_V2),
    ("stop filtering", request::STOP_FILTERING_DEVICE),
    ("get protected volume list", request::GET_PROTECTED_VOLUME_LIST),
    ("get volume stats", request::GET_VOLUME_STATS),
    ("get dirty blocks", request::GET_DIRTY_BLOCKS_TRANS_V2),
    ("commit dirty blocks", request::COMMIT_DIRTY_BLOCKS_TRANS),
];

/// NULL, the page that is never mapped, the end of user space, the hole, kernel text, the last byte.
const BAD_ADDRESSES: [usize; 7] =
    [0, 8, 0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_8880_0000_1000, 0xffff_ffff_8100_0000, usize::MAX];

/// A device file, the checks made on it so far.
struct Checks {
    device: File,
    made: usize,
}

impl Checks {
    fn refused(&mut self, what: &str, answer: io::Result<i32>, errnos: &[i32]) -> Step {
        self.made += 1;
        let good = answer.as_ref().is_err_and(|error| errnos.is_empty() || is_errno(error, errnos));
        ensure(good, || format!("{what}: {answer:?}, one of the errnos {errnos:?} was expected"))
    }

    fn start(&mut self, what: &str, change: impl FnOnce(&mut [u8]), errnos: &[i32]) -> Step {
        let mut argument = start_request(DISKS[0].node, DISKS[0].size);
        change(&mut argument);
        let answer = ioctl(&self.device, request::START_FILTERING_DEVICE_V2, &mut argument);
        self.refused(&format!("start filtering with {what}"), answer, errnos)
    }
}

/// Runs every check.
pub fn scenario() -> Step<String> {
    let mut checks = Checks { device: open(DEVICE, 0)?, made: 0 };
    bad_addresses(&mut checks)?;
    unknown_requests(&mut checks)?;
    bad_starts(&mut checks)?;
    unknown_disks(&mut checks)?;
    bad_buffers(&mut checks)?;
    Ok(format!("{} requests refused", checks.made))
}

fn bad_addresses(checks: &mut Checks) -> Step {
    for (name, word) in WITH_ARGUMENT {
        for address in BAD_ADDRESSES {
            let answer = ioctl_word(&checks.device, word, address);
            // A request that needs a disk on this file may say so first.
            checks.refused(&format!("{name} with the address {address:#x}"), answer, &[libc::EFAULT, libc::EINVAL])?;
        }
    }
    Ok(())
}

/// A wrong magic, number, size or direction.
fn unknown_requests(checks: &mut Checks) -> Step {
    let mut argument = [0; dirty_block::BYTES];
    let version = request::GET_DRIVER_VERSION;
    for word in [0, u32::MAX, 0xfec8, 0xfe04, 0xfe27, version ^ 0x100, version ^ (1 << 16), version & 0x3fff_ffff] {
        let answer = ioctl(&checks.device, word, &mut argument);
        checks.refused(&format!("the request {word:#x}"), answer, &[libc::EINVAL, libc::ENOTTY])?;
    }
    Ok(())
}

fn bad_starts(checks: &mut Checks) -> Step {
    let path = |bytes: &'static [u8]| {
        move |info: &mut [u8]| {
            info.put(dev_info::GUID, &[0; 256]);
            info.put(dev_info::GUID, bytes);
        }
    };
    for kind in [0_u32, 1, 3, 5, 99, u32::MAX] {
        checks.start(&format!("type {kind}"), |info| info.put(dev_info::TYPE, &kind.to_le_bytes()), &[libc::EINVAL])?;
    }
    let missing = [libc::ENODEV, libc::ENOENT, libc::EINVAL];
    checks.start("no path", path(b""), &missing)?;
    checks.start("a path without end", path(&[b'a'; 256]), &[libc::EINVAL])?;
    checks.start("a path of 255 bytes", path(&[b'a'; 255]), &[libc::EINVAL])?;
    checks.start("a missing disk", path(b"/dev/missing"), &missing)?;
    checks.start("a relative path", path(b"vda"), &missing)?;
    checks.start("a path that is not UTF-8", path(b"/dev/\xff\xfe"), &missing)?;
    let no_disk = [libc::ENOTBLK, libc::EINVAL, libc::ENODEV];
    checks.start("a directory", path(b"/dev"), &no_disk)?;
    checks.start("a character device", path(b"/dev/null"), &no_disk)?;
    checks.start("a plain file", path(b"/plan.json"), &no_disk)?;
    checks.start("a partition", path(b"/dev/vda1"), &[libc::EINVAL])?;
    checks.start("a slash in the persistent name", |info| info.put(dev_info::PNAME, b"a/b"), &[libc::EINVAL])?;
    checks.start("a persistent name without end", |info| info.put(dev_info::PNAME, &[b'a'; 256]), &[libc::EINVAL])
}

fn unknown_disks(checks: &mut Checks) -> Step {
    for node in ["", "/dev/missing", DISKS[0].node] {
        let answer = ioctl(&checks.device, request::STOP_FILTERING_DEVICE, &mut guid(node));
        checks.refused(&format!("stop filtering of {node:?}"), answer, &[libc::ENODEV, libc::EINVAL])?;
        let mut stats = [0; volume_stats::BYTES];
        stats.put(0, &guid(node));
        let answer = ioctl(&checks.device, request::GET_VOLUME_STATS, &mut stats);
        checks.refused(&format!("get volume stats of {node:?}"), answer, &[libc::ENODEV, libc::EINVAL])?;
    }
    let answer = ioctl(&checks.device, request::STOP_FILTERING_DEVICE, &mut [b'a'; 128]);
    checks.refused("stop filtering of a name without end", answer, &[libc::EINVAL])?;
    let answer = ioctl(&checks.device, request::GET_DIRTY_BLOCKS_TRANS_V2, &mut [0; dirty_block::BYTES]);
    checks.refused("get dirty blocks of no disk", answer, &[libc::EINVAL])?;
    let answer = ioctl(&checks.device, request::COMMIT_DIRTY_BLOCKS_TRANS, &mut [0; 144]);
    checks.refused("commit of no disk", answer, &[libc::EINVAL])
}

/// Structures that are good and point to what is not, on a disk that is filtered.
fn bad_buffers(checks: &mut Checks) -> Step {
    let node = DISKS[0].node;
    let start = |checks: &Checks| {
        ioctl(&checks.device, request::START_FILTERING_DEVICE_V2, &mut start_request(node, DISKS[0].size)).is_ok()
    };
    ensure(start(checks), || format!("start filtering of {node} after requests that were refused"))?;
    for address in BAD_ADDRESSES {
        for length in [64_u32, u32::MAX] {
            let mut stats = [0; volume_stats::BYTES];
            stats.put(0, &guid(node));
            stats.put(volume_stats::BUFFER, &(address as u64).to_le_bytes());
            stats.put(volume_stats::BUFFER_BYTES, &length.to_le_bytes());
            let answer = ioctl(&checks.device, request::GET_VOLUME_STATS, &mut stats);
            checks.refused(&format!("volume stats to {address:#x}"), answer, &[libc::EFAULT, libc::EINVAL])?;
            let mut list = [0; volume_list::BYTES];
            list.put(volume_list::BUFFER, &(address as u64).to_le_bytes());
            list.put(volume_list::BUFFER_BYTES, &length.to_le_bytes());
            let answer = ioctl(&checks.device, request::GET_PROTECTED_VOLUME_LIST, &mut list);
            checks.refused(&format!("volume list to {address:#x}"), answer, &[libc::EFAULT])?;
        }
        let answer = ioctl_word(&checks.device, request::GET_DIRTY_BLOCKS_TRANS_V2, address);
        checks.refused(&format!("a filtered disk's dirty blocks to {address:#x}"), answer, &[libc::EFAULT])?;
        let answer = ioctl_word(&checks.device, request::COMMIT_DIRTY_BLOCKS_TRANS, address);
        checks.refused(&format!("a filtered disk's commit from {address:#x}"), answer, &[libc::EFAULT])?;
    }
    let answer = ioctl(&checks.device, request::GET_PROTECTED_VOLUME_LIST, &mut [0; volume_list::BYTES]);
    checks.refused("volume list without a buffer", answer, &[libc::EAGAIN])?;
    ensure(ioctl(&checks.device, request::STOP_FILTERING_DEVICE, &mut guid(node)).is_ok(), || "stop filtering".into())?;
    let answer = ioctl(&checks.device, request::GET_DIRTY_BLOCKS_TRANS_V2, &mut [0; dirty_block::BYTES]);
    checks.refused("dirty blocks of a disk no longer filtered", answer, &[libc::EBUSY, libc::EINVAL])
}
