// SPDX-License-Identifier: GPL-2.0-only
//! A record: one line of JSON, `{"Map":{"key":"value",…}}`, every value a string.

use super::counts::{Mark, Marks, Seen};
use crate::abi::request;
use crate::control::since_1601;
use crate::engine::{Disk, Fate, Registry, Service, Stamp, State, TagSet, PROMISED_BYTES};
use crate::platform::{Errno, Mutex, Platform};
use core::fmt::{self, Write};

/// Longest record, in bytes: a page.
pub const LONGEST: usize = 4096;
/// The ABI's number of this kind of tag: of one machine, without its programs' help.
const LOCAL_CRASH: u32 = 1;
/// Bytes of the pages that the ABI counts memory in.
const PAGE: u64 = 4096;
/// What the ABI sets in numbers that a driver has made.
const BY_DRIVER: u64 = 1 << 58;
/// What the ABI sets in the messages of Linux.
const LINUX: u32 = 0x6000_0000;

/// The keys of the counts at the tag before, when the tag was placed, and when the last one was drained.
const BEFORE: [&str; 7] = [
    "PendChgPrev",
    "ChurnPrev",
    "DrainDBCountPrev",
    "RevertDBCountPrev",
    "CommitDBCountPrev",
    "DrainDataPrevInBytes",
    "CommitDbFailPrev",
];
const PLACED: [&str; 7] = [
    "PendChgOnInsert",
    "ChurnCurr",
    "DrainDBCountCurr",
    "RevertDBCountCurr",
    "CommitDBCountCurr",
    "DrainDataCurr",
    "CommitDbFailCurr",
];
const DRAINED: [&str; 7] = [
    "PendChgToCmp",
    "ChurnToCmp",
    "DrainDBCountCmp",
    "RevertDBCountCmp",
    "CommitDBCountCmp",
    "DrainDataToCmp",
    "CommitDbFailToCmp",
];

/// A line that is being written. It is whole or not there: what does not fit is an error.
pub struct Line<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let to = self.room.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        to.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl<'a> Line<'a> {
    /// Begins a record with its number, and how many were lost before it.
    pub fn new(room: &'a mut [u8], number: u64, lost: u64, now: u64) -> Result<Self, fmt::Error> {
        let mut line = Line { room, length: 0 };
        write!(line, "{{\"Map\":{{\"EventRecId\":\"{number}\"")?;
        line.field("SrcLoggerTime", since_1601(now))?;
        line.field("Lost", lost)?;
        Ok(line)
    }

    fn field(&mut self, key: &str, value: impl fmt::Display) -> fmt::Result {
        write!(self, ",\"{key}\":\"{value}\"")
    }

    fn time(&mut self, key: &str, time: u64) -> fmt::Result {
        self.field(key, since_1601(time))
    }

    /// A stamp, under a key for its time and one for its sequence.
    fn stamp(&mut self, [time, sequence]: [&str; 2], stamp: Stamp) -> fmt::Result {
        self.time(time, stamp.time())?;
        self.field(sequence, stamp.sequence())
    }

    fn counts(&mut self, keys: [&str; 7], seen: Seen) -> fmt::Result {
        keys.into_iter().zip(seen).try_for_each(|(key, value)| self.field(key, value))
    }

    /// Text that somebody else has chosen: what JSON has a meaning for, and what is no printable ASCII, is a `?`.
    fn text(&mut self, key: &str, text: &[u8]) -> fmt::Result {
        write!(self, ",\"{key}\":\"")?;
        for &byte in text {
            let plain = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
            self.write_char(if plain { char::from(byte) } else { '?' })?;
        }
        self.write_str("\"")
    }

    /// Ends the record; its length in bytes.
    pub fn end(mut self) -> Result<usize, fmt::Error> {
        self.write_str("}}\n")?;
        Ok(self.length)
    }
}

/// What has become of a tag, by the ABI's numbers: its status, and the message that says so.
fn outcome(fate: Fate) -> (u32, u32) {
    match fate {
        Fate::Drained => (12, 16),
        Fate::Revoked => (8, 17),
        Fate::Deleted => (2, 18),
        _ => (9, 15),
    }
}

