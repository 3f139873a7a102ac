// SPDX-License-Identifier: GPL-2.0-only
//! The scenario `bookmarks`: `involfltctl` as it is shipped sets replicas to tags, which must be what the disks were there.

use super::ctl::ctl;
use crate::dm;
use crate::sys::{Doing, Step, ensure, open};
use crate::work::{OPEN, buffer::Buffer, file_system, plain};
use crate::world::{file_system_node, joined};
use guest::layout::{Disk, FS_START, FileSystem, LIVE, NEXT_DM_NODE, RAW_START, REPLICA_NODES};
use guest::protocol::CTL;
use nix::libc;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const TAGS: usize = 50;
/// A blk-mq disk with ext4, and a bio-based one. The second is written to only after the first.
const PAIR: [usize; 2] = [0, 3];
/// A disk with xfs.
const XFS: usize = 1;
const PATIENCE: Duration = Duration::from_secs(60);

/// 50 tags on two disks, the one written to after the other; then tags on file systems that are frozen.
pub fn scenario() -> Step<String> {
    let replicas = PAIR.map(Replica::of);
    let rounds = tagged(&replicas)?;
    // Before the first round there are the random bytes that a disk began with.
    let round = |replica, tag| set_to(replica, tag).map(|number| if number <= rounds { number } else { 0 });
    for tag in (0..TAGS).rev() {
        let [first, second] = [round(&replicas[0], tag)?, round(&replicas[1], tag)?];
        ensure(second <= first && first <= second + 1, || {
            format!("at tag {tag} the first disk has round {first}, and the second {second}")
        })?;
    }
    replicas.iter().try_for_each(|replica| replica.set(None))?;
    let xfs = Replica::of(XFS);
    [&replicas[0], &xfs].into_iter().try_for_each(frozen)?;
    replicas.iter().chain([&xfs]).try_for_each(Replica::forget)?;
    Ok(format!("{TAGS} tags in {rounds} rounds of writes; a frozen ext4 and a frozen xfs need no recovery"))
}

/// A disk, its replica and the journal of that.
struct Replica {
    disk: &'static Disk,
    target: String,
    journal: String,
}

impl Replica {
    fn of(index: usize) -> Self {
        let disk = &LIVE[index];
        Replica { disk, target: REPLICA_NODES[index].to_string(), journal: format!("/mnt/{}.journal", disk.name) }
    }

    /// Starts to replicate, and waits until the driver captures data.
    fn start(&self) -> Step<Child> {
        let log = format!("{}.log", self.journal);
        let log = File::create(&log).doing(|| log)?;
        let mut command = Command::new(CTL);
        command.args(["--json", "replicate", self.disk.node, "--to", &self.target, "--interval", "1"]);
        command.args(["--journal", &self.journal]).stdout(Stdio::null()).stderr(log);
        let started = command.spawn().doing(|| format!("{}: replicate", self.disk.name))?;
        self.until_it_says("caught-up")?;
        until(
            || format!("{}: no data is captured", self.disk.name),
            || Ok(ctl(&["status", self.disk.node], 0)?["disks"][0]["state"] == "data"),
        )?;
        Ok(started)
    }

    fn until_it_says(&self, text: &str) -> Step {
        let log = format!("{}.log", self.journal);
        until(
            || format!("{}: replicate does not say {text:?}: {:?}", self.disk.name, fs::read_to_string(&log)),
            || Ok(fs::read_to_string(&log).is_ok_and(|said| said.contains(text))),
        )
    }

    fn stop(&self, mut program: Child) -> Step {
        kill(Pid::from_raw(program.id() as i32), Signal::SIGTERM).doing(|| format!("{}: stop", self.disk.name))?;
        let status = program.wait().doing(|| format!("{}: wait", self.disk.name))?;
        let said = || fs::read_to_string(format!("{}.log", self.journal));
        ensure(status.success(), || format!("{}: replicate: {status}: {:?}", self.disk.name, said()))
    }

    fn set(&self, tag: Option<&str>) -> Step {
        let until_tag = tag.map(|tag| ["--until-tag", tag]);
        let arguments = until_tag.iter().flatten().copied();
        let arguments: Vec<_> = ["apply", &self.journal, &self.target].into_iter().chain(arguments).collect();
        ctl(&arguments, 0).map(drop)
    }

    /// Another scenario may use the disk and the target.
    fn forget(&self) -> Step {
        ctl(&["stop", self.disk.node], 0)?;
        fs::remove_dir_all(&self.journal).doing(|| self.journal.clone())
    }
}

fn until(what: impl FnOnce() -> String, mut is_so: impl FnMut() -> Step<bool>) -> Step {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if is_so()? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    ensure(false, what)
}

fn name(tag: usize) -> String {
    format!("tag-{tag:02}")
}

