// SPDX-License-Identifier: GPL-2.0-only
//! A replica in a block device or a sparse file.

use super::chain::{Chain, Progress};
use super::sink::{Sink, Tag};
use crate::disk::{Disk, path_of};
use crate::error::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc::O_EXCL;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where it is kept what replicas in block devices have.
const STATES: &str = "/var/lib/involflt/replicas";

/// Bytes of a page, or several.
const PAGE: u64 = 4096;

/// A replica of a disk.
#[derive(Debug)]
pub struct Replica {
    path: PathBuf,
    file: File,
    kind: Kind,
    chain: Chain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Device,
    File,
}

/// What may be done to what is at the replica's place and is no replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing, unless it is all zeroes where that is looked for.
    No,
    /// It goes.
    Yes,
}

impl Replica {
    /// Opens or makes the replica of a disk: a block device that is at least as large and that nobody uses, or a file,
    /// which gets the disk's size.
    ///
    /// Fails with [`crate::error::Kind::Input`] for what cannot be a replica, and, without `overwrite`, for what holds
    /// something else.
    pub fn open(name: &str, disk: &str, bytes: u64, overwrite: Overwrite) -> Result<Self> {
        let path = target_path(name);
        match fs::metadata(&path) {
            Ok(status) if status.file_type().is_block_device() => Self::open_device(path, disk, bytes, overwrite),
            Ok(status) if !status.is_file() => {
                Err(Error::input(format!("{}: is neither a block device nor a file", path.display())))
            }
            _ => Self::open_file(path, disk, bytes, overwrite),
        }
    }

    fn open_device(path: PathBuf, disk: &str, bytes: u64, overwrite: Overwrite) -> Result<Self> {
        let target = Disk::find(&path.to_string_lossy())?;
        if target.persistent_name == disk {
            return Err(Error::input(format!("{}: is the disk itself", path.display())));
        }
        if target.bytes < bytes {
            let cause = format!("{}: has {} bytes, and the disk {bytes}", path.display(), target.bytes);
            return Err(Error::input(cause));
        }
        // O_EXCL without O_CREAT: nobody else may have it mounted or in a RAID.
        let file = OpenOptions::new().read(true).write(true).custom_flags(O_EXCL).open(&path);
        let file =
            file.map_err(|error| about(&path, &error).note("a replica's device must not be in use: see `lsblk`"))?;
        let state = Path::new(STATES).join(format!("{}.json", target.persistent_name));
        Self::with(path, file, Kind::Device, state, disk, bytes, overwrite)
    }

    fn open_file(path: PathBuf, disk: &str, bytes: u64, overwrite: Overwrite) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| about(&path, &error))?;
        let mut state: OsString = path.clone().into();
        state.push(".involflt.json");
        Self::with(path, file, Kind::File, state.into(), disk, bytes, overwrite)
    }

    fn with(
        path: PathBuf,
        file: File,
        kind: Kind,
        state: PathBuf,
        disk: &str,
        bytes: u64,
        overwrite: Overwrite,
    ) -> Result<Self> {
        file.try_lock().map_err(|_| {
            Error::failed(format!("{}: another program has it locked", path.display()))
                .note("one replication at a time: see `ps -C involfltctl`")
        })?;
        let (chain, known) = Chain::read(state, disk, bytes)?;
        let has_data = || holds_data(&file).map_err(|error| about(&path, &error));
        if !known && overwrite == Overwrite::No && has_data()? {
            return Err(Error::input(format!("{}: holds data, and is not known as a replica", path.display()))
                .note("`--overwrite` overwrites it"));
        }
        if kind == Kind::File {
            file.set_len(bytes).map_err(|error| about(&path, &error))?;
        }
        Ok(Replica { path, file, kind, chain })
    }

    /// Forgets what the replica has: it is to be copied anew, or is not to be followed by anything.
    pub fn forget(&mut self) -> Result<()> {
        self.chain.note(Progress::Nothing)
    }

    /// Makes a hole, or has the device write zeroes; of whole pages only: the kernel refuses to do so with pages that are
    /// partly something else, and not written back yet.
    fn make_zero(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let (start, end) = (offset.next_multiple_of(PAGE), (offset + bytes) / PAGE * PAGE);
        if start >= end {
            return self.write_zeroes(offset, bytes);
        }
        let mode = match self.kind {
            Kind::File => FallocateFlags::FALLOC_FL_PUNCH_HOLE,
            Kind::Device => FallocateFlags::FALLOC_FL_ZERO_RANGE,
        } | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(&self.file, mode, start as i64, (end - start) as i64) {
            Ok(()) => {
                self.write_zeroes(offset, start - offset)?;
                self.write_zeroes(end, offset + bytes - end)
            }
            // File systems and devices that cannot, each in its way.
            Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENODEV | Errno::EBUSY) => self.write_zeroes(offset, bytes),
            Err(errno) => Err(errno.into()),
        }
    }

    fn write_zeroes(&self, mut offset: u64, mut bytes: u64) -> io::Result<()> {
        let zeroes = vec![0; (1 << 20).min(bytes) as usize];
        while bytes > 0 {
            let length = bytes.min(zeroes.len() as u64);
            self.file.write_all_at(&zeroes[..length as usize], offset)?;
            (offset, bytes) = (offset + length, bytes - length);
        }
        Ok(())
    }
}

impl Sink for Replica {
    fn progress(&self) -> Progress {
        self.chain.progress()
    }

    fn data(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.file.write_all_at(data, offset).map_err(|error| about(&self.path, &error))
    }

    fn zeroes(&mut self, offset: u64, bytes: u64) -> Result<()> {
        self.make_zero(offset, bytes).map_err(|error| about(&self.path, &error))
    }

    /// A replica is at the present: a tag leaves nothing in it.
    fn tag(&mut self, _tag: &Tag) -> Result<()> {
        Ok(())
    }

    fn sync(&mut self, progress: Progress) -> Result<()> {
        self.file.sync_data().map_err(|error| about(&self.path, &error))?;
        self.chain.note(progress)
    }
}

/// The path of a target: a kernel name is a disk where there is one of that name, else a file here.
fn target_path(name: &str) -> PathBuf {
    let device = path_of(name);
    if device.exists() { device } else { PathBuf::from(name) }
}

fn about(path: &Path, error: &io::Error) -> Error {
    let cause = error.raw_os_error().map_or_else(|| error.to_string(), |errno| Errno::from_raw(errno).desc().into());
    let failure = Error::failed(format!("{}: {cause}", path.display()));
    match error.kind() {
        ErrorKind::StorageFull => failure.note("make room, and run this again: it goes on where it stopped"),
        ErrorKind::NotFound => failure.note("its directory must be there"),
        _ => failure,
    }
}

/// Whether there is something but zeroes in the first or the last MiB.
fn holds_data(mut file: &File) -> io::Result<bool> {
    const LOOKED_AT: u64 = 1 << 20;
    let end = file.seek(SeekFrom::End(0))?;
    let mut holds = false;
    for start in [0, end.saturating_sub(LOOKED_AT)] {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(LOOKED_AT).read_to_end(&mut bytes)?;
        holds |= bytes.iter().any(|&byte| byte != 0);
    }
    // A file that is no image may be shorter, or full of zeroes that somebody allocated: they are somebody's.
    Ok(holds || (file.metadata()?.is_file() && file.metadata()?.blocks() > 0))
}
