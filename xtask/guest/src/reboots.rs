// SPDX-License-Identifier: GPL-2.0-only
//! A machine that is rebooted again and again, whose root's disk is filtered before the root is there: no file may change by that.
//! Before a stop somebody tries to do away with the bitmap file.

use crate::agent::Agent;
use crate::channel::Channel;
use crate::order::wait_until;
use crate::powercut::SEED;
use crate::sys::{Doing, Fields, Step, ensure, ioctl, ioctl_word};
use crate::work::Random;
use crate::{dm, kexec, module};
use guest::layout::reboots::{BITMAP, ROOT, drains, is_mapped, restarts};
use guest::protocol::{INVOLFLT, Message, Standing};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::mount::{MsFlags, mount};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, symlink};

const AT: &str = "/mnt/root";
const FILES: &str = "/mnt/root/files";
/// Names and hashes of all files, as they were before the stop.
const LIST: &str = "/mnt/root/files.json";
/// Kernel argument, and so variable of the environment, of a kernel that another one has started.
const STARTED: &str = "reboots_started";

type List = BTreeMap<String, u64>;

/// Looks at what the last boot has left, changes files, and stops.
pub fn run(kind: &str, channel: &mut Channel) -> Step {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let is_second = std::env::var(STARTED).is_ok();
    wait_until(ROOT.node, true)?;
    module::load_with(INVOLFLT, c"in_initrd=yes")?;
    let mut agent = Agent::attach(&ROOT)?;
    mount_root(kind, seed)?;
    agent.root_is_there()?;
    let resync = agent.resync_reason()?;
    compare()?;
    if resync.is_some() {
        agent.take_hole()?;
    }
    channel.send(&Message::Survived { standing: Standing { resync, copy: false }, different: None });
    channel.send(&Message::Working);
    let random = &mut Random::new(seed + u64::from(is_second) * 1000);
    (0..60).try_for_each(|_| change(random))?;
    note()?;
    nix::unistd::sync();
    if drains(seed) {
        agent.drain_unread()?;
    }
    // Where every stop is an unclean one, so is this.
    if kind == "ext4" && restarts(seed) && !is_second {
        kexec::prepare(&format!("{STARTED}=1"))?;
        remount_read_only()?;
        channel.send(&Message::Restarting);
        return kexec::restart();
    }
    let why = tamper(kind, random.below(12))?;
    remount_read_only()?;
    // Only ext4 keeps the file in its place.
    let resync = why.or((kind != "ext4").then_some(UNCLEAN)).map(str::to_string);
    channel.send(&Message::Stopping { standing: Standing { resync, copy: false } });
    Ok(())
}

fn remount_read_only() -> Step {
    let remount = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, AT, None::<&str>, remount, None::<&str>).doing(|| format!("remount {AT}"))
}

fn mount_root(kind: &str, seed: u64) -> Step {
    fs::create_dir_all(AT).doing(|| AT.into())?;
    let node = match is_mapped(seed) {
        true => dm::linear("root", ROOT.node, 0, ROOT.size).map(|()| "/dev/dm-0")?,
        false => ROOT.node,
    };
    mount(Some(node), AT, Some(kind), MsFlags::empty(), None::<&str>).doing(|| format!("mount {node}"))?;
    for directory in [FILES, "/mnt/root/vxagent", "/etc"] {
        fs::create_dir_all(directory).doing(|| directory.into())?;
    }
    symlink("/mnt/root/vxagent", "/etc/vxagent").doing(|| "/etc/vxagent".into())
}

/// Creates, extends, renames or removes a file.
fn change(random: &mut Random) -> Step {
    let mut path = || format!("{FILES}/{}", random.below(200));
    let (path, other) = (path(), path());
    let done = match random.below(4) {
        0 => fs::remove_file(&path),
        1 => fs::rename(&path, &other),
        2 => File::options().append(true).open(&path).and_then(|file| fill(file, random)),
        _ => File::create(&path).and_then(|file| fill(file, random)),
    };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).doing(|| path),
        _ => Ok(()),
    }
}

fn fill(mut file: File, random: &mut Random) -> io::Result<()> {
    let bytes: Vec<u8> = (0..random.below(40_000)).map(|_| random.below(256) as u8).collect();
    file.write_all(&bytes)?;
    if random.below(4) == 0 { file.sync_all() } else { Ok(()) }
}

/// All files there are.
fn list() -> Step<List> {
    let mut list = List::new();
    for entry in fs::read_dir(FILES).doing(|| FILES.into())? {
        let path = entry.doing(|| FILES.into())?.path();
        let mut hasher = DefaultHasher::new();
        fs::read(&path).doing(|| path.display().to_string())?.hash(&mut hasher);
        list.insert(path.display().to_string(), hasher.finish());
    }
    Ok(list)
}

fn note() -> Step {
    let json = serde_json::to_vec(&list()?).doing(|| LIST.into())?;
    fs::write(LIST, json).doing(|| LIST.into())
}

/// No file has changed since it was noted; at the first boot nothing was.
fn compare() -> Step {
    let Ok(noted) = fs::read(LIST) else { return Ok(()) };
    let noted: List = serde_json::from_slice(&noted).doing(|| LIST.into())?;
    let there = list()?;
    let differs = |(name, hash): &(&String, &u64)| there.get(*name) != Some(hash);
    let changed: Vec<_> = noted.iter().filter(differs).map(|(name, _)| name).collect();
    ensure(changed.is_empty() && noted.len() == there.len(), || format!("files have changed by a reboot: {changed:?}"))
}

