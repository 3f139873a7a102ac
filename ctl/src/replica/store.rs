// SPDX-License-Identifier: GPL-2.0-only
//! Where a replica's bytes are: a block device or a sparse file here, or something far away.

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a page, or several.
const PAGE: u64 = 4096;

/// Bytes that are kept. All ranges are inside.
pub trait Store {
    /// Reads what was written last.
    fn read(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()>;

    /// Writes, not for good.
    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Writes so many zeroes, not for good.
    fn zero(&mut self, offset: u64, bytes: u64) -> io::Result<()>;

    /// After this a power cut takes nothing away.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes it so many bytes long, where it has no length of its own.
    fn resize(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
}

/// What [`Local`] is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A block device.
    Device,
    /// A regular file.
    File,
}

/// Bytes in a block device or a sparse file.
#[derive(Debug)]
pub struct Local {
    file: File,
    kind: Kind,
}

impl Local {
    /// Bytes in an open file.
    pub fn new(file: File, kind: Kind) -> Self {
        Local { file, kind }
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

impl Store for Local {
    fn read(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(to, offset)
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    /// Makes a hole, or has the device write zeroes; of whole pages only: the kernel refuses to do so with pages that are
    /// partly something else, and not written back yet.
    fn zero(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
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

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn resize(&mut self, bytes: u64) -> io::Result<()> {
        if self.kind == Kind::File { self.file.set_len(bytes) } else { Ok(()) }
    }
}
