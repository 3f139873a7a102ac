// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl bitmap`, which asks no driver.

use crate::cli::Report;
use crate::error::{Error, Kind, Result};
use crate::output::{BAD, Cell, GOOD, WARNING, bytes, table};
use crate::time::Time;
use involflt::persist::{BLOCK, Bits, Blocks, Damage, Header, State, read_bits, read_header, unclean};
use involflt::platform::Errno;
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Looks at a bitmap file: what of a disk's changes outlives a shutdown.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl bitmap check FILE          whether its bits are true
  involfltctl bitmap dump FILE --json    its header, and every extent that changed

Exit codes: 0 the bits are true, 1 they are not, 2 the file cannot be read.")]
pub struct BitmapFile {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Says whether the bits of a file are true, and if not, why.
    #[command(after_help = "Examples:
  involfltctl bitmap check FILE")]
    Check {
        /// The bitmap file.
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Shows the header of a file, and the extents that changed, in bytes from the start of the disk.
    #[command(after_help = "Examples:
  involfltctl bitmap dump FILE --json | jq '.extents[].offset'")]
    Dump {
        /// The bitmap file.
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
}

impl BitmapFile {
    /// Reads the file; nothing is written.
    pub fn run(self) -> Result<Report> {
        match self.command {
            Command::Check { file } => check(&file),
            Command::Dump { file } => dump(&file),
        }
    }
}

/// An extent of the disk, in bytes.
struct Extent {
    offset: u64,
    bytes: u64,
}

/// All that a file says.
struct Found {
    header: Option<Header>,
    /// The extents, or why the bits are not true.
    extents: Result<Vec<Extent>, Damage>,
}

/// `involfltctl bitmap check FILE`.
pub fn check(path: &Path) -> Result<Report> {
    let found = Found::read(path)?;
    Ok(Report { text: found.verdict(path), json: found.json(path), failed: found.failed() })
}

/// `involfltctl bitmap dump FILE`.
pub fn dump(path: &Path) -> Result<Report> {
    let found = Found::read(path)?;
    let mut text = found.verdict(path);
    if let Some(header) = &found.header {
        let rows: Vec<_> = fields(header).into_iter().map(|(name, value)| [name.into(), Cell::from(value)]).collect();
        text += &format!("\n{}", table(["NAME", "VALUE"], &rows));
    }
    let mut json = found.json(path);
    if let Ok(extents) = &found.extents {
        let row = |extent: &Extent| [extent.offset, extent.bytes].map(|number| Cell::from(number.to_string()));
        let rows: Vec<_> = extents.iter().map(row).collect();
        text += &format!("\n{}", table(["OFFSET", "BYTES"], &rows));
        let extents = extents.iter().map(|extent| json!({ "offset": extent.offset, "bytes": extent.bytes }));
        json["extents"] = extents.collect();
    }
    Ok(Report { text, json, failed: found.failed() })
}

impl Found {
    fn read(path: &Path) -> Result<Found> {
        let cannot = |error: std::io::Error| Error::input(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(Error::input(format!("{}: is not a regular file", path.display())));
        }
        let mut file = ReadOnly { file, blocks: metadata.len() / BLOCK as u64 };
        let mut block = Box::new([0; BLOCK]);
        Ok(match read_header(&mut file, &mut block) {
            Err(damage) => Found { header: None, extents: Err(damage) },
            Ok(header) => Found { extents: extents(&mut file, &header, &mut block), header: Some(header) },
        })
    }

    fn failed(&self) -> Option<Kind> {
        self.extents.is_err().then_some(Kind::Failed)
    }

    fn dirty_bytes(&self) -> Option<u64> {
        self.extents.as_ref().ok().map(|extents| extents.iter().map(|extent| extent.bytes).sum())
    }

    fn verdict(&self, path: &Path) -> String {
        let path = path.display();
        match &self.extents {
            Ok(extents) => {
                let (dirty, count) = (bytes(self.dirty_bytes().unwrap_or(0)), extents.len());
                let hole = self.header.as_ref().and_then(|header| header.resync);
                let hole = hole
                    .map_or(String::new(), |_| format!("; {WARNING}resync required{WARNING:#} before it was closed"));
                format!("{path}: {GOOD}clean{GOOD:#}, {dirty} changed in {count} extents{hole}\n")
            }
            Err(damage) => format!("{path}: {BAD}resync required{BAD:#}: {}\n", reason(*damage)),
        }
    }

    fn json(&self, path: &Path) -> Value {
        json!({
            "file": path,
            "clean": self.extents.is_ok(),
            "damage": self.extents.as_ref().err().map(|damage| reason(*damage)),
            "header": self.header.as_ref().map(header_json),
            "dirty_bytes": self.dirty_bytes(),
        })
    }
}

fn extents(file: &mut ReadOnly, header: &Header, block: &mut [u8; BLOCK]) -> Result<Vec<Extent>, Damage> {
    if let Some(damage) = unclean(file, header) {
        return Err(damage);
    }
    let mut extents = Vec::new();
    read_bits(file, header, block, |bits| add(&mut extents, &bits, header))?;
    Ok(extents)
}

/// Adds what the block's bits are for. A bit past the disk's end is for nothing.
fn add(extents: &mut Vec<Extent>, bits: &Bits<'_>, header: &Header) {
    let capacity = header.sectors.saturating_mul(512);
    for (index, word) in bits.words().filter(|(_, word)| *word != 0) {
        let set = (0..64).filter(|bit| word >> bit & 1 == 1).map(|bit| index * 64 + bit);
        for bit in set.take_while(|bit| *bit < header.bits()) {
            let offset = bit << header.block_shift;
            let bytes = (1 << header.block_shift).min(capacity - offset);
            match extents.last_mut() {
                Some(last) if last.offset + last.bytes == offset => last.bytes += bytes,
                _ => extents.push(Extent { offset, bytes }),
            }
        }
    }
}

fn reason(damage: Damage) -> String {
    match damage {
        Damage::NotOurs => "no whole header: not a bitmap file of this version".into(),
        Damage::OtherDisk => "it is another disk's".into(),
        Damage::OtherSize => "the disk has another size".into(),
        Damage::InUse => "in use: the driver has it open, or the machine stopped without closing it".into(),
        Damage::Truncated => "it ends before its last block".into(),
        Damage::Block(index) => format!("block of bits {index} is damaged"),
        Damage::Stale => "a block of bits is older than the header".into(),
        Damage::Unreadable(Errno(number)) => {
            format!("it cannot be read: {}", std::io::Error::from_raw_os_error(number))
        }
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Clean => "clean",
        State::InUse => "in use",
    }
}

fn hex(identity: &[u8]) -> String {
    identity.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name(header: &Header) -> String {
    let end = header.name.iter().position(|byte| *byte == 0).unwrap_or(header.name.len());
    // A damaged name must not move a terminal's cursor.
    String::from_utf8_lossy(&header.name[..end]).escape_debug().to_string()
}

fn fields(header: &Header) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("disk", name(header)),
        ("identity", hex(&header.identity)),
        ("generation", header.generation.to_string()),
        ("state", state(header.state).into()),
        ("size", bytes(header.sectors.saturating_mul(512))),
        ("a bit is for", bytes(1 << header.block_shift)),
        ("latest stamp", Time::from_units(header.stamp.time()).to_string()),
    ];
    if let Some(hole) = header.resync {
        fields.push((
            "resync",
            format!("reason {}, {} times since {}", hole.reason, hole.count, Time::from_units(hole.time)),
        ));
    }
    fields
}

fn header_json(header: &Header) -> Value {
    let hole = |hole: involflt::persist::Resync| json!({ "reason": hole.reason, "count": hole.count, "time": Time::from_units(hole.time) });
    json!({
        "disk": name(header),
        "identity": hex(&header.identity),
        "generation": header.generation,
        "state": state(header.state),
        "sectors": header.sectors,
        "block_bytes": 1_u64 << header.block_shift,
        "stamp": header.stamp.time(),
        "resync": header.resync.map(hole),
    })
}

/// A file that is never written.
struct ReadOnly {
    file: File,
    blocks: u64,
}

impl Blocks for ReadOnly {
    fn blocks(&self) -> u64 {
        self.blocks
    }

    fn read(&mut self, index: u64, to: &mut [u8; BLOCK]) -> Result<(), Errno> {
        let offset = index.checked_mul(BLOCK as u64).ok_or(Errno::INVAL)?;
        let read = self.file.read_exact_at(to, offset);
        read.map_err(|error| error.raw_os_error().map_or(Errno::INVAL, Errno))
    }

    fn write(&mut self, _: u64, _: &[u8; BLOCK]) -> Result<(), Errno> {
        Err(Errno::PERM)
    }

    fn flush(&mut self) -> Result<(), Errno> {
        Err(Errno::PERM)
    }
}
