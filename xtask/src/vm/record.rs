// SPDX-License-Identifier: GPL-2.0-only
//! What came from a guest, and the verdicts on it.

use super::judge::{self, Part};
use super::{ScenarioResult, disks, emulator, kernel_log};
use crate::error::Result;
use crate::result::{DiskVerdict, Status};
use guest::extents::Extents;
use guest::layout::{DISKS, Disk, LIVE, replica_offset};
use guest::protocol::{JUDGE, JUDGE_CONTROL, KERNEL_LOG, Message, Outcome, REPLICA, REPLICATE};
use std::collections::BTreeMap;
use std::path::Path;

/// Lines of the console that are shown where a run ended early.
const LAST_LINES: usize = 12;

/// Gathers a guest's messages.
pub struct Record {
    wanted: Vec<String>,
    results: Vec<ScenarioResult>,
    running: Option<String>,
    kernel: Option<String>,
    drained: BTreeMap<String, Extents>,
    controls: BTreeMap<String, (u64, u64)>,
    abort: Option<String>,
    finished: bool,
}

impl Record {
    /// Expects the results of these scenarios.
    pub fn new(wanted: Vec<String>) -> Record {
        Record {
            wanted,
            results: Vec::new(),
            running: None,
            kernel: None,
            drained: BTreeMap::new(),
            controls: BTreeMap::new(),
            abort: None,
            finished: false,
        }
    }

    /// Takes a message; the name of the scenario that it begins, if it does.
    pub fn take(&mut self, message: Message) -> Option<String> {
        match message {
            Message::Ready { kernel } => self.kernel = Some(kernel),
            Message::Begin { scenario } => {
                self.running = Some(scenario.clone());
                return Some(scenario);
            }
            Message::End { scenario, outcome, detail, millis } => {
                self.running = None;
                self.results.push(ScenarioResult { name: scenario, status: status(outcome), detail, millis });
            }
            Message::Drained { disk, extents } => {
                let all = self.drained.entry(disk).or_default();
                extents.into_iter().for_each(|(offset, length)| all.insert(offset, length));
            }
            Message::Control { disk, offset, length } => {
                self.controls.insert(disk, (offset, length));
            }
            Message::Abort { reason } => self.abort = Some(reason),
            Message::Finished => self.finished = true,
            // Only a bench measures.
            Message::Measured(_) | Message::Memory { .. } => {}
            // And only a machine whose power is cut says these.
            Message::Survived { .. } | Message::Working | Message::Restarting | Message::Stopping { .. } => {}
        }
        None
    }

    /// Whether the guest program came to run; before that nothing of ours is in the VM.
    pub fn is_begun(&self) -> bool {
        self.kernel.is_some() || self.abort.is_some()
    }

    /// The run is over: what did not come to a result has failed or was not reached, and the kernel log is searched.
    pub fn close(&mut self, end: emulator::End, console: &str, release: &str) {
        let last = || format!("; the console's last lines:\n{}", kernel_log::tail(console, LAST_LINES));
        let early = match (&self.abort, self.finished, end, &self.kernel) {
            (Some(reason), ..) => Some(reason.clone()),
            (None, false, emulator::End::Silent, _) => Some(format!("the VM hung and was ended{}", last())),
            (None, false, emulator::End::Overdue, _) => Some(format!("the VM took too long and was ended{}", last())),
            (None, false, emulator::End::Exited, None) => {
                Some(format!("the VM ended before the guest program ran{}", last()))
            }
            (None, false, emulator::End::Exited, Some(_)) => Some(format!("the VM ended early{}", last())),
            (None, true, _, Some(kernel)) if kernel != release => {
                Some(format!("the kernel that booted is {kernel}, not {release}"))
            }
            (None, true, ..) => None,
        };
        if let Some(early) = early {
            self.fail(&early);
        }
        for name in &self.wanted {
            if !self.results.iter().any(|result| &result.name == name) {
                self.results.push(result(name, Status::Skipped, "the run ended before it".into()));
            }
        }
        let complaint = kernel_log::complaint(console);
        let status = if complaint.is_some() { Status::Failed } else { Status::Passed };
        self.results.push(result(KERNEL_LOG.name, status, complaint.unwrap_or("no complaint").into()));
    }

    /// Blames the scenario that ran, or the first one that did not come to run, or the last one.
    fn fail(&mut self, why: &str) {
        let reached = |name: &&String| self.results.iter().any(|result| &result.name == *name);
        let blamed = self.running.take().or_else(|| self.wanted.iter().find(|name| !reached(name)).cloned());
        let blamed = blamed.or_else(|| self.results.pop().map(|last| last.name));
        if let Some(name) = blamed {
            self.results.push(result(&name, Status::Failed, why.into()));
        }
    }

    /// Judges every disk that was worked on, and tests the judge with the write that it is not told of.
    pub fn judge(&mut self, before: &Path, after: &Path) -> Result<Vec<DiskVerdict>> {
        let mut verdicts = Vec::new();
        let (mut missed_at, mut wrong) = (Vec::new(), Vec::new());
        for disk in &DISKS {
            let Some(&(offset, length)) = self.controls.get(disk.name) else { continue };
            let mut drained = self.drained.remove(disk.name).unwrap_or_default();
            let finding = judge_disk(disk, before, after, &drained)?;
            if let Some(first) = finding.first_missed {
                missed_at.push(format!("{}: {} blocks missed, the first at {first}", disk.name, finding.missed));
            }
            drained.remove(offset, length);
            let control = judge_disk(disk, before, after, &drained)?;
            let one_more = finding.missed + length / judge::BLOCK as u64;
            if finding.changed == 0 || control.missed != one_more {
                wrong.push(format!("{}: {} missed, {one_more} were expected", disk.name, control.missed));
            }
            let (changed, reported, missed) = (finding.changed, finding.reported, finding.missed);
            verdicts.push(DiskVerdict { disk: disk.name.into(), changed, reported, missed });
        }
        let count = verdicts.len();
        self.add_verdict(JUDGE.name, missed_at, count, "nothing missed");
        self.add_verdict(JUDGE_CONTROL.name, wrong, count, "found");
        Ok(verdicts)
    }

