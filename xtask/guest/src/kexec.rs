// SPDX-License-Identifier: GPL-2.0-only
//! A kernel that starts another one, without the firmware.

use crate::sys::{self, Doing, Step};
use guest::layout::reboots::KEXEC_NODES;
use nix::sys::reboot::{RebootMode, reboot};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;

/// In memory: the kernel reads from nothing but files.
const COPIES: [&str; 2] = ["/mnt/kernel", "/mnt/initramfs"];

/// Has the kernel and the initramfs that the host has put on disks ready, with this kernel's arguments and one more.
pub fn prepare(argument: &str) -> Step {
    for (node, copy) in KEXEC_NODES.into_iter().zip(COPIES) {
        File::open(node)
            .and_then(|mut node| io::copy(&mut node, &mut File::create(copy)?))
            .doing(|| format!("copy {node} to {copy}"))?;
    }
    let arguments = fs::read_to_string("/proc/cmdline").doing(|| "the kernel's arguments".into())?;
    let arguments =
        CString::new(format!("{} {argument}", arguments.trim())).doing(|| "the kernel's arguments".into())?;
    let [kernel, initramfs] = COPIES.map(|copy| File::open(copy).doing(|| copy.into()));
    sys::kexec_file_load(&kernel?, &initramfs?, &arguments).doing(|| "kexec_file_load".into())
}

/// Starts it. Returns only where that fails.
pub fn restart() -> Step {
    match reboot(RebootMode::RB_KEXEC) {
        Err(errno) => Err(errno).doing(|| "reboot by kexec".into()),
    }
}
