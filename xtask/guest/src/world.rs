// SPDX-License-Identifier: GPL-2.0-only
//! The disks of the VM and the agents that filter them.

use crate::agent::Agent;
use crate::sys::{Failure, Step};
use guest::layout::{DISKS, Disk};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Every agent that is attached; none or one for each of [`DISKS`].
#[derive(Default)]
pub struct World {
    /// In the order of [`DISKS`].
    pub agents: Vec<Mutex<Agent>>,
}

/// Device node of the part of a disk that has the file system.
pub fn file_system_node(disk: &Disk) -> String {
    match disk.node {
        node if !disk.partitioned => node.replace("dm-0", "dm-1"),
        node if node.ends_with(|last: char| last.is_ascii_digit()) => format!("{node}p2"),
        node => format!("{node}2"),
    }
}

impl World {
    /// Attaches every disk, unless they are attached already.
    pub fn attach_all(&mut self) -> Step {
        if self.agents.is_empty() {
            self.agents = DISKS.iter().map(|disk| Agent::attach(disk).map(Mutex::new)).collect::<Step<_>>()?;
        }
        Ok(())
    }

    /// The agent of the disk at `index` of [`DISKS`].
    pub fn agent(&self, index: usize) -> std::sync::MutexGuard<'_, Agent> {
        self.agents[index].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs `work` on several disks at once while all disks are drained at intervals; joins what each says.
    pub fn on_disks(&self, disks: &[Disk], work: impl Fn(&Disk) -> Step<String> + Sync) -> Step<String> {
        let working = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let (working, work) = (&working, &work);
            let drains: Vec<_> =
                (0..self.agents.len()).map(|index| scope.spawn(move || self.drain_while(working, index))).collect();
            let works: Vec<_> = disks.iter().map(|disk| (disk, scope.spawn(move || work(disk)))).collect();
            let said: Vec<_> = works.into_iter().map(|(disk, thread)| (disk.name, joined(thread.join()))).collect();
            working.store(false, Ordering::Relaxed);
            drains.into_iter().try_for_each(|thread| joined(thread.join()))?;
            join_reports(said)
        })
    }

    fn drain_while(&self, working: &AtomicBool, index: usize) -> Step {
        while working.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
            let mut agent = self.agent(index);
            // Writers may be faster than the drain: some batches, not until empty.
            for _ in 0..8 {
                if !agent.drain_once()? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Drains every disk until nothing is left.
    pub fn drain_all(&self) -> Step {
        nix::unistd::sync();
        (0..self.agents.len()).try_for_each(|index| self.agent(index).drain_all())
    }
}

/// What a thread returned; a panic in it is a failure with its text.
pub fn joined<T>(result: std::thread::Result<Step<T>>) -> Step<T> {
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Failure::Failed(format!("panic: {}", text.unwrap_or("without a text"))))
    })
}

/// One line of what was said for each disk, said once where it is the same for all. The first failure wins, and a skip
/// counts only if all skipped.
fn join_reports(said: Vec<(&str, Step<String>)>) -> Step<String> {
    let skipped = said.iter().all(|(_, report)| matches!(report, Err(Failure::Skipped(_))));
    let mut texts = Vec::new();
    for (disk, report) in said {
        match report {
            Ok(text) | Err(Failure::Skipped(text)) => texts.push((disk, text)),
            Err(Failure::Failed(text)) => return Err(Failure::Failed(format!("{disk}: {text}"))),
        }
    }
    let text = match texts.as_slice() {
        [(_, first), rest @ ..] if rest.iter().all(|(_, text)| text == first) => first.clone() + " on each disk",
        _ => texts.iter().map(|(disk, text)| format!("{disk}: {text}")).collect::<Vec<_>>().join("; "),
    };
    if skipped { Err(Failure::Skipped(text)) } else { Ok(text) }
}