/// The same of a request that has failed.
const FAILED: (u32, u32) = (11, 19);

/// A set of tags that was asked for.
pub struct Asked<'a, P: Platform> {
    /// What it was asked of.
    pub registry: &'a Registry<P>,
    /// The set.
    pub set: &'a TagSet<P>,
    /// When it was asked for, in 100 ns since the Unix epoch.
    pub time: u64,
}

impl<P: Platform> Asked<'_, P> {
    /// The request has failed.
    pub fn refused(&self, line: &mut Line<'_>, errno: Errno) -> fmt::Result {
        self.request(line, -i64::from(errno.0))?;
        end(line, FAILED)
    }

    /// Nothing more will become of the set's tag on its `index`th disk.
    pub fn settled(&self, line: &mut Line<'_>, index: usize, marks: &Marks<P>) -> fmt::Result {
        self.request(line, 0)?;
        let (fate, before) = (self.set.fate(index), marks.before(index));
        line.field("TagStatus", if self.set.is_placed(index) { 0 } else { -Errno::AGAIN.0 })?;
        line.stamp(["PrevTagEndTS", "PrevTagEndSeq"], before.stamp)?;
        line.stamp(["TagEndTS", "TagEndSeq"], self.set.stamp(index))?;
        line.time("TagInsertTime", self.set.stamp(index).time())?;
        line.time("TagCompleteTime", P::unix_time())?;
        line.field("TagInWriteOrder", u64::from(self.set.is_in_write_order(index)))?;
        line.time("LastTagInsertTime", before.stamp.time())?;
        line.counts(BEFORE, before.seen)?;
        line.counts(PLACED, marks.placed(index).seen)?;
        // One that was stopped meanwhile has no more to say.
        if let Some(disk) = self.registry.find_id(self.set.disk(index)) {
            drained(line, &disk, fate, self.set.stamp(index))?;
            line.field("DiskBlendedState", self.blended(&disk))?;
            state(line, &disk)?;
        }
        end(line, outcome(fate))
    }

    /// What all records say of a request, which has ended with `status`.
    fn request(&self, line: &mut Line<'_>, status: i64) -> fmt::Result {
        let Asked { registry, set, .. } = self;
        line.time("TagRqstTime", self.time)?;
        line.field("TagType", LOCAL_CRASH)?;
        line.text("TagMarkerGUID", set.id.as_bytes())?;
        line.field("NumOfTotalDisk", set.disks())?;
        line.field("NumOfProtectdDisk", registry.disks().count())?;
        line.field("NumOfTaggedDisk", (0..set.disks()).filter(|index| set.is_placed(*index)).count())?;
        line.field("IoctlCode", request::IOBARRIER_TAG_VOLUME)?;
        line.field("GlobalIoctlStatus", status)?;
        let jump = registry.churn.with_always(|churn| churn.last_jump());
        line.time("TimeJumpDetectedTS", jump.map_or(0, |jump| jump.expected))?;
        line.time("TimeJumpedTS", jump.map_or(0, |jump| jump.found))?;
        line.time("DrvLoadTime", registry.times.loaded.get())?;
        line.time("LastSVStart", registry.times.service_came.get())?;
        line.time("LastSVStop", registry.times.service_went.get())
    }

    /// The bits of the ABI's blended state that this driver knows of.
    fn blended(&self, disk: &Disk<P>) -> u64 {
        let bits = [
            (1, disk.times.throttled.get() != 0),
            (2, P::common().service() != Service::Running),
            (4, !self.registry.has_drainer()),
            (8, true),
            (0x10, disk.tracker.resync.report().is_some()),
        ];
        bits.into_iter().filter(|(_, is_set)| *is_set).fold(BY_DRIVER, |all, (bit, _)| all | bit)
    }
}

/// What ends a record.
fn end(line: &mut Line<'_>, (status, message): (u32, u32)) -> fmt::Result {
    line.field("TagState", status)?;
    line.field("MessageType", LINUX | message)
}

