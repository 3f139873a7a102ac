// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl verify`.

use crate::blocks::{Blocks, Direct, MAX_READ};
use crate::cli::Report;
use crate::disk::path_of;
use crate::error::{Error, Kind, Result};
use crate::output::{BAD, GOOD, bytes};
use serde_json::json;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Ranges that are named at most.
const NAMED: usize = 16;
/// Bytes that are compared as one.
const BLOCK: usize = 4096;

/// Compares a disk with its replica, byte by byte. Exit code 0 when they are the same, 1 when they differ.
///
/// Nothing may write to either meanwhile. To compare with a live disk, freeze it or compare a snapshot of it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl verify /dev/sdb /dev/sdc
  involfltctl verify sdb /backup/sdb.img --json | jq .differs")]
pub struct Verify {
    /// The disk.
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
    disk: String,
    /// The replica: a block device or a file, at least as large.
    #[arg(value_name = "TARGET", value_hint = clap::ValueHint::AnyPath)]
    target: String,
}

impl Verify {
    /// Compares them.
    pub fn run(self) -> Result<Report> {
        let (mut disk, size) = open(&self.disk)?;
        let (mut target, room) = open(&self.target)?;
        if room < size {
            return Err(Error::input(format!("{}: has {room} bytes, and {} {size}", self.target, self.disk)));
        }
        let differs = compare((&self.disk, &mut disk), (&self.target, &mut target), size)?;
        Ok(self.report(&differs, size))
    }

    fn report(&self, differs: &[(u64, u64)], size: u64) -> Report {
        let total: u64 = differs.iter().map(|(_, length)| length).sum();
        let ranges: Vec<_> =
            differs.iter().map(|(offset, bytes)| json!({ "offset": offset, "bytes": bytes })).collect();
        let json = json!({ "disk": self.disk, "target": self.target, "bytes": size, "differs": ranges });
        if differs.is_empty() {
            let text = format!("{GOOD}the same{GOOD:#}: {} and {}, {}\n", self.disk, self.target, bytes(size));
            return Report::done(text, &json);
        }
        let mut text = format!("{BAD}they differ{BAD:#} in {} of {}:\n", bytes(total), bytes(size));
        let lines = differs.iter().take(NAMED).map(|(offset, length)| format!("  {length} bytes at {offset}\n"));
        text.extend(lines);
        if differs.len() > NAMED {
            text += &format!("  and {} ranges more\n", differs.len() - NAMED);
        }
        Report { failed: Some(Kind::Failed), ..Report::done(text, &json) }
    }
}

fn open(name: &str) -> Result<(Direct, u64)> {
    let device = path_of(name);
    let path = if device.exists() { device } else { PathBuf::from(name) };
    let about = |error: std::io::Error| Error::input(format!("{}: {error}", path.display()));
    let size = File::open(&path).and_then(|mut file| file.seek(SeekFrom::End(0))).map_err(about)?;
    Ok((Direct::open(Path::new(&path)).map_err(about)?, size))
}

/// Offset and length of each range that differs, in whole blocks.
fn compare(disk: (&str, &mut Direct), target: (&str, &mut Direct), size: u64) -> Result<Vec<(u64, u64)>> {
    let mut differs: Vec<(u64, u64)> = Vec::new();
    for offset in (0..size).step_by(MAX_READ) {
        let length = (size - offset).min(MAX_READ as u64) as usize;
        let about = |name: &str, error| Error::failed(format!("{name}: at {offset}: {error}"));
        let one = disk.1.read(offset, length).map_err(|error| about(disk.0, error))?;
        let other = target.1.read(offset, length).map_err(|error| about(target.0, error))?;
        if one == other {
            continue;
        }
        for (index, (one, other)) in one.chunks(BLOCK).zip(other.chunks(BLOCK)).enumerate() {
            let (at, length) = (offset + (index * BLOCK) as u64, one.len() as u64);
            match differs.last_mut() {
                _ if one == other => {}
                Some((start, bytes)) if *start + *bytes == at => *bytes += length,
                _ => differs.push((at, length)),
            }
        }
    }
    Ok(differs)
}