/// What the driver says of an unclean stop, of a file that is gone, and of one that is not its own.
const UNCLEAN: &str = "without a clean end";
const GONE: &str = "is gone";
const FOREIGN: &str = "is not this disk's";

/// Tries to do away with the bitmap file, or with what is in it, or to have it elsewhere. What the driver must say of it where
/// that was done.
fn tamper(kind: &str, how: u64) -> Step<Option<&'static str>> {
    let bitmap = format!("{AT}{BITMAP}");
    let why = [GONE, FOREIGN, UNCLEAN, FOREIGN, UNCLEAN, UNCLEAN];
    let done = match how {
        0 => fs::remove_file(&bitmap),
        1 => {
            let other = format!("{FILES}.other");
            fs::write(&other, [7; 65536]).and_then(|()| fs::rename(&other, &bitmap))
        }
        2 => File::options().write(true).open(&bitmap).and_then(|file| file.set_len(4096)),
        3 => File::options().write(true).open(&bitmap).and_then(|file| {
            let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            fallocate(file, punch, 0, 65536).map_err(io::Error::from)
        }),
        4 => {
            defragment(kind, &ordinary()?).doing(|| "defragment a file that is anybody's".into())?;
            defragment(kind, &bitmap)
        }
        5 => {
            if kind != "ext4" {
                reflink(&ordinary()?).doing(|| "reflink a file that is anybody's".into())?;
            }
            reflink(&bitmap)
        }
        _ => return Ok(None),
    };
    Ok(done.ok().and_then(|()| why.get(how as usize).copied()))
}

/// A file with which that can be done.
fn ordinary() -> Step<String> {
    let path = format!("{FILES}.ordinary");
    fs::write(&path, [7; 65536]).and_then(|()| File::open(&path)?.sync_all()).doing(|| path.clone())?;
    Ok(path)
}

/// `EXT4_IOC_MOVE_EXT` (Documentation/filesystems/ext4): a file gets the blocks of another, as e4defrag does it.
const MOVE_EXTENTS: u32 = 0xc028_660f;
/// Bytes of its `struct move_extent`, and where the other file and the number of blocks are.
const MOVE_BYTES: usize = 40;
const MOVE_DONOR: u64 = 4;
const MOVE_BLOCKS: u64 = 24;

/// `XFS_IOC_SWAPEXT` (ioctl_xfs_swapext(2)): two files get each other's blocks, as xfs_fsr does it.
const SWAP_EXTENTS: u32 = 0xc0c0_586d;
/// Bytes of its `struct xfs_swapext`, and where the files are, their length, and when the first was changed.
const SWAP_BYTES: usize = 192;
const SWAP_FILE: u64 = 8;
const SWAP_DONOR: u64 = 16;
const SWAP_LENGTH: u64 = 32;
const SWAP_MODIFIED: u64 = 112;
const SWAP_CHANGED: u64 = 128;

/// `BTRFS_IOC_DEFRAG`: a file is written anew, elsewhere.
const WRITE_ANEW: u32 = 0x5000_9402;

/// The file gets other blocks, in the way of its file system.
fn defragment(kind: &str, path: &str) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    match kind {
        "xfs" => swap_extents(&file),
        "btrfs" => ioctl_word(&file, WRITE_ANEW, 0).map(drop),
        _ => move_extents(&file),
    }
}

fn move_extents(file: &File) -> io::Result<()> {
    let donor = donor(&[7; 65536])?;
    let mut request = [0; MOVE_BYTES];
    request.put(MOVE_DONOR, &donor.as_raw_fd().to_ne_bytes());
    request.put(MOVE_BLOCKS, &16_u64.to_ne_bytes());
    ioctl(file, MOVE_EXTENTS, &mut request).map(drop)
}

fn swap_extents(mut file: &File) -> io::Result<()> {
    let mut contents = Vec::new();
    file.read_to_end(&mut contents)?;
    let donor = donor(&contents)?;
    let there = file.metadata()?;
    let mut request = [0; SWAP_BYTES];
    request.put(SWAP_FILE, &i64::from(file.as_raw_fd()).to_ne_bytes());
    request.put(SWAP_DONOR, &i64::from(donor.as_raw_fd()).to_ne_bytes());
    request.put(SWAP_LENGTH, &there.len().to_ne_bytes());
    for (at, seconds, rest) in
        [(SWAP_MODIFIED, there.mtime(), there.mtime_nsec()), (SWAP_CHANGED, there.ctime(), there.ctime_nsec())]
    {
        request.put(at, &seconds.to_ne_bytes());
        request.put(at + 8, &(rest as i32).to_ne_bytes());
    }
    ioctl(file, SWAP_EXTENTS, &mut request).map(drop)
}

/// A file with these contents that may be changed.
fn donor(contents: &[u8]) -> io::Result<File> {
    let path = format!("{FILES}.donor");
    let mut donor = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    donor.write_all(contents)?;
    donor.sync_all()?;
    Ok(donor)
}

/// `FICLONE` (ioctl_ficlone(2)): two files share their blocks.
const CLONE: u32 = 0x4004_9409;

fn reflink(bitmap: &str) -> io::Result<()> {
    let original = File::open(bitmap)?;
    ioctl_word(&File::create(format!("{FILES}.clone"))?, CLONE, original.as_raw_fd() as usize).map(drop)
}
