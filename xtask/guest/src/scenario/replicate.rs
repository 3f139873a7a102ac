// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl replicate` as it is shipped, on disks that are written to. The host compares the replicas when all is over.

use super::ctl::{ctl, says};
use super::states::{DEFAULT_LIMITS, set_limits, writes};
use crate::sys::{Doing, Step, ensure, open};
use crate::work::{self, buffer::Buffer, file_system, plain};
use crate::world::joined;
use guest::layout::{Disk, LIVE, REPLICA_NODES};
use guest::protocol::CTL;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The disk that is copied more often: the smallest one.
const SMALLEST: usize = 3;
/// Direct writes in each of its steps.
const WRITES: u64 = 150;

/// Every disk at once: copied while it is written to, killed, gone on with, stopped, and in the end up to date.
pub fn scenario() -> Step<String> {
    on_each(|disk, target| {
        killed(disk, target, Duration::from_millis(300))?;
        killed(disk, target, Duration::from_millis(1500))
    })?;
    set_limits((24, 8))?;
    on_each(stopped)?;
    set_limits((0, 0))?;
    on_each(stopped)?;
    set_limits(DEFAULT_LIMITS)?;
    on_each(|disk, target| while_running(disk, target, &["--data"], || written(disk)))?;
    streams(&LIVE[SMALLEST])?;
    compared_in_use(&LIVE[SMALLEST], REPLICA_NODES[SMALLEST])?;
    on_each(file_system_in_use)?;
    missed(&LIVE[SMALLEST], REPLICA_NODES[SMALLEST])?;
    on_each(finished)?;
    Ok(format!("{} disks, each killed twice; one copied anew, one compared in use; streams", LIVE.len()))
}

/// A disk's stream through a pipe into a file, then a stream in a file; `verify` and this program compare.
fn streams(disk: &Disk) -> Step {
    const REPLICA: &str = "/mnt/replica.img";
    const STREAM: &str = "/mnt/changes.ivf";
    let shell = |text: String| {
        let mut drain = Command::new(CTL).args(["drain", disk.node, "--full"]).stdout(Stdio::piped()).spawn();
        let from = drain.as_mut().map(|drain| drain.stdout.take()).doing(|| text.clone())?;
        let from = from.ok_or_else(|| format!("{text}: no pipe"))?;
        let applied = Command::new(CTL).args(["apply", "-", REPLICA]).stdin(from).status().doing(|| text.clone())?;
        let drained = drain.and_then(|mut drain| drain.wait()).doing(|| text.clone())?;
        ensure(applied.success() && drained.success(), || format!("{text}: {drained}, {applied}"))
    };
    shell(format!("involfltctl drain {} --full | involfltctl apply - {REPLICA}", disk.node))?;
    writes(disk, WRITES)?;
    ctl(&["tag", "noon", "--disk", disk.node], 0)?;
    ctl(&["drain", disk.node, "-o", STREAM], 0)?;
    says("apply", &ctl(&["apply", STREAM, REPLICA], 0)?, &["noon"])?;
    says("the same again", &ctl(&["apply", STREAM, REPLICA], 0)?, &["\"bytes\":0"])?;
    ctl(&["verify", disk.node, REPLICA], 0)?;
    // What is in this one is left out.
    fs::remove_file(STREAM).doing(|| STREAM.into())?;
    writes(disk, 1)?;
    ctl(&["drain", disk.node, "-o", STREAM], 0)?;
    fs::remove_file(STREAM).doing(|| STREAM.into())?;
    ctl(&["drain", disk.node, "-o", STREAM], 0)?;
    says("a gap", &ctl(&["apply", STREAM, REPLICA], 2)?, &["a stream is missing"])?;
    [STREAM, REPLICA, "/mnt/replica.img.involflt.json"]
        .iter()
        .try_for_each(|path| fs::remove_file(path).doing(|| path.to_string()))
}

fn on_each<T: Send>(work: impl Fn(&'static Disk, &str) -> Step<T> + Sync) -> Step<Vec<T>> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            (0..LIVE.len()).map(|index| scope.spawn(move || work(&LIVE[index], REPLICA_NODES[index]))).collect();
        threads.into_iter().map(|thread| joined(thread.join())).collect()
    })
}

fn start(disk: &Disk, target: &str, more: &[&str]) -> Step<Child> {
    let arguments = ["--json", "replicate", disk.node, "--to", target, "--interval", "1"];
    let started = Command::new(CTL).args(arguments).args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    started.doing(|| format!("{}: start replicate", disk.name))
}

