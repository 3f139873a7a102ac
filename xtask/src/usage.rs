// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel tells of this machine and of this process.

use crate::error::{AtPath, Error, Result};
use std::fs;
use std::path::Path;

/// Runnable tasks, the mean of the last minute.
pub fn load() -> Result<f64> {
    let path = Path::new("/proc/loadavg");
    let text = fs::read_to_string(path).at_path(path)?;
    text.split(' ').next().and_then(|word| word.parse().ok()).ok_or_else(|| Error::infra(format!("loadavg: {text}")))
}

/// The most memory that this process has had, in KiB; its children's is their own.
pub fn peak_memory_kib() -> Result<u64> {
    let path = Path::new("/proc/self/status");
    let text = fs::read_to_string(path).at_path(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| Error::infra("/proc/self/status has no VmHWM"))
}
