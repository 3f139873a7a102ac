// SPDX-License-Identifier: GPL-2.0-only
//! The scenario `c-agent`: an agent in C that has only `docs/abi.md`, of 64 and of 32 bits.

use crate::agent::{DEVICE, guid};
use crate::module;
use crate::sys::{Doing, Failure, Step, ensure, ioctl, open};
use crate::work::{self, buffer::Buffer};
use guest::layout::{DISKS, Disk};
use guest::protocol::{C_AGENTS, INVOLFLT};
use involflt::abi::request;
use nix::libc;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The steps at which the agent is killed.
const STEPS: [&str; 6] = ["opened", "registered", "started", "barrier", "waiting", "got"];
/// What the kernel does by itself, such as the end of a barrier, is over long before.
const LONG: Duration = Duration::from_secs(20);

/// Both agents, on a blk-mq and on a bio-based disk.
pub fn scenario() -> Step<String> {
    let mut done = Vec::new();
    for (program, bits) in C_AGENTS.iter().zip(["64-bit", "32-bit"]) {
        match Command::new(program).output() {
            // A kernel that runs no 32-bit program needs none of its requests.
            Err(error) if bits == "32-bit" && error.raw_os_error() == Some(libc::ENOEXEC) => {
                done.push("this kernel runs no 32-bit programs");
                continue;
            }
            other => other.doing(|| program.to_string())?,
        };
        for disk in [&DISKS[0], &DISKS[3]] {
            whole(program, disk, &[])?;
            whole(program, disk, &["data"])?;
        }
        killed_at_every_step(program, &DISKS[0])?;
        two(program, &DISKS[0])?;
        stopped(program, &DISKS[0])?;
        done.push(bits);
    }
    module::unload(c"involflt").doing(|| "unload after agents were killed".into())?;
    module::load(INVOLFLT)?;
    Ok(format!("{}; killed at {} steps", done.join(", "), STEPS.len()))
}

/// The program, and its lines.
struct Agent {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    /// The program, which has reached the step.
    fn at(program: &str, disk: &Disk, step: &str) -> Step<Agent> {
        Agent::with(program, disk, step, &[])
    }

    /// The same, with more arguments.
    fn with(program: &str, disk: &Disk, step: &str, more: &[&str]) -> Step<Agent> {
        let mut command = Command::new(program);
        command.args([disk.node, step]).args(more).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().doing(|| program.to_string())?;
        let output = child.stdout.take().ok_or_else(|| format!("{program}: no pipe"))?;
        let mut agent = Agent { child, lines: BufReader::new(output).lines() };
        agent.until(step)?;
        Ok(agent)
    }

    /// The lines up to this one.
    fn until(&mut self, last: &str) -> Step<Vec<String>> {
        let mut lines = Vec::new();
        for line in &mut self.lines {
            let line = line.doing(|| "the agent's output".into())?;
            if line == last {
                return Ok(lines);
            }
            lines.push(line);
        }
        let said = lines.join(", ");
        Err(Failure::Failed(format!("the agent ended before {last:?}: {said}")))
    }

    /// Lets it go on from its step.
    fn go_on(&mut self) -> Step {
        let input = self.child.stdin.as_mut().ok_or_else(|| "the agent has no input".to_string())?;
        input.write_all(b"\n").doing(|| "let the agent go on".into())
    }

    /// Lets it go on to its end; gives what it drained, in the order of the disk, and its tags.
    fn drained(self) -> Step<(Vec<u64>, Vec<String>)> {
        read(&self.finish()?)
    }

    /// Lets it go on from its step to its end; gives what it says meanwhile.
    fn finish(mut self) -> Step<Vec<String>> {
        self.go_on()?;
        let lines = self.until("stopped")?;
        let end = self.child.wait().doing(|| "wait for the agent".into())?;
        ensure(end.success(), || format!("the agent: {end}"))?;
        Ok(lines)
    }

    /// Ends it at once, wherever it is.
    fn kill(mut self) -> Step {
        let start = Instant::now();
        self.child.kill().and_then(|()| self.child.wait()).doing(|| "kill the agent".into())?;
        ensure(start.elapsed() < LONG, || format!("a killed agent was there for {:?}", start.elapsed()))
    }
}

