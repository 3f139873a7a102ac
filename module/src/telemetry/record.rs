// SPDX-License-Identifier: GPL-2.0-only
//! A record: one line of JSON, `{"Map":{"key":"value",…}}`, every value a string.

use super::{name, CODE};
use crate::control::since_1601;
use crate::engine::{Disk, Registry, TagSet};
use crate::platform::{Errno, Platform};
use core::fmt::{self, Write};

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

/// What all records say of a request.
fn request<P: Platform>(line: &mut Line<'_>, registry: &Registry<P>, set: &TagSet<P>, asked: u64) -> fmt::Result {
    line.time("TagRqstTime", asked)?;
    line.text("TagMarkerGUID", set.id.as_bytes())?;
    line.field("NumOfTotalDisk", set.disks())?;
    line.field("NumOfProtectdDisk", registry.disks().count())?;
    line.field("IoctlCode", CODE)?;
    line.time("DrvLoadTime", registry.times.loaded.get())
}

/// The request has failed.
pub fn refused<P: Platform>(
    line: &mut Line<'_>,
    registry: &Registry<P>,
    set: &TagSet<P>,
    asked: u64,
    errno: Errno,
) -> fmt::Result {
    request(line, registry, set, asked)?;
    line.field("GlobalIoctlStatus", -errno.0)?;
    line.field("TagState", "ioctl-failed")
}

/// Nothing more will become of a set's tag on its `index`th disk.
pub fn settled<P: Platform>(
    line: &mut Line<'_>,
    registry: &Registry<P>,
    set: &TagSet<P>,
    index: usize,
    asked: u64,
) -> fmt::Result {
    request(line, registry, set, asked)?;
    line.field("GlobalIoctlStatus", 0)?;
    line.field("TagState", name(set.fate(index)))?;
    line.time("TagInsertTime", set.stamp(index).time())?;
    line.time("TagCompleteTime", P::unix_time())?;
    line.field("TagInWriteOrder", u64::from(set.is_in_write_order(index)))?;
    // One that was stopped meanwhile has no more to say.
    registry.find_id(set.disk(index)).map_or(Ok(()), |disk| state(line, &disk))
}

/// What the disk is doing.
fn state<P: Platform>(line: &mut Line<'_>, disk: &Disk<P>) -> fmt::Result {
    let (tracker, times) = (&disk.tracker, &disk.times);
    line.text("DiskIdentity", disk.persistent_name().as_bytes())?;
    line.text("DiskName", disk.path.as_bytes())?;
    line.field("PendChg", tracker.pending_bytes())?;
    line.field("CountWOSToMD", tracker.capture.data_falls())?;
    line.field("CountWOSToBitmap", tracker.capture.falls())?;
    line.field("MemAllocFailCount", tracker.counters.marked_for_memory())?;
    line.time("DevCntxtCreateTime", times.created.get())?;
    line.time("StartFilterKrnlTime", times.started.get())?;
    line.time("LastDrainDbTime", times.got.get())?;
    line.time("LastCommitDbTime", times.committed.get())?;
    line.time("ClearDiffTime", times.cleared.get())?;
    line.time("DiffSyncThrottleStartTS", times.throttled.get())?;
    line.time("DiffSyncThrottleEndTS", times.unthrottled.get())?;
    if let Some(report) = tracker.resync.report() {
        line.field("LastResyncError", report.hole.number())?;
        line.time("LastResyncTime", report.time)?;
    }
    Ok(())
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
