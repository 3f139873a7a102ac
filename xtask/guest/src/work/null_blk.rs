// SPDX-License-Identifier: GPL-2.0-only
//! Disks that keep nothing, as many and as large as one likes.

use guest::layout::{Disk, FileSystem};

/// The disk that the kernel names `nullb<index>`.
pub fn disk(index: u32, size: u64) -> &'static Disk {
    at(Box::leak(format!("/dev/nullb{index}").into_boxed_str()), size)
}

/// A disk at another node. Nothing of what the host puts on a disk is on it.
pub fn at(node: &'static str, size: u64) -> &'static Disk {
    Box::leak(Box::new(Disk {
        name: node,
        node,
        size,
        image_offset: 0,
        file_system: FileSystem::Ext4,
        partitioned: false,
    }))
}
