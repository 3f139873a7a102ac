// SPDX-License-Identifier: GPL-2.0-only
//! A machine whose power is cut, or that stops in an orderly way: what it finds when it starts, and then work, until the next end.

use crate::agent::Agent;
use crate::channel::Channel;
use crate::module;
use crate::order::{bring_scsi, number_namespaces, wait_for};
use crate::sys::{Doing, Step, ensure, open};
use crate::work::buffer::Buffer;
use crate::work::{Area, Random};
use guest::layout::Disk;
use guest::layout::powercut::{Bus, Disks, SOURCE_SIZE};
use guest::protocol::{CTL, INVOLFLT, Message, Standing};
use nix::libc;
use nix::mount::{MsFlags, mount};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Kernel argument, and so variable of the environment, with the number that all random ones come from.
pub const SEED: &str = "powercut_seed";
/// Kernel argument of a machine that stops by itself: after so many milliseconds of work at most.
const STOPS: &str = "powercut_stops";
/// Where the file system is that outlives the machine.
const KEPT: &str = "/mnt/kept";
/// Where involfltctl notes what the replica has.
const REPLICAS: &str = "/var/lib/involflt/replicas";

/// Brings the replica up to date, tells what came of it, and works until the power is cut or the machine is to stop.
pub fn run(channel: &mut Channel, intent: bool, bus: Bus) -> Step {
    let disks = bus.disks();
    let source = &disks.source;
    let nodes = [source.node, disks.replica, disks.state];
    match bus {
        Bus::Virtio => {}
        Bus::Scsi => bring_scsi(&nodes)?,
        Bus::Nvme => number_namespaces(&nodes)?,
    }
    // A node is there some time before it can be opened.
    nodes.iter().try_for_each(|node| wait_for(&format!("{node} to open"), || File::open(node).is_ok()))?;
    keep_state(disks.state)?;
    module::load(INVOLFLT)?;
    let resync = Agent::attach(source)?.resync_reason()?;
    if intent {
        attribute(source, "set", &["1"])?;
    }
    let standing = Standing { resync, copy: catch_up(disks)? };
    channel.send(&Message::Survived { standing, different: first_difference(disks)? });
    if intent {
        // The file is written past its file system, then by way of it.
        Agent::attach(source)?.remove()?;
        let resync = Agent::attach(source)?.resync_reason()?;
        ensure(resync.is_none(), || format!("a removal in write-intent mode: {resync:?}"))?;
    }
    channel.send(&Message::Working);
    work(disks, !intent)?;
    if intent {
        let mode = attribute(source, "get", &[])?;
        ensure(mode == "1\n", || format!("WriteIntent is {mode:?}"))?;
    }
    let resync = Agent::attach(source)?.resync_reason()?;
    let standing = Standing { copy: resync.is_some() || !is_whole()?, resync };
    // As at every orderly stop: what is mounted is written back and read-only, then the machine is switched off.
    nix::unistd::sync();
    let remount = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, KEPT, None::<&str>, remount, None::<&str>).doing(|| format!("remount {KEPT}"))?;
    channel.send(&Message::Stopping { standing });
    Ok(())
}

/// The directories of the driver and of involfltctl on a file system that outlives the machine.
fn keep_state(state: &str) -> Step {
    fs::create_dir_all(KEPT).doing(|| KEPT.into())?;
    mount(Some(state), KEPT, Some("ext4"), MsFlags::empty(), None::<&str>).doing(|| format!("mount {state}"))?;
    fs::create_dir_all("/var/lib").doing(|| "/var/lib".into())?;
    fs::create_dir_all("/etc").doing(|| "/etc".into())?;
    for (name, path) in [("vxagent", "/etc/vxagent"), ("involflt", "/var/lib/involflt")] {
        let kept = format!("{KEPT}/{name}");
        fs::create_dir_all(&kept).doing(|| kept.clone())?;
        symlink(&kept, path).doing(|| path.into())?;
    }
    Ok(())
}

