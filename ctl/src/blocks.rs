// SPDX-License-Identifier: GPL-2.0-only
//! Reading of a disk as it is now, past the page cache: that may hold what file systems have long overwritten.

use nix::libc::O_DIRECT;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes that one call reads at most.
pub const MAX_READ: usize = 1 << 20;

/// Direct reads begin and end at multiples of this: no disk's logical blocks are larger.
const ALIGNMENT: usize = 4096;

/// Something that is read by byte offset: a disk, or in tests a model of one.
pub trait Blocks {
    /// So many bytes from an offset: at least one, at most [`MAX_READ`], and all inside.
    fn read(&mut self, offset: u64, bytes: usize) -> io::Result<&[u8]>;
}

/// A disk or a file that is read with `O_DIRECT`.
pub struct Direct {
    file: File,
    buffer: Vec<u8>,
    /// Where in the buffer the aligned part begins.
    start: usize,
}

impl Direct {
    /// Opens a block device or a regular file. A file system that has no `O_DIRECT` is read without it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let direct = OpenOptions::new().read(true).custom_flags(O_DIRECT).open(path);
        let file = match direct {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => File::open(path)?,
            direct => direct?,
        };
        let buffer = vec![0; MAX_READ + 3 * ALIGNMENT];
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        Ok(Direct { file, buffer, start })
    }
}

impl Blocks for Direct {
    fn read(&mut self, offset: u64, bytes: usize) -> io::Result<&[u8]> {
        assert!((1..=MAX_READ).contains(&bytes), "a read of {bytes} bytes");
        let before = (offset % ALIGNMENT as u64) as usize;
        let window = (before + bytes).next_multiple_of(ALIGNMENT);
        let buffer = &mut self.buffer[self.start..][..window];
        let mut done = 0;
        // The window may go past the end: the last read is short then.
        while done < before + bytes {
            match self.file.read_at(&mut buffer[done..], offset - before as u64 + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&buffer[before..][..bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_read_as_it_is() {
        let path = std::env::temp_dir().join(format!("blocks-{}", std::process::id()));
        let bytes: Vec<u8> = (0..3 * MAX_READ + 512).map(|index| (index % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut file = Direct::open(&path).unwrap();
        let end = bytes.len();
        for (offset, length) in [(0, 1), (512, 512), (4095, 2), (1000, MAX_READ), (end - 512, 512), (end - 1, 1)] {
            assert_eq!(file.read(offset as u64, length).unwrap(), &bytes[offset..][..length], "{length} at {offset}");
        }
        assert_eq!(file.read(end as u64 - 512, 513).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        std::fs::remove_file(&path).unwrap();
    }
}
