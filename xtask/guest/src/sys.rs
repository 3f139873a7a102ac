// SPDX-License-Identifier: GPL-2.0-only
//! Thin wrappers of what the standard library does not have, and errors with their context.

use nix::libc;
use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// Why a scenario did not pass.
#[derive(Debug)]
pub enum Failure {
    /// It failed; one line.
    Failed(String),
    /// The kernel lacks what it needs; one line.
    Skipped(String),
}

/// What a step of a scenario returns.
pub type Step<T = ()> = Result<T, Failure>;

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure::Failed(text)
    }
}

/// Says what was being done when an error came.
pub trait Doing<T> {
    /// Puts `what` in front of the error.
    fn doing(self, what: impl FnOnce() -> String) -> Step<T>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Step<T> {
        self.map_err(|error| Failure::Failed(format!("{}: {error}", what())))
    }
}

/// Fails with `text` unless `good`.
pub fn ensure(good: bool, text: impl FnOnce() -> String) -> Step {
    if good { Ok(()) } else { Err(Failure::Failed(text())) }
}

/// An ioctl whose argument is a buffer that holds all the kernel reads and writes.
pub fn ioctl(file: &File, request: u32, argument: &mut [u8]) -> io::Result<i32> {
    ioctl_word(file, request, argument.as_mut_ptr().expose_provenance())
}

/// An ioctl whose argument is a plain word, or an address that the kernel must refuse.
pub fn ioctl_word(file: &File, request: u32, argument: usize) -> io::Result<i32> {
    // SAFETY: the descriptor is open. Every caller passes the address of a live, exclusively borrowed buffer as large
    // as the request needs, a word that is no address, or an address that is not mapped writable.
    let code = unsafe { libc::ioctl(file.as_raw_fd(), request as _, argument) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// kexec_file_load(2): the kernel that is started at the next reboot by kexec.
pub fn kexec_file_load(kernel: &File, initramfs: &File, arguments: &CStr) -> io::Result<()> {
    let (bytes, flags) = (arguments.to_bytes_with_nul().len(), 0_u64);
    // SAFETY: the descriptors are open, and the kernel only reads the arguments, which are so many bytes with their NUL.
    let code = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initramfs.as_raw_fd(),
            bytes,
            arguments.as_ptr(),
            flags,
        )
    };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// So many bytes of this process that the driver has given to it, as long as the block that tells of them is there.
pub fn memory(_block: &[u8], address: u64, bytes: usize) -> &[u8] {
    // SAFETY: the driver has put this address into the block for memory that it has mapped here, of so many bytes, and takes
    // it back at the block's commit, before which it is read. Nobody else writes to it.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address as usize), bytes) }
}

/// Opens a device to read and write, with more `open` flags.
pub fn open(path: &str, flags: i32) -> Step<File> {
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).doing(|| format!("open {path}"))
}

/// Whether an error is one of these errnos.
pub fn is_errno(error: &io::Error, errnos: &[i32]) -> bool {
    error.raw_os_error().is_some_and(|errno| errnos.contains(&errno))
}

/// Writes to a file of the kernel's.
pub fn set(file: &str, text: &str) -> Step {
    fs::write(file, text).doing(|| format!("{file}: {text}"))
}

/// Whether the running kernel is of that version, or a newer one.
pub fn is_linux(version: (u32, u32)) -> Step<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").doing(|| "read the kernel's release".into())?;
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    Ok((numbers.next(), numbers.next()) >= (Some(version.0), Some(version.1)))
}

/// Little-endian fields of an ABI structure at byte offsets.
pub trait Fields {
    /// The u32 at `offset`.
    fn u32_at(&self, offset: u64) -> u32;
    /// The u64 at `offset`.
    fn u64_at(&self, offset: u64) -> u64;
    /// Puts bytes at `offset`.
    fn put(&mut self, offset: u64, bytes: &[u8]);
}

impl Fields for [u8] {
    fn u32_at(&self, offset: u64) -> u32 {
        let offset = offset as usize;
        u32::from_le_bytes(self[offset..offset + 4].try_into().expect("four bytes"))
    }
    fn u64_at(&self, offset: u64) -> u64 {
        let offset = offset as usize;
        u64::from_le_bytes(self[offset..offset + 8].try_into().expect("eight bytes"))
    }
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let offset = offset as usize;
        self[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}
