// SPDX-License-Identifier: GPL-2.0-only
//! The disks' images: made once for all kernels, copied for each run.

use crate::error::{AtPath, Error, Result};
use crate::store::{self, Store};
use guest::layout::{
    BACKING_OFFSET, DISKS, Disk, FS_START, FileSystem, LIVE, MIB, RANDOM_SIZE, RAW_SIZE, RAW_START, held,
    replica_offset,
};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Part of the images' key: count it up when what is in them changes.
const FORMAT: &str = "3";
/// The oldest kernel that is booted, 4.4, must be able to mount what the newest mkfs.xfs makes.
const XFS_OPTIONS: [&str; 5] = ["-q", "-m", "bigtime=0,inobtcount=0,reflink=0,rmapbt=0", "-i", "nrext64=0,sparse=0"];

/// File name of a disk's image.
pub fn file_name(disk: &Disk) -> String {
    format!("{}.img", disk.name)
}

/// File name of the image with the replicas.
pub const REPLICAS: &str = "replicas.img";

/// File name of the image of the NVMe namespace that two controllers have.
pub const SHARED: &str = "shared.img";
/// And of that of zones.
pub const ZONED: &str = "zoned.img";

/// The directory with the images as every run starts from them.
pub fn base(store: &Store) -> Result<PathBuf> {
    let layout = format!("{DISKS:?} {RAW_START} {RAW_SIZE} {RANDOM_SIZE}");
    store.entry("vm-disks", &store::key([FORMAT, &layout]), |partial| {
        fs::create_dir_all(partial).at_path(partial)?;
        DISKS.iter().try_for_each(|disk| make(disk, &partial.join(file_name(disk))))
    })
}

/// Copies every image to a new directory, holes as holes.
pub fn copy(base: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).at_path(to)?;
    for (disk, live) in DISKS.iter().zip(&LIVE) {
        for copy in [disk, live] {
            let (from, to) = (base.join(file_name(disk)), to.join(file_name(copy)));
            run(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).args([from, to]))?;
        }
    }
    let empty = [(REPLICAS, replica_offset(LIVE.len())), (SHARED, held::SHARED_SIZE), (ZONED, held::ZONED_SIZE)];
    empty.into_iter().try_for_each(|(name, size)| {
        let path = to.join(name);
        File::create(&path).and_then(|file| file.set_len(size)).at_path(&path)
    })
}

fn make(disk: &Disk, path: &Path) -> Result<()> {
    let image = File::create_new(path).at_path(path)?;
    // The dm-linear disk is a part of its image: there is something on both sides of it.
    let after = if disk.image_offset == 0 { 0 } else { BACKING_OFFSET };
    image.set_len(disk.image_offset + disk.size + after).at_path(path)?;
    if disk.partitioned {
        image.write_all_at(&partition_table(disk.size), 0).at_path(path)?;
    }
    image.write_all_at(&random(RANDOM_SIZE as usize), disk.image_offset + RAW_START).at_path(path)?;
    let file_system = path.with_extension("fs");
    make_file_system(disk, &file_system)?;
    copy_into(&file_system, &image, disk.image_offset + FS_START).at_path(path)?;
    store::remove(&file_system)
}

/// A DOS partition table: the raw part and the file system's part.
fn partition_table(size: u64) -> [u8; 512] {
    let mut table = [0; 512];
    for (index, (start, length)) in [(RAW_START, RAW_SIZE), (FS_START, size - FS_START)].into_iter().enumerate() {
        let entry = &mut table[446 + 16 * index..][..16];
        // Linux, addressed by sector alone.
        entry[4] = 0x83;
        entry[8..12].copy_from_slice(&((start / 512) as u32).to_le_bytes());
        entry[12..16].copy_from_slice(&((length / 512) as u32).to_le_bytes());
    }
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    table
}

/// Bytes that no compression and no chance make equal to zeroes; the same every time (xorshift64).
fn random(length: usize) -> Vec<u8> {
    let mut state = 0x1b0d_5eed_u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(|_| word()).collect()
}

fn make_file_system(disk: &Disk, path: &Path) -> Result<()> {
    let file = File::create(path).at_path(path)?;
    file.set_len(disk.size - FS_START).at_path(path)?;
    let mut command = Command::new(format!("mkfs.{}", disk.file_system.name()));
    match disk.file_system {
        // A small one would have smaller blocks, which the driver does not pin.
        FileSystem::Ext4 => command.args(["-q", "-b", "4096"]),
        FileSystem::Xfs => command.args(XFS_OPTIONS),
    };
    run(command.arg(path))
}

/// Copies a file into an image, leaving out what is zero.
fn copy_into(from: &Path, image: &File, mut offset: u64) -> std::io::Result<()> {
    let mut file = File::open(from)?;
    let mut buffer = vec![0; MIB as usize];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        if buffer[..length].iter().any(|&byte| byte != 0) {
            image.write_all_at(&buffer[..length], offset)?;
        }
        offset += length as u64;
    }
}

/// Runs a program that makes a file system. Fails with what it says.
pub fn run(command: &mut Command) -> Result<()> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy();
    Err(Error::infra(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// What a program of file systems says, and how it ends. Fails where it is not there.
pub fn output(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Debian keeps such programs where only root's path leads.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).output().map_err(|error| {
        Error::infra(format!("{program}: {error}")).note("apt-get install e2fsprogs xfsprogs btrfs-progs")
    })
}

/// The images of one run, removed with it.
pub struct Copies(PathBuf);

impl Copies {
    /// Copies the images to a directory of the store that is this run's own.
    pub fn new(store: &Store, base: &Path, name: &str) -> Result<Copies> {
        let copies = Copies(store.kind("vm-runs")?.join(format!("{name}-{}", std::process::id())));
        store::remove(&copies.0)?;
        copy(base, &copies.0)?;
        Ok(copies)
    }

    /// Where they are.
    pub fn dir(&self) -> &Path {
        &self.0
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run of the same number or by `store gc`.
        let _ = store::remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_table_is_one_that_tools_read() {
        let table = partition_table(FS_START + 64 * MIB);
        assert_eq!(&table[510..], [0x55, 0xaa]);
        assert_eq!(&table[446..462], [0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 3, 0]);
        assert_eq!(u32::from_le_bytes(table[470..474].try_into().unwrap()), (97 * MIB / 512) as u32);
    }

    #[test]
    fn random_data_has_no_zero_sector_and_is_the_same_each_time() {
        let bytes = random(1 << 16);
        assert!(bytes.len() == 1 << 16 && bytes == random(1 << 16));
        assert!(bytes.chunks(512).all(|sector| sector.iter().any(|&byte| byte != 0)));
    }
}
