// SPDX-License-Identifier: GPL-2.0-only
//! Disks that keep nothing, as many and as large as one likes; and one of zones that keeps what is written to it.

use crate::module;
use crate::sys::{Doing, Failure, Step};
use guest::layout::{Disk, FileSystem, MIB};
use guest::protocol::MODULES;
use nix::mount::{MsFlags, mount, umount};
use std::ffi::CStr;
use std::fs;
use std::path::Path;

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

/// Whether the kernel has it: Ubuntu's azure kernels of 5.15 do not.
pub fn is_there() -> bool {
    Path::new(MODULES).join("null_blk.ko").exists()
}

/// Makes the disks that the parameters name.
pub fn load(parameters: &CStr) -> Step {
    if !is_there() {
        return Err(Failure::Skipped("the kernel has no null_blk (CONFIG_BLK_DEV_NULL_BLK)".into()));
    }
    module::load_with(&format!("{MODULES}/null_blk.ko"), parameters)
}

pub fn unload() -> Step {
    module::unload(c"null_blk").doing(|| "unload null_blk".into())
}

/// Where with_zones() has mounted configfs.
pub const CONFIG: &str = "/sys/kernel/config";
const ZONED: &str = "/sys/kernel/config/nullb/nullb0";

/// Does `work` with the node of a disk of zones. Sizes are in bytes.
pub fn with_zones<T>(size: u64, zone: u64, work: impl FnOnce(&'static str) -> Step<T>) -> Step<T> {
    load(c"queue_mode=2 irqmode=0 nr_devices=0")?;
    mount(Some("configfs"), CONFIG, Some("configfs"), MsFlags::empty(), None::<&str>).doing(|| CONFIG.into())?;
    fs::create_dir(ZONED).doing(|| ZONED.into())?;
    let set = |name: &str, value: u64| {
        let file = format!("{ZONED}/{name}");
        fs::write(&file, value.to_string()).doing(|| file)
    };
    set("size", size / MIB)?;
    set("zone_size", zone / MIB)?;
    ["zoned", "memory_backed", "power"].into_iter().try_for_each(|name| set(name, 1))?;
    let done = work("/dev/nullb0");
    fs::remove_dir(ZONED).doing(|| ZONED.into())?;
    umount(CONFIG).doing(|| CONFIG.into())?;
    unload()?;
    done
}