/// The disk's last tag that was drained; this one is from now on where that has become of it.
fn drained<P: Platform>(line: &mut Line<'_>, disk: &Disk<P>, fate: Fate, stamp: Stamp) -> fmt::Result {
    let last = disk.counts.drained();
    let seen = if fate == Fate::Drained { disk.counts.seen(&disk.tracker) } else { last.seen };
    if fate == Fate::Drained {
        disk.counts.set_drained(Mark { stamp, seen });
    }
    line.time("LastSuccessInsertTime", last.stamp.time())?;
    line.counts(DRAINED, seen)
}

/// What the disk is doing.
fn state<P: Platform>(line: &mut Line<'_>, disk: &Disk<P>) -> fmt::Result {
    let (tracker, times) = (&disk.tracker, &disk.times);
    line.text("DiskIdentity", disk.persistent_name().as_bytes())?;
    line.text("DiskName", disk.path.as_bytes())?;
    line.stamp(["PrevCommittedTS", "PrevCommittedSeq"], disk.counts.end())?;
    capture(line, disk)?;
    line.field("MemAllocFailCount", tracker.counters.marked_for_memory())?;
    line.field("DevContextFlags", u64::from(disk.is_read_only()) << 1)?;
    line.time("DevCntxtCreateTime", times.created.get())?;
    line.time("StartFilterKrnlTime", times.started.get())?;
    line.time("LastDrainDbTime", times.got.get())?;
    line.time("LastCommitDbTime", times.committed.get())?;
    line.time("ClearDiffTime", times.cleared.get())?;
    line.time("DiffSyncThrottleStartTS", times.throttled.get())?;
    line.time("DiffSyncThrottleEndTS", times.unthrottled.get())?;
    line.time("ResyncStartTime", times.resync_started.get())?;
    line.time("ResyncEndTime", times.resync_ended.get())?;
    let report = tracker.resync.report();
    line.field("LastResyncError", report.map_or(0, |report| report.hole.code()))?;
    line.time("LastResyncTime", report.map_or(0, |report| report.time))
}

/// The disk's capture state, how it came to it, and the memory for data.
fn capture<P: Platform>(line: &mut Line<'_>, disk: &Disk<P>) -> fmt::Result {
    let (capture, turns) = (&disk.tracker.capture, &disk.tracker.capture.turns);
    let mode = if capture.state() == State::Data { 2 } else { 1 };
    line.field("WoFlags", BY_DRIVER | turns.before() << 4 | (capture.state() as u64) << 2 | mode)?;
    line.field("CountWOSToMD", capture.data_falls())?;
    line.field("CountWOSToMDUser", turns.asked())?;
    line.field("CountWOSToBitmap", capture.falls())?;
    line.time("LastWoTime", turns.changed.get())?;
    line.field("MDChangesPending", capture.extents())?;
    line.field("NonWoSReason", turns.why())?;
    line.field("NewWoState", turns.fell_to())?;
    line.field("OldStateDuration", turns.seconds())?;
    line.time("SysTimeAtWOSChange", turns.fell.get())?;
    let memory = capture.data_memory();
    line.field("MemAllocDevCntxt", memory / PAGE)?;
    line.field("MemResDevCntxt", PROMISED_BYTES / PAGE)?;
    line.field("MemFreeDevCntxt", PROMISED_BYTES.saturating_sub(memory) / PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_inside_its_string_and_a_line_is_whole_or_not_there() {
        let mut room = [0; 200];
        let mut line = Line::new(&mut room, 7, 0, 0).unwrap();
        line.text("DiskName", b"a\"},\\\n\xffz").unwrap();
        let length = line.end().unwrap();
        let text = core::str::from_utf8(&room[..length]).unwrap();
        assert!(text.ends_with(",\"DiskName\":\"a?},???z\"}}\n"), "{text}");
        let mut short = [0; 30];
        assert!(Line::new(&mut short, 7, 0, 0).and_then(|line| line.end()).is_err());
    }
}
