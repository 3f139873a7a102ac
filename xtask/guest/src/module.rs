// SPDX-License-Identifier: GPL-2.0-only
//! Loading and unloading of kernel modules.

use crate::sys::{Doing, Step};
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module};
use std::ffi::CStr;
use std::fs::{self, File};

/// Loads a module from a file; one that is there already is good too.
pub fn load(path: &str) -> Step {
    load_with(path, c"")
}

/// Loads a module with parameters.
pub fn load_with(path: &str, parameters: &CStr) -> Step {
    let file = File::open(path).doing(|| path.into())?;
    match finit_module(&file, parameters, ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("load {path}")),
    }
}

/// Unloads a module; does not wait for its users.
pub fn unload(name: &CStr) -> Result<(), Errno> {
    delete_module(name, DeleteModuleFlags::O_NONBLOCK)
}

/// Whether a module is loaded.
pub fn is_loaded(name: &str) -> Step<bool> {
    let modules = fs::read_to_string("/proc/modules").doing(|| "/proc/modules".into())?;
    Ok(modules.lines().any(|line| line.split(' ').next() == Some(name)))
}
