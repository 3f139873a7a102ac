// SPDX-License-Identifier: GPL-2.0-only
//! Writes an initramfs: a cpio archive in the "newc" format.

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// An archive that is being written. Directories come before what is in them.
pub struct Cpio<W> {
    to: W,
    inode: u32,
}

impl<W: Write> Cpio<W> {
    /// An archive with nothing in it.
    pub fn new(to: W) -> Self {
        Cpio { to, inode: 1 }
    }

    /// Adds a directory; `path` has no leading slash.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, DIRECTORY, &[])
    }

    /// Adds a file that may be executed; `path` has no leading slash.
    pub fn file(&mut self, path: &str, contents: &[u8]) -> io::Result<()> {
        self.entry(path, PROGRAM, contents)
    }

    /// Adds a symbolic link to `target`; `path` has no leading slash.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.entry(path, LINK, target.as_bytes())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.to)
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        let size = u32::try_from(contents.len()).map_err(|_| io::Error::other("4 GiB or more"))?;
        // Magic; inode, mode, uid, gid, links, mtime, size, device and its device (two words each), name size, check.
        write!(self.to, "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}", self.inode, 0, 0, 1, 0)?;
        write!(self.to, "{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", 0, 0, 0, 0, path.len() + 1, 0)?;
        self.to.write_all(path.as_bytes())?;
        // The name's NUL, and zeroes to a multiple of four: the header has 110 bytes.
        self.zeroes(1 + pad(110 + path.len() + 1))?;
        self.to.write_all(contents)?;
        self.zeroes(pad(contents.len()))?;
        self.inode += 1;
        Ok(())
    }

    fn zeroes(&mut self, count: usize) -> io::Result<()> {
        self.to.write_all(&[0; 4][..count])
    }
}

fn pad(length: usize) -> usize {
    length.wrapping_neg() & 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_the_kernel_reads() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.directory("dev").unwrap();
        cpio.file("init", b"hello").unwrap();
        let bytes = cpio.finish().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(bytes.len() % 4, 0);
        let first = "0707010000000100 0041ed00000000 00000000000000010000000000000000".replace(' ', "");
        assert_eq!(&text[..first.len()], first);
        // Each header begins at a multiple of four, its name ends in NUL, and its contents begin at a multiple of four.
        let starts: Vec<_> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert!(starts.len() == 3 && starts.iter().all(|at| at % 4 == 0), "{starts:?}");
        let contents = text.find("hello").unwrap();
        assert!(contents.is_multiple_of(4) && &text[starts[1] + 110..starts[1] + 115] == "init\0");
        assert!(text.trim_end_matches('\0').ends_with("TRAILER!!!"));
    }
}
