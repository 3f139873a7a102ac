// SPDX-License-Identifier: GPL-2.0-only
//! A disk's statistics, from the driver's text of `key: value` lines.

use crate::time::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the driver says of a bitmap file that it does not read yet: `EAGAIN`.
const BEFORE_ROOT: &str = "none, error 11";

/// What the driver says of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Capture state: `bitmap`, `metadata` or `data`.
    pub state: String,
    /// Size of the disk in bytes.
    pub size_bytes: u64,
    /// Size in bytes of a block, the unit in which changes are tracked in the bitmap state.
    pub block_bytes: u64,
    /// Bytes that have changed and are not drained yet.
    pub pending_bytes: u64,
    /// Why the disk must be copied anew, if it must.
    pub resync: Option<Resync>,
    /// The driver was loaded before the root file system was there, and has not been told that it is: what was kept of the
    /// disk is not taken over, and nothing is delivered.
    #[serde(skip)]
    pub before_root: bool,
    /// Every other number that the driver tells, by its name.
    pub counters: BTreeMap<String, u64>,
}

/// Tracking of a disk has a hole: it must be copied anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resync {
    /// Code of the first reason.
    pub code: u64,
    /// Text of the first reason.
    pub reason: String,
    /// How many reasons there were.
    pub count: u64,
    /// When the first came; `None` from a driver that does not say.
    pub time: Option<Time>,
}

impl Statistics {
    /// Whether some of what waits is in dirty bits, as far as the numbers tell: then the disk takes no tag.
    pub fn has_dirty_bits(&self) -> bool {
        let count = |name| self.counters.get(name).copied().unwrap_or(0);
        let notes = count("pending_extents") + count("pending_data_changes");
        self.state == "bitmap" || (self.pending_bytes > 0 && notes == 0)
    }

    /// Reads the driver's text. Keys that are not known and not numbers are left out; fails with one line of what is
    /// missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        let mut values: BTreeMap<&str, &str> = lines.collect();
        let mut take = |key: &str| values.remove(key).ok_or_else(|| format!("its answer has no line \"{key}: …\""));
        let state = take("state")?.to_string();
        let size_bytes = number("size_bytes", take("size_bytes")?)?;
        let block_bytes = number("block_bytes", take("block_bytes")?)?;
        let pending_bytes = number("pending_bytes", take("pending_bytes")?)?;
        let resync = match take("resync_required")? {
            "no" => None,
            "yes" => Some(Resync::parse(take("resync_reason")?, take("resync_count")?, take("resync_time").ok())?),
            other => return Err(format!("\"resync_required: {other}\" is neither yes nor no")),
        };
        let before_root = values.get("bitmap_file") == Some(&BEFORE_ROOT);
        let counters = values.iter().filter_map(|(key, value)| Some((key.to_string(), value.parse().ok()?))).collect();
        Ok(Statistics { state, size_bytes, block_bytes, pending_bytes, resync, before_root, counters })
    }
}

impl Resync {
    fn parse(reason: &str, count: &str, time: Option<&str>) -> Result<Self, String> {
        let (code, text) = reason.split_once(' ').unwrap_or((reason, ""));
        let digits = code.strip_prefix("0x").unwrap_or(code);
        let code = u64::from_str_radix(digits, 16).map_err(|error| format!("resync_reason {reason:?}: {error}"))?;
        let time = time.map(|time| number("resync_time", time)).transpose()?.map(Time::from_units);
        Ok(Resync { code, reason: text.to_string(), count: number("resync_count", count)?, time })
    }
}

fn number(key: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|error| format!("{key} {value:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "state: bitmap\nsize_bytes: 1048576\nblock_bytes: 4096\npending_bytes: 8192\nwrites: 3\n\
                        mode: new\nresync_required: yes\nresync_reason: 0x19 an operation\nresync_count: 2\n";

    #[test]
    fn a_driver_that_says_more_is_understood() {
        let statistics = Statistics::parse(GOOD).unwrap();
        assert_eq!(statistics.counters, BTreeMap::from([("writes".to_string(), 3)]));
        let resync = Resync { code: 0x19, reason: "an operation".into(), count: 2, time: None };
        assert_eq!(statistics.resync, Some(resync));
        let timed = Statistics::parse(&format!("{GOOD}resync_time: 10000000\n")).unwrap();
        assert_eq!(timed.resync.unwrap().time, Some(Time::from_units(10_000_000)));
    }

    #[test]
    fn a_text_that_lacks_a_line_or_has_a_bad_number_is_an_error_that_names_it() {
        for key in ["state", "size_bytes", "pending_bytes", "resync_required", "resync_count"] {
            let without: String =
                GOOD.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
            assert!(Statistics::parse(&without).unwrap_err().contains(key));
        }
        let bad = GOOD.replace("8192", "many");
        assert_eq!(Statistics::parse(&bad).unwrap_err(), "pending_bytes \"many\": invalid digit found in string");
        assert!(Statistics::parse(&GOOD.replace("yes", "perhaps")).unwrap_err().contains("neither yes nor no"));
    }
}