/// The program ends with SIGKILL in the middle of whatever it does.
fn killed(disk: &Disk, target: &str, after: Duration) -> Step {
    let mut program = start(disk, target, &[])?;
    let wrote = thread::scope(|scope| {
        let writer = scope.spawn(|| writes(disk, WRITES));
        thread::sleep(after);
        let killed = program.kill().doing(|| format!("{}: kill", disk.name));
        joined(writer.join()).and(killed)
    });
    let output = program.wait_with_output().doing(|| format!("{}: wait", disk.name))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure(output.status.code().is_none(), || format!("{}: {}: {said}", disk.name, output.status))?;
    wrote
}

/// The program is told to stop while the disk is written to, and says that it has.
fn stopped(disk: &Disk, target: &str) -> Step {
    while_running(disk, target, &[], || written(disk))
}

fn written(disk: &Disk) -> Step {
    writes(disk, WRITES)?;
    plain::scattered(disk.node, 0, &work::OPEN, 100).map(drop)
}

fn file_system_in_use(disk: &Disk, target: &str) -> Step {
    match disk.partitioned {
        true => while_running(disk, target, &["--data"], || file_system::cycle(disk).map(drop)),
        // It has none.
        false => Ok(()),
    }
}

fn while_running(disk: &Disk, target: &str, more: &[&str], work: impl FnOnce() -> Step) -> Step {
    let program = start(disk, target, more)?;
    let worked = work();
    kill(Pid::from_raw(program.id() as i32), Signal::SIGTERM).doing(|| format!("{}: stop", disk.name))?;
    let output = program.wait_with_output().doing(|| format!("{}: wait", disk.name))?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure(output.status.success() && said.contains("\"stopped\""), || {
        format!("{}: {}: {said} {errors}", disk.name, output.status)
    })?;
    worked
}

/// Filtering stops, and the disk is written to: nobody noted that, so the disk is copied anew.
fn missed(disk: &Disk, target: &str) -> Step {
    once(disk, target)?;
    ctl(&["stop", disk.node], 0)?;
    writes(disk, WRITES)?;
    ctl(&["start", disk.node], 0)?;
    let output = Command::new(CTL).args(["replicate", disk.node, "--to", target, "--once"]).output();
    let output = output.doing(|| format!("{}: replicate", disk.name))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(output.status.success() && said.contains("is copied anew"), || {
        format!("{}: {}: it is not said that it is copied anew: {said}", disk.name, output.status)
    })
}

/// A byte of a replica that nobody writes to meanwhile.
const FLIPPED: u64 = work::CONTROL.start + 1234;

/// The disk is compared with its replica while it is written to; then with one byte of the replica flipped.
fn compared_in_use(disk: &Disk, target: &str) -> Step {
    once(disk, target)?;
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                plain::scattered(disk.node, libc::O_DIRECT, &work::OPEN, 20)?;
            }
            Ok(())
        });
        let compared = flipped_and_found(disk, target);
        ends.store(true, Ordering::Relaxed);
        compared.and(joined(writer.join()))
    })
}

fn flipped_and_found(disk: &Disk, target: &str) -> Step {
    let compare = |tag, code| ctl(&["verify", disk.node, target, "--tag", tag], code);
    compare("in-use", 0)?;
    flip(target)?;
    let found = compare("flipped", 1)?;
    let ranges = found["differs"].as_array().map_or(&[][..], Vec::as_slice);
    ensure(ranges.len() == 1 && ranges[0]["offset"] == FLIPPED / 512 * 512 && ranges[0]["bytes"] == 512, || {
        format!("{}: the byte at {FLIPPED} differs, and {found}", disk.name)
    })?;
    flip(target)?;
    compare("as-before", 0).map(drop)
}

fn flip(target: &str) -> Step {
    let file = open(target, libc::O_DIRECT)?;
    let mut buffer = Buffer::new(4096);
    let start = FLIPPED / 4096 * 4096;
    file.read_exact_at(buffer.bytes_mut(), start).doing(|| target.into())?;
    buffer.bytes_mut()[(FLIPPED - start) as usize] ^= 1;
    file.write_all_at(buffer.bytes(), start).doing(|| target.into())
}

fn once(disk: &Disk, target: &str) -> Step {
    nix::unistd::sync();
    says(disk.name, &ctl(&["replicate", disk.node, "--to", target, "--once"], 0)?, &["up to date"])
}

fn finished(disk: &Disk, target: &str) -> Step {
    writes(disk, WRITES)?;
    once(disk, target)?;
    ctl(&["stop", disk.node], 0).map(drop)
}
