// SPDX-License-Identifier: GPL-2.0-only
//! What was measured, against its limits and the last committed report.

use crate::error::{Error, Result};
use crate::plot::Bar;
use guest::protocol::{Measured, Message, Setting};
use serde::{Deserialize, Serialize};

/// Instructions that a direct write of so many KiB may cost more than without the module, by state.
const LIMITS: [(&str, u32, i64); 6] = [
    (Measured::NOT_FILTERED, 4, 0),
    (Measured::BITMAP, 4, 350),
    (Measured::METADATA, 4, 800),
    (Measured::WRITE_INTENT, 4, 1000),
    (Measured::DATA, 4, 5500),
    (Measured::DATA, 64, 70_000),
];
/// Bytes that an extent may take while it waits.
const EXTENT_LIMIT: f64 = 24.0;
/// Bytes of code that the module may have.
const TEXT_LIMIT: u64 = 150_000;
/// The counts repeat to 0.1 %; a cost of nothing may be as much as that.
const NOISE_PER_MILLE: i64 = 1;

/// `docs/bench.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The kernel that was measured.
    pub kernel: String,
    /// Each setting in each state.
    pub rows: Vec<Row>,
    /// What a write without the module differs by from another measurement of it.
    pub noise: i64,
    /// Instructions to drain an extent.
    pub drain: i64,
    /// Instructions to drain a write of 4 KiB with its data.
    pub drain_data: i64,
    /// Instructions to copy 4 KiB in memory.
    pub copy: i64,
    /// Bytes of memory for an extent that waits, at most.
    pub extent_bytes: f64,
    /// Bytes of memory that attaching a disk of 1 GiB takes.
    pub disk_bytes: u64,
    /// Bytes of code of the module.
    pub text_bytes: u64,
}

/// What one direct write costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Who writes to what, in words.
    pub setting: String,
    /// The driver's state.
    pub state: String,
    /// Instructions without the module.
    pub base: i64,
    /// Instructions more than that.
    pub added: i64,
    /// As many are allowed; writers on several processors wait for each other, which nothing limits.
    pub limit: Option<i64>,
}

impl Report {
    /// Makes sense of what the guests told. Fails where something was not measured.
    pub fn new(kernel: &str, told: &[Message], text_bytes: u64) -> Result<Report> {
        let told = Told(told);
        let one = Setting { disks: 1, writers: 1, written: 1, kib: 4 };
        let (disk_bytes, extents) = told.memory()?;
        Ok(Report {
            kernel: kernel.to_string(),
            rows: told.rows()?,
            noise: told.each(one, Measured::AGAIN)? - told.each(one, Measured::NOT_LOADED)?,
            drain: told.each(one, Measured::DRAIN)?,
            drain_data: told.each(one, Measured::DRAIN_DATA)?,
            copy: told.each(one, Measured::COPY)?,
            extent_bytes: (disk_bytes as f64 / extents as f64 * 10.0).round() / 10.0,
            disk_bytes,
            text_bytes,
        })
    }

    /// The first limit that is not kept.
    pub fn beyond(&self) -> Option<String> {
        let noise = |row: &Row| (row.base * NOISE_PER_MILLE / 1000).max(self.noise.abs());
        let row = self.rows.iter().find(|row| row.limit.is_some_and(|limit| row.added > limit.max(noise(row))));
        if let Some(Row { setting, state, added, limit: Some(limit), .. }) = row {
            return Some(format!("{state}, {setting}: {added} instructions a write, at most {limit} are allowed"));
        }
        if self.extent_bytes > EXTENT_LIMIT {
            return Some(format!("an extent takes {} bytes, at most {EXTENT_LIMIT} are allowed", self.extent_bytes));
        }
        (self.text_bytes > TEXT_LIMIT)
            .then(|| format!("the module has {} bytes of code, at most {TEXT_LIMIT} are allowed", self.text_bytes))
    }

