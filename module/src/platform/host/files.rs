// SPDX-License-Identifier: GPL-2.0-only
//! A file system in memory, each thread its own, of which any call can be made to fail.

use crate::platform::{Errno, File, Mode, Mounts, Pinned, Result, PINNED_BLOCK};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Where the kernel tells the boot's id.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What there is.
#[derive(Debug, Clone)]
pub struct Files {
    /// Contents by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Directories that were made.
    pub directories: BTreeSet<String>,
    /// The call with this number from now on, 0 the next one, fails with the errno, and every one after it.
    pub fault: Option<(usize, Errno)>,
    /// The file system's mounts; with `None` it cannot pin.
    pub mounts: Option<Mounts>,
}

impl Default for Files {
    fn default() -> Self {
        let boot = (BOOT_ID.to_string(), b"01234567-89ab-cdef-0123-456789abcdef\n".to_vec());
        Files { files: BTreeMap::from([boot]), directories: BTreeSet::new(), fault: None, mounts: None }
    }
}

thread_local! {
    static FILES: RefCell<Files> = RefCell::default();
}

impl Files {
    /// Does `work` on this thread's files.
    pub fn with<R>(work: impl FnOnce(&mut Files) -> R) -> R {
        FILES.with_borrow_mut(work)
    }

    /// This thread's machine is started anew: its files are what they were.
    pub fn boot() {
        Self::with(|all| {
            if let Some(id) = all.files.get_mut(BOOT_ID) {
                id[0] += 1;
            }
        });
    }

    /// One more call, which may be the one that fails.
    fn step(&mut self) -> Result<()> {
        match &mut self.fault {
            Some((0, errno)) => Err(*errno),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&mut self, path: &str) -> Result<&mut Vec<u8>> {
        self.step()?;
        self.files.get_mut(path).ok_or(Errno::NOENT)
    }
}

/// Makes a directory.
pub fn make_directory(path: &[u8]) -> Result<()> {
    let path = text(path)?;
    Files::with(|all| {
        all.step()?;
        all.directories.insert(path);
        Ok(())
    })
}

fn text(path: &[u8]) -> Result<String> {
    let path = path.strip_suffix(b"\0").ok_or(Errno::INVAL)?;
    Ok(String::from_utf8_lossy(path).into_owned())
}

/// An open file, by its path.
pub struct HostFile(String);

impl File for HostFile {
    fn open(path: &[u8], mode: Mode) -> Result<Self> {
        let path = text(path)?;
        Files::with(|all| {
            all.step()?;
            let directory = path.rsplit_once('/').ok_or(Errno::INVAL)?.0;
            match mode {
                Mode::New if all.directories.contains(directory) => drop(all.files.insert(path.clone(), Vec::new())),
                Mode::Read | Mode::Write if all.files.contains_key(&path) => {}
                _ => return Err(Errno::NOENT),
            }
            Ok(HostFile(path))
        })
    }

    fn bytes(&self) -> u64 {
        Files::with(|all| all.files.get(&self.0).map_or(0, |file| file.len() as u64))
    }

    fn read(&mut self, at: u64, to: &mut [u8]) -> Result<()> {
        let range = at as usize..at as usize + to.len();
        Files::with(|all| {
            to.copy_from_slice(all.file(&self.0)?.get(range).ok_or(Errno::IO)?);
            Ok(())
        })
    }

    fn write(&mut self, at: u64, from: &[u8]) -> Result<()> {
        let range = at as usize..at as usize + from.len();
        Files::with(|all| {
            let file = all.file(&self.0)?;
            let length = file.len().max(range.end);
            file.resize(length, 0);
            file[range].copy_from_slice(from);
            Ok(())
        })
    }

    fn flush(&mut self) -> Result<()> {
        Files::with(|all| all.file(&self.0).map(drop))
    }
}

/// A pinned file, by its path.
pub struct HostPinned(HostFile);

impl Pinned for HostPinned {
    fn pin(path: &[u8]) -> Result<Self> {
        Files::with(|all| all.mounts.ok_or(Errno::OPNOTSUPP))?;
        HostFile::open(path, Mode::Read).map(HostPinned)
    }

    fn blocks(&self) -> u64 {
        self.0.bytes() / PINNED_BLOCK as u64
    }

    fn read(&mut self, index: u64, to: &mut [u8; PINNED_BLOCK]) -> Result<()> {
        self.0.read(index * PINNED_BLOCK as u64, to)
    }

    fn write(&mut self, index: u64, from: &[u8; PINNED_BLOCK]) -> Result<()> {
        self.0.write(index * PINNED_BLOCK as u64, from)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }

    fn mounts(&mut self) -> Result<Mounts> {
        Files::with(|all| all.mounts.ok_or(Errno::OPNOTSUPP))
    }
}