/// Whether the replica has a whole copy: a replication that was killed may have left a part.
fn is_whole() -> Step<bool> {
    let mut whole = false;
    for file in fs::read_dir(REPLICAS).doing(|| REPLICAS.into())? {
        let path = file.doing(|| REPLICAS.into())?.path();
        whole = fs::read_to_string(&path).doing(|| path.display().to_string())?.contains(r#""has":"all""#);
    }
    Ok(whole)
}

/// Whether there was a full copy.
fn catch_up(disks: &Disks) -> Step<bool> {
    let said = said(&["replicate", disks.source.node, "--to", disks.replica, "--once", "--overwrite"])?;
    Ok(said.contains("full copy"))
}

/// Sets or gets the attribute of write-intent mode.
fn attribute(disk: &Disk, verb: &str, value: &[&str]) -> Step<String> {
    said(&[&["attr", verb, "WriteIntent"], value, &["--disk", disk.node]].concat())
}

/// What involfltctl says, where it succeeds.
fn said(arguments: &[&str]) -> Step<String> {
    let output = Command::new(CTL).args(arguments).output().doing(|| CTL.into())?;
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    ensure(output.status.success(), || format!("{}: {}: {said}", arguments[0], output.status))?;
    Ok(said)
}

/// The first byte of the source that the replica does not have.
fn first_difference(disks: &Disks) -> Step<Option<u64>> {
    const CHUNK: usize = 1 << 20;
    let (source, replica) = (open(disks.source.node, libc::O_DIRECT)?, open(disks.replica, libc::O_DIRECT)?);
    let (mut left, mut right) = (Buffer::new(CHUNK), Buffer::new(CHUNK));
    for at in (0..SOURCE_SIZE).step_by(CHUNK) {
        source.read_exact_at(left.bytes_mut(), at).doing(|| disks.source.node.into())?;
        replica.read_exact_at(right.bytes_mut(), at).doing(|| disks.replica.into())?;
        let different = left.bytes().iter().zip(right.bytes()).position(|(left, right)| left != right);
        if let Some(offset) = different {
            return Ok(Some(at + offset as u64));
        }
    }
    Ok(None)
}

/// Writes of all kinds, a replication that is killed and goes on, and where it is asked for starts and ends of filtering.
fn work(disks: &'static Disks, removes: bool) -> Step {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let most = std::env::var(STOPS).ok().and_then(|most| most.parse::<u64>().ok());
    let end = most.map(|most| Instant::now() + Duration::from_millis(Random::new(seed).below(most + 1)));
    let end = &move || end.is_some_and(|end| Instant::now() >= end);
    thread::scope(|scope| {
        let writers: Vec<_> = [libc::O_DIRECT, 0]
            .into_iter()
            .enumerate()
            .map(|(index, flags)| {
                let random = Random::new(seed + index as u64);
                scope.spawn(move || write(&disks.source, flags, &half(index as u64), random, end))
            })
            .collect();
        let lifecycle = scope.spawn(move || replicate(disks, &mut Random::new(seed + 99), removes, end));
        writers.into_iter().chain([lifecycle]).try_for_each(|thread| crate::world::joined(thread.join()))
    })
}

/// Each writer has its own: a direct write beside a buffered one makes an fsync fail.
fn half(index: u64) -> Area {
    index * SOURCE_SIZE / 2..(index + 1) * SOURCE_SIZE / 2
}

fn write(disk: &Disk, flags: i32, area: &Area, mut random: Random, end: &dyn Fn() -> bool) -> Step {
    let file: File = open(disk.node, flags)?;
    while !end() {
        let length = 512 << random.below(8);
        let offset = random.place(area, length, 512);
        file.write_all_at(Buffer::stamped(length as usize).bytes(), offset).doing(|| format!("write at {offset}"))?;
        if random.below(8) == 0 {
            file.sync_all().doing(|| "fsync".into())?;
        }
    }
    file.sync_all().doing(|| "fsync".into())
}

fn replicate(disks: &'static Disks, random: &mut Random, removes: bool, end: &dyn Fn() -> bool) -> Step {
    while !end() {
        let mut replicate = Command::new(CTL)
            .args(["replicate", disks.source.node, "--to", disks.replica])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| CTL.into())?;
        thread::sleep(Duration::from_millis(100 + random.below(1500)));
        replicate.kill().and_then(|()| replicate.wait()).doing(|| "kill replicate".into())?;
        if random.below(2) == 0 && removes {
            Agent::attach(&disks.source)?.remove()?;
        }
    }
    // What is written from here on is tracked.
    Agent::attach(&disks.source).map(drop)
}
