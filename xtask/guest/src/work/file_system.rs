// SPDX-License-Identifier: GPL-2.0-only
//! Use of a file system: files made, synced, renamed, cut, removed; trimmed, unmounted, and read again.

use super::Random;
use super::buffer::Buffer;
use crate::dm;
use crate::sys::{Doing, Failure, Fields, Step, ensure, ioctl, is_errno};
use crate::world::file_system_node;
use guest::layout::{Disk, FS_START, FileSystem, MIB, NEXT_DM_NODE};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;
use nix::mount::{MsFlags, mount, umount};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::thread;
use std::time::Duration;

/// `_IOWR('X', 121, struct fstrim_range)`
const FITRIM: u32 = 0xc018_5879;
const FILES: u64 = 60;

/// What each file must hold after the file system was mounted again.
type Contents = BTreeMap<String, Vec<u8>>;

/// Mounts the disk's file system, uses it, unmounts it, and reads it back.
pub fn cycle(disk: &Disk) -> Step<String> {
    let place = format!("/mnt/{}", disk.name);
    fs::create_dir_all(&place).doing(|| place.clone())?;
    let contents = mounted(disk, &place, || use_it(&place))?;
    let (contents, trimmed) = contents;
    mounted(disk, &place, || read_back(&contents))?;
    let bytes: usize = contents.values().map(Vec::len).sum();
    Ok(format!(
        "{} with {} files, {} KiB, {} KiB trimmed",
        disk.file_system.name(),
        contents.len(),
        bytes >> 10,
        trimmed >> 10
    ))
}

/// Does `work` while the disk's file system is mounted at `place`.
pub fn mounted<T>(disk: &Disk, place: &str, work: impl FnOnce() -> Step<T>) -> Step<T> {
    let (node, kind) = (file_system_node(disk), disk.file_system.name());
    // Discards as files are removed, besides the trim.
    let options = if disk.file_system == FileSystem::Ext4 { Some("discard") } else { None };
    mounted_node(&node, kind, options, place, work)
}

fn mounted_node<T>(
    node: &str,
    kind: &str,
    options: Option<&str>,
    place: &str,
    work: impl FnOnce() -> Step<T>,
) -> Step<T> {
    mount(Some(node), place, Some(kind), MsFlags::empty(), options).doing(|| format!("mount {node}"))?;
    let result = work();
    // What failed first is told.
    let unmounted = unmount(place).doing(|| format!("unmount {node}"));
    result.and_then(|done| unmounted.map(|()| done))
}

/// Name of the device of device-mapper below the file system of [`mounted_below`].
pub const BELOW: &str = "files";

/// Does `work` while the disk's ext4 file system is mounted at `place`, in a device that can be suspended.
pub fn mounted_below<T>(disk: &Disk, place: &str, work: impl FnOnce() -> Step<T>) -> Step<T> {
    dm::linear(BELOW, &file_system_node(disk), 0, disk.size - FS_START)?;
    let result = mounted_node(NEXT_DM_NODE, "ext4", None, place, work);
    // Whatever failed leaves nothing for those that come after it.
    let removed = dm::remove(BELOW);
    result.and_then(|done| removed.map(|()| done))
}

/// Takes all the room of a file system for the file at `path`.
pub fn fill(path: &str) -> Step {
    let file = File::create(path).doing(|| path.into())?;
    let (mut at, mut bytes) = (0, 64 * MIB as i64);
    while bytes >= 4096 {
        match fallocate(&file, FallocateFlags::empty(), at, bytes) {
            Ok(()) => at += bytes,
            Err(Errno::ENOSPC) => bytes /= 2,
            Err(errno) => return Err(errno).doing(|| path.into()),
        }
    }
    file.sync_all().doing(|| path.into())
}

/// A program that another thread is about to start has every open file of this one for a moment.
pub fn unmount(place: &str) -> nix::Result<()> {
    for _ in 0..100 {
        match umount(place) {
            Err(Errno::EBUSY) => thread::sleep(Duration::from_millis(50)),
            result => return result,
        }
    }
    umount(place)
}

fn use_it(place: &str) -> Step<(Contents, u64)> {
    let mut random = Random::new(0xf5);
    let mut contents = Contents::new();
    for number in 0..FILES {
        let directory = format!("{place}/d{}", number % 7);
        fs::create_dir_all(&directory).doing(|| directory.clone())?;
        let path = format!("{directory}/f{number}");
        let data = Buffer::stamped(1 + random.below(256 << 10) as usize).bytes().to_vec();
        write_file(&path, &data, number % 5 == 0)?;
        contents.insert(path, data);
    }
    change_files(place, &mut contents)?;
    let trimmed = trim(place)?;
    Ok((contents, trimmed))
}

fn write_file(path: &str, data: &[u8], durable: bool) -> Step {
    let mut file = File::create(path).doing(|| path.into())?;
    file.write_all(data).doing(|| path.into())?;
    if durable {
        file.sync_all().doing(|| format!("fsync {path}"))?;
    }
    Ok(())
}

/// Removes every third file, renames every third, cuts and continues every third.
fn change_files(place: &str, contents: &mut Contents) -> Step {
    let paths: Vec<_> = contents.keys().cloned().collect();
    for (index, path) in paths.into_iter().enumerate() {
        let mut data = contents.remove(&path).unwrap_or_default();
        let mut kept = path.clone();
        match index % 3 {
            0 => {
                fs::remove_file(&path).doing(|| path.clone())?;
                continue;
            }
            1 => {
                kept = format!("{place}/renamed-{index}");
                fs::rename(&path, &kept).doing(|| path.clone())?;
            }
            _ => {
                data.truncate(data.len() / 2);
                data.extend_from_slice(b"continued");
                cut_and_append(&path, &data)?;
            }
        }
        contents.insert(kept, data);
    }
    Ok(())
}

fn cut_and_append(path: &str, data: &[u8]) -> Step {
    let mut file = OpenOptions::new().append(true).open(path).doing(|| path.into())?;
    file.set_len((data.len() - 9) as u64).doing(|| format!("cut {path}"))?;
    file.write_all(&data[data.len() - 9..]).doing(|| path.into())
}

/// Trims the whole file system; 0 bytes where the disk cannot.
fn trim(place: &str) -> Step<u64> {
    let directory = File::open(place).doing(|| place.into())?;
    directory.sync_all().doing(|| format!("fsync {place}"))?;
    nix::unistd::sync();
    let mut range = [0; 24];
    range.put(8, &u64::MAX.to_le_bytes());
    match ioctl(&directory, FITRIM, &mut range) {
        Ok(_) => Ok(range.u64_at(8)),
        Err(error) if is_errno(&error, &[libc::EOPNOTSUPP]) => Ok(0),
        Err(error) => Err(Failure::Failed(format!("trim {place}: {error}"))),
    }
}

fn read_back(contents: &Contents) -> Step {
    for (path, data) in contents {
        let found = fs::read(path).doing(|| path.clone())?;
        ensure(&found == data, || format!("{path} has changed over the unmount"))?;
    }
    Ok(())
}