    /// What the picture is called.
    pub fn title(&self) -> String {
        format!("Instructions added to a direct write of 4 KiB, or as said ({})", self.kernel)
    }

    /// The picture's bars, of so many instructions.
    pub fn bars(&self) -> Vec<Bar> {
        let bar = |row: &Row| Bar {
            words: format!("{}, {}", row.setting, row.state),
            length: row.added,
            number: row.added.to_string(),
            limit: row.limit,
        };
        self.rows.iter().map(bar).collect()
    }

    /// Prints all of it, with ratios to a report from before.
    pub fn print(&self, before: Option<&Report>) {
        println!("{}: instructions of a direct write of 4 KiB, where no other length is said", self.kernel);
        println!(
            "  {:<20}{:<14}{:>8}{:>8}{:>8}  ratio to the last commit",
            "setting", "state", "base", "added", "limit"
        );
        for row in &self.rows {
            let same = |other: &&Row| (&other.setting, &other.state) == (&row.setting, &row.state);
            let last = before.and_then(|report| report.rows.iter().find(same));
            let ratio = match last {
                Some(last) if last.added > 0 => format!("{:.3}", row.added as f64 / last.added as f64),
                _ => "-".to_string(),
            };
            let limit = row.limit.map_or("-".to_string(), |limit| limit.to_string());
            println!("  {:<20}{:<14}{:>8}{:>8}{limit:>8}  {ratio}", row.setting, row.state, row.base, row.added);
        }
        println!("  a write without the module, measured again: {:+} instructions", self.noise);
        println!("  to drain an extent: {} instructions", self.drain);
        let ratio = self.drain_data as f64 / self.copy as f64;
        println!(
            "  to drain 4 KiB of data: {} instructions, {ratio:.2} times a copy in memory ({})",
            self.drain_data, self.copy
        );
        println!("  an extent that waits: {} bytes (at most {EXTENT_LIMIT})", self.extent_bytes);
        println!("  a disk of 1 GiB: {} KiB", self.disk_bytes >> 10);
        println!("  the module's code: {} bytes (at most {TEXT_LIMIT})", self.text_bytes);
    }
}

/// Who writes to what, in words.
fn words(setting: Setting) -> String {
    let plural = |count, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let who = match setting.writers {
        1 => plural(setting.disks, "disk"),
        writers => format!("{}, {}", plural(writers, "writer"), plural(setting.disks, "disk")),
    };
    if setting.kib == 4 { who } else { format!("{who}, {} KiB", setting.kib) }
}

struct Told<'a>(&'a [Message]);