    /// Compares each replica with its disk, where the guest says that it has made them. Not a word where nobody asked for it.
    pub fn compare_replicas(&mut self, images: &Path) -> Result<()> {
        if !self.wanted.iter().any(|name| name == REPLICATE) {
            return Ok(());
        }
        let made = |result: &ScenarioResult| result.name == REPLICATE && result.status == Status::Passed;
        let mut wrong = Vec::new();
        let count = if self.results.iter().any(made) { LIVE.len() } else { 0 };
        for (index, disk) in LIVE.iter().enumerate().take(count) {
            let source = (&*images.join(disks::file_name(disk)), Part { offset: disk.image_offset, size: disk.size });
            let replica = (&*images.join(disks::REPLICAS), Part { offset: replica_offset(index), size: disk.size });
            if let Some(offset) = judge::first_difference(source, replica)? {
                wrong.push(format!("{}: the replica differs from byte {offset} on", disk.name));
            }
        }
        self.add_verdict(REPLICA.name, wrong, count, "the same");
        Ok(())
    }

    fn add_verdict(&mut self, name: &str, wrong: Vec<String>, judged: usize, good: &str) {
        let (status, detail) = match judged {
            0 => (Status::Skipped, "no disk was worked on".into()),
            _ if wrong.is_empty() => (Status::Passed, format!("{good} on each of {judged} disks")),
            _ => (Status::Failed, wrong.join("; ")),
        };
        self.results.push(result(name, status, detail));
    }

    /// Every result, in the order of the scenarios.
    pub fn results(self) -> Vec<ScenarioResult> {
        let place = |result: &ScenarioResult| super::scenarios().position(|scenario| scenario.name == result.name);
        let mut results = self.results;
        results.sort_by_key(|result| place(result).unwrap_or(usize::MAX));
        results
    }
}

fn judge_disk(disk: &Disk, before: &Path, after: &Path, drained: &Extents) -> Result<judge::Finding> {
    let name = disks::file_name(disk);
    judge::judge(&before.join(&name), &after.join(&name), Part { offset: disk.image_offset, size: disk.size }, drained)
}

fn status(outcome: Outcome) -> Status {
    match outcome {
        Outcome::Passed => Status::Passed,
        Outcome::Failed => Status::Failed,
        Outcome::Skipped => Status::Skipped,
    }
}

fn result(name: &str, status: Status, detail: String) -> ScenarioResult {
    ScenarioResult { name: name.into(), status, detail, millis: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(messages: Vec<Message>) -> Record {
        let mut record = Record::new(vec!["load".into(), "direct".into(), "discard".into()]);
        record.take(Message::Ready { kernel: "6.1.0".into() });
        messages.into_iter().for_each(|message| drop(record.take(message)));
        record
    }

    fn begin(name: &str) -> Message {
        Message::Begin { scenario: name.into() }
    }

    fn passed(name: &str) -> Message {
        Message::End { scenario: name.into(), outcome: Outcome::Passed, detail: String::new(), millis: 1 }
    }

    fn statuses(record: Record) -> Vec<(String, Status)> {
        record.results().into_iter().map(|result| (result.name, result.status)).collect()
    }

    fn expected(list: [(&str, Status); 4]) -> Vec<(String, Status)> {
        list.into_iter().map(|(name, status)| (name.to_string(), status)).collect()
    }

    use Status::{Failed, Passed, Skipped};

    #[test]
    fn a_run_that_ends_early_fails_what_ran_and_skips_the_rest() {
        let mut record = record(vec![begin("load"), passed("load"), begin("direct")]);
        record.close(emulator::End::Exited, "a\nKernel panic - not syncing\n", "6.1.0");
        let direct = record.results.iter().find(|result| result.name == "direct").unwrap();
        assert!(direct.detail.starts_with("the VM ended early; the console's last lines:\na\nKernel panic"));
        let list = [("load", Passed), ("direct", Failed), ("discard", Skipped), ("kernel-log", Failed)];
        assert_eq!(statuses(record), expected(list));
    }

    #[test]
    fn a_run_without_the_last_word_is_no_success() {
        let all = ["load", "direct", "discard"].into_iter().flat_map(|name| [begin(name), passed(name)]).collect();
        let mut hung = record(all);
        hung.close(emulator::End::Silent, "quiet\n", "6.1.0");
        let list = [("load", Passed), ("direct", Passed), ("discard", Failed), ("kernel-log", Passed)];
        assert_eq!(statuses(hung), expected(list));
    }

    #[test]
    fn another_kernel_than_the_locked_one_is_no_success() {
        let mut record = record(vec![begin("load"), passed("load"), Message::Finished]);
        record.close(emulator::End::Exited, "quiet\n", "7.3.4");
        assert!(record.results.iter().any(|result| result.detail == "the kernel that booted is 6.1.0, not 7.3.4"));
    }
}