/// Rounds of writes while tags are placed; both disks have other writes, too. Gives the number of rounds.
fn tagged(replicas: &[Replica; 2]) -> Step<u64> {
    let programs = [replicas[0].start()?, replicas[1].start()?];
    let ends = AtomicBool::new(false);
    let rounds = thread::scope(|scope| {
        let ends = &ends;
        let writer = scope.spawn(move || write_in_order(ends));
        let loads =
            PAIR.map(|index| scope.spawn(move || plain::scattered(LIVE[index].node, libc::O_DIRECT, &OPEN, 200)));
        let placed = (0..TAGS).try_for_each(|tag| ctl(&["tag", &name(tag)], 0).map(drop));
        ends.store(true, Ordering::Relaxed);
        loads.into_iter().try_for_each(|load| joined(load.join()).map(drop))?;
        let rounds = joined(writer.join())?;
        placed.map(|()| rounds)
    })?;
    for (replica, program) in replicas.iter().zip(programs) {
        replica.until_it_says(&name(TAGS - 1))?;
        replica.stop(program)?;
        let shown = ctl(&["journal", &replica.journal], 0)?;
        let tags = shown["tags"].as_array().cloned().unwrap_or_default();
        let is_exact = tags.iter().all(|tag| tag["is_exact"] == true);
        ensure(tags.len() == TAGS && is_exact, || format!("{}: {TAGS} true tags are not {shown}", replica.disk.name))?;
    }
    Ok(rounds)
}

/// Writes the number of each round to the first disk, and when that is durable to the second one.
fn write_in_order(ends: &AtomicBool) -> Step<u64> {
    let flags = libc::O_DIRECT | libc::O_DSYNC;
    let files = [open(LIVE[PAIR[0]].node, flags)?, open(LIVE[PAIR[1]].node, flags)?];
    let mut round = 0;
    while !ends.load(Ordering::Relaxed) {
        round += 1;
        let buffer = Buffer::numbered(4096, round);
        files.iter().try_for_each(|file| file.write_all_at(buffer.bytes(), RAW_START)).doing(|| format!("{round}"))?;
    }
    Ok(round)
}

/// Sets a replica to a tag; gives the number of the round that it has there.
fn set_to(replica: &Replica, tag: usize) -> Step<u64> {
    replica.set(Some(&name(tag)))?;
    let mut number = [0; 8];
    let mut buffer = Buffer::new(4096);
    let file = open(&replica.target, libc::O_DIRECT)?;
    file.read_exact_at(buffer.bytes_mut(), RAW_START).doing(|| replica.target.clone())?;
    number.copy_from_slice(&buffer.bytes()[..8]);
    Ok(u64::from_le_bytes(number))
}

/// A file system is tagged while it is frozen and written to. The replica at the tag needs no replay of its journal.
fn frozen(replica: &Replica) -> Step {
    let (disk, at) = (replica.disk, format!("/mnt/{}", replica.disk.name));
    fs::create_dir_all(&at).doing(|| at.clone())?;
    let program = replica.start()?;
    let write = |name: &str| fs::write(format!("{at}/{name}"), name.repeat(5000)).doing(|| name.into());
    file_system::mounted(disk, &at, || {
        write("before")?;
        ctl(&["tag", "frozen", "--freeze", &file_system_node(disk), "--disk", disk.node], 0)?;
        write("behind")
    })?;
    replica.until_it_says("\"frozen\"")?;
    replica.stop(program)?;
    replica.set(Some("frozen"))?;
    dm::linear("bookmark", &replica.target, FS_START, disk.size - FS_START)?;
    let checked = clean(NEXT_DM_NODE, disk.file_system, &at);
    dm::remove("bookmark").and(checked)?;
    replica.set(None)
}

/// Where ext4's superblock is, its magic number there, and the features that a file system to be recovered has one more of.
const SUPERBLOCK: u64 = 1024;
const MAGIC: (usize, u16) = (0x38, 0xef53);
const INCOMPATIBLE: (usize, u8) = (0x60, 0x04);

fn clean(device: &str, kind: FileSystem, at: &str) -> Step {
    let options = match kind {
        FileSystem::Ext4 => needs_no_recovery(device).map(|()| None)?,
        // A freeze leaves one record in its log, of the superblock; without that all must be there.
        FileSystem::Xfs => Some("norecovery"),
    };
    mount(Some(device), at, Some(kind.name()), MsFlags::MS_RDONLY, options).doing(|| format!("mount {device}"))?;
    let before = fs::read_to_string(format!("{at}/before"));
    let behind = fs::exists(format!("{at}/behind"));
    umount(at).doing(|| format!("unmount {device}"))?;
    ensure(before.is_ok_and(|text| text == "before".repeat(5000)), || {
        "what was written before the tag differs".into()
    })?;
    ensure(behind.is_ok_and(|is_there| !is_there), || "what was written behind the tag is there".into())
}

fn needs_no_recovery(ext4: &str) -> Step {
    let mut superblock = [0; 1024];
    open(ext4, 0)?.read_exact_at(&mut superblock, SUPERBLOCK).doing(|| ext4.into())?;
    let magic = u16::from_le_bytes([superblock[MAGIC.0], superblock[MAGIC.0 + 1]]);
    let is_clean = magic == MAGIC.1 && superblock[INCOMPATIBLE.0] & INCOMPATIBLE.1 == 0;
    ensure(is_clean, || format!("{ext4}: ext4 at the tag has to be recovered"))
}