/// What was drained, in the order of the disk, and the tags.
fn read(lines: &[String]) -> Step<(Vec<u64>, Vec<String>)> {
    let tags = lines.iter().filter_map(|line| line.strip_prefix("tag ")).map(str::to_owned).collect();
    Ok((changes(lines)?, tags))
}

/// Numbers of the blocks of 4 KiB whose first 512 bytes have changed.
fn changes(lines: &[String]) -> Step<Vec<u64>> {
    let mut blocks = Vec::new();
    for line in lines {
        let Some(change) = line.strip_prefix("change ") else { continue };
        let numbers: Vec<u64> = change.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [offset, 512] = numbers[..] else { return Err(format!("a change that nobody made: {change}").into()) };
        let inside = work::RELOAD.contains(&offset) && offset % 4096 == 0;
        ensure(inside, || format!("a change that nobody made: {change}"))?;
        blocks.push((offset - work::RELOAD.start) / 4096);
    }
    blocks.sort_unstable();
    Ok(blocks)
}

/// Writes 512 bytes at the beginning of each of these blocks; no two are one extent.
fn write(disk: &Disk, blocks: std::ops::Range<u64>) -> Step {
    let file = open(disk.node, libc::O_DIRECT)?;
    let buffer = Buffer::stamped(512);
    let start = Instant::now();
    for block in blocks {
        let offset = work::RELOAD.start + 4096 * block;
        file.write_all_at(buffer.bytes(), offset).doing(|| format!("{}: write at {offset}", disk.name))?;
    }
    ensure(start.elapsed() < LONG, || format!("{}: writes took {:?}", disk.name, start.elapsed()))
}

/// What is drained is what was written, and one tag; with data, both are in streams.
fn whole(program: &str, disk: &Disk, more: &[&str]) -> Step {
    let agent = Agent::with(program, disk, "started", more)?;
    write(disk, 0..200)?;
    let lines = agent.finish()?;
    let streams = lines.iter().filter(|line| *line == "stream").count();
    ensure(streams == 2 * more.len(), || format!("{program} {more:?}: {streams} streams"))?;
    let (blocks, tags) = read(&lines)?;
    ensure(blocks == (0..200).collect::<Vec<_>>() && tags == ["from C"], || {
        format!("{program}: drained {blocks:?} with the tags {tags:?}")
    })
}

/// A disk that was started is filtered on, and the last agent drains what all of them left.
fn killed_at_every_step(program: &str, disk: &Disk) -> Step {
    let mut written = 0;
    for step in STEPS {
        let agent = Agent::at(program, disk, step)?;
        if step == "waiting" {
            // Into the request itself; where that is not enough, it is killed before it.
            std::thread::sleep(Duration::from_millis(100));
        }
        agent.kill()?;
        if step != "opened" && step != "registered" {
            write(disk, written..written + 10)?;
            written += 10;
        }
    }
    let (blocks, tags) = Agent::at(program, disk, "started")?.drained()?;
    // The one that was killed between get and commit had placed a tag.
    ensure(blocks == (0..written).collect::<Vec<_>>() && tags == ["from C", "from C"], || {
        format!("{program}, after others were killed: drained {blocks:?} with the tags {tags:?}")
    })
}

/// There is one drainer at a time.
fn two(program: &str, disk: &Disk) -> Step {
    let first = Agent::at(program, disk, "registered")?;
    let second = Agent::at(program, disk, "registered").err();
    let refused = format!("error PROCESS_START_NOTIFY {}", libc::EINVAL);
    ensure(matches!(&second, Some(Failure::Failed(text)) if text.contains(&refused)), || {
        format!("{program}: a second agent beside the first: {second:?}")
    })?;
    first.drained().map(drop)
}

/// Somebody else stops the disk.
fn stopped(program: &str, disk: &Disk) -> Step {
    let mut agent = Agent::at(program, disk, "got")?;
    ioctl(&open(DEVICE, 0)?, request::STOP_FILTERING_DEVICE, &mut guid(disk.node))
        .doing(|| format!("{}: stop filtering", disk.name))?;
    agent.go_on()?;
    let answer = agent.until("stopped").err();
    let refused = format!("error COMMIT_DIRTY_BLOCKS_TRANS {}", libc::EBUSY);
    ensure(matches!(&answer, Some(Failure::Failed(text)) if text.contains(&refused)), || {
        format!("{program}: a commit to a disk that was stopped: {answer:?}")
    })?;
    agent.child.wait().doing(|| "wait for the agent".into()).map(drop)
}