impl Told<'_> {
    fn measured(&self) -> impl Iterator<Item = &Measured> {
        self.0.iter().filter_map(|message| match message {
            Message::Measured(measured) => Some(measured),
            _ => None,
        })
    }

    /// Instructions of one write.
    fn each(&self, setting: Setting, state: &str) -> Result<i64> {
        let found = self.measured().find(|measured| measured.setting == setting && measured.state == state);
        let found = found
            .filter(|found| found.writes != 0)
            .ok_or_else(|| Error::kernel(format!("the VM did not measure {state} with {}", words(setting))))?;
        Ok((found.instructions as f64 / found.writes as f64).round() as i64)
    }

    /// The states that have limits, in the order in which they were measured.
    fn rows(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for Measured { setting, state, .. } in self.measured() {
            let limits = |(name, kib, _): &&(&str, u32, i64)| name == state && *kib == setting.kib;
            let Some((.., limit)) = LIMITS.iter().find(limits) else { continue };
            let base = self.each(*setting, Measured::NOT_LOADED)?;
            rows.push(Row {
                setting: words(*setting),
                state: state.clone(),
                base,
                added: self.each(*setting, state)? - base,
                limit: (setting.writers == 1).then_some(*limit),
            });
        }
        let is_missing = |(.., limit): &&(&str, u32, i64)| !rows.iter().any(|row| row.limit == Some(*limit));
        match LIMITS.iter().find(is_missing) {
            None => Ok(rows),
            Some((state, kib, _)) => Err(Error::kernel(format!("the VM measured no state {state} with {kib} KiB"))),
        }
    }

    /// Bytes a disk, and the extents that they are for, from the setting with the most disks.
    fn memory(&self) -> Result<(u64, u64)> {
        let memory = self.0.iter().filter_map(|message| match message {
            Message::Memory { setting, bytes, extents } => Some((setting.disks, *bytes, *extents)),
            _ => None,
        });
        let most = memory.max_by_key(|(disks, ..)| *disks);
        most.map(|(_, bytes, extents)| (bytes, extents)).ok_or_else(|| Error::kernel("the VM measured no memory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Setting = Setting { disks: 1, writers: 1, written: 1, kib: 4 };

    const LARGE: Setting = Setting { kib: 64, ..ONE };

    fn told(costs: [u64; 12]) -> Vec<Message> {
        let states = [
            (ONE, Measured::NOT_LOADED),
            (ONE, Measured::AGAIN),
            (ONE, Measured::NOT_FILTERED),
            (ONE, Measured::BITMAP),
            (ONE, Measured::METADATA),
            (ONE, Measured::WRITE_INTENT),
            (ONE, Measured::DATA),
            (ONE, Measured::DRAIN),
            (ONE, Measured::DRAIN_DATA),
            (ONE, Measured::COPY),
            (LARGE, Measured::NOT_LOADED),
            (LARGE, Measured::DATA),
        ];
        let measured = |((setting, state), cost): ((Setting, &str), u64)| {
            Message::Measured(Measured { setting, state: state.into(), writes: 10, instructions: cost * 10 })
        };
        let memory = Message::Memory { setting: ONE, bytes: 655_360, extents: 65_536 };
        states.into_iter().zip(costs).map(measured).chain([memory]).collect()
    }

    fn report(costs: [u64; 12]) -> Report {
        Report::new("6.1", &told(costs), 1000).unwrap()
    }

    #[test]
    fn a_state_beyond_its_limit_is_named() {
        let beyond = |filtered: [u64; 5]| {
            let [not_filtered, bitmap, metadata, data, large] = filtered;
            report([13_000, 13_001, not_filtered, bitmap, metadata, metadata, data, 50, 60, 70, 20_000, large]).beyond()
        };
        assert_eq!(beyond([13_000, 13_350, 13_800, 18_500, 90_000]), None);
        assert_eq!(beyond([13_013, 13_100, 13_100, 13_100, 20_000]), None, "noise");
        let named = |filtered, name: &str| assert!(beyond(filtered).is_some_and(|what| what.starts_with(name)));
        named([13_014, 13_100, 13_100, 13_100, 20_000], "not-filtered, 1 disk: 14 instructions");
        named([13_000, 13_351, 13_100, 13_100, 20_000], "bitmap, 1 disk: 351 instructions");
        named([13_000, 13_100, 13_100, 18_501, 20_000], "data, 1 disk: 5501 instructions");
        named([13_000, 13_100, 13_100, 13_100, 90_001], "data, 1 disk, 64 KiB: 70001 instructions");
    }

    #[test]
    fn memory_and_code_have_limits_too() {
        let good = report([1000; 12]);
        assert_eq!((good.extent_bytes, good.beyond()), (10.0, None));
        assert!(Report { extent_bytes: 24.1, ..good.clone() }.beyond().is_some());
        assert!(Report { text_bytes: 150_001, ..good }.beyond().is_some());
    }

    #[test]
    fn what_was_not_measured_is_an_error() {
        for missing in 0..13 {
            let mut told = told([1; 12]);
            told.remove(missing);
            assert!(Report::new("6.1", &told, 1).is_err(), "without message {missing}");
        }
    }
}
