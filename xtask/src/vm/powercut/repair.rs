// SPDX-License-Identifier: GPL-2.0-only
//! What an administrator does for an ext4 file system whose journal a cut has torn.
//!
//! A commit of jbd2 is a block of 4 KiB with a checksum over all of it. Where a disk takes only some of its sectors, ext4 does not
//! mount the file system any more, on any kernel: it is for e2fsck then.

use super::disk::Disk;
use crate::error::{AtPath, Error, Result};
use crate::vm::disks;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Whether a kernel has refused a file system, by its console, as a commit of its journal was torn.
pub fn is_torn(console: &str) -> bool {
    console.lines().any(|line| line.contains("JBD2: journal transaction") && line.contains(" is corrupt"))
}

/// Mends the file system of a disk. `scratch` is a file that is not there.
pub fn repair(disk: &mut Disk, scratch: &Path) -> Result<()> {
    fs::write(scratch, disk.bytes()).at_path(scratch)?;
    let output = disks::output(Command::new("e2fsck").args(["-f", "-y"]).arg(scratch))?;
    // 1: there was more to mend than the journal.
    if !matches!(output.status.code(), Some(0 | 1)) {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(Error::kernel(format!("e2fsck: {}: {}", output.status, said.trim())));
    }
    *disk = Disk::new(fs::read(scratch).at_path(scratch)?);
    crate::store::remove(scratch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const BLOCK: usize = 4096;
    /// jbd2's magic, and the type of a commit.
    const COMMIT: [u8; 8] = [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 2];

    #[test]
    fn only_what_the_journal_s_own_checksum_finds_is_for_e2fsck() {
        assert!(is_torn("[    4.2] JBD2: journal transaction 1976 on vdc-8 is corrupt.\n"));
        assert!(!is_torn("[    4.2] EXT4-fs error (device vdc): ext4_lookup:1706: deleted inode referenced: 12\n"));
    }

    #[test]
    fn a_torn_commit_is_mended_by_e2fsck() {
        let dir = std::env::temp_dir().join(format!("involflt-repair-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (image, commands) = (dir.join("image"), dir.join("commands"));
        File::create(&image).and_then(|file| file.set_len(32 << 20)).unwrap();
        disks::run(Command::new("mkfs.ext4").args(["-q", "-b", "4096"]).arg(&image)).unwrap();
        // A transaction with a checksum, for a free block.
        let content = dir.join("content");
        fs::write(&content, [1; BLOCK]).unwrap();
        fs::write(&commands, format!("jo -c\njw -b 4000 {}\njc\n", content.display())).unwrap();
        disks::run(Command::new("debugfs").arg("-w").arg("-f").args([&commands, &image])).unwrap();
        let mut bytes = fs::read(&image).unwrap();
        let commit = bytes.chunks(BLOCK).position(|block| block.starts_with(&COMMIT)).unwrap() * BLOCK;
        // One of its sectors has what was there before.
        bytes[commit + 2048..][..512].fill(0xff);
        let mut disk = Disk::new(bytes);
        repair(&mut disk, &image).unwrap();
        assert!(!image.exists());
        assert_eq!(disk.bytes()[4000 * BLOCK..][..BLOCK], [0; BLOCK], "a transaction that was torn is not replayed");
        fs::write(&image, disk.bytes()).unwrap();
        let check = disks::output(Command::new("e2fsck").args(["-f", "-n"]).arg(&image)).unwrap();
        let said = String::from_utf8_lossy(&check.stdout);
        assert!(check.status.success() && !said.contains("journal"), "{said}");
        crate::store::remove(&dir).unwrap();
    }
}
