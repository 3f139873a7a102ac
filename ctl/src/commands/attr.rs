// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl attr`.

use super::stop::named;
use crate::cli::Report;
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::output::{Cell, table};
use crate::request::Transport;
use involflt::abi::attribute::{common, disk};
use serde_json::json;

/// Shows and sets attributes: tunables of the driver, and facts and switches of a disk.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl attr list
  involfltctl attr list sdb
  involfltctl attr get DirtyBlockHighWaterMarkServiceRunning
  involfltctl attr set VolumeDrainBlocked 1 --disk sdb")]
pub struct Attr {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Shows every attribute of the driver, or of a disk.
    #[command(after_help = "Examples:
  involfltctl attr list
  involfltctl attr list sdb --json")]
    List {
        /// A filtered disk [default: the driver's own].
        #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
        disk: Option<String>,
    },
    /// Shows an attribute.
    #[command(after_help = "Examples:
  involfltctl attr get DirtyBlockHighWaterMarkServiceRunning
  involfltctl attr get VolumeDrainBlocked --disk sdb")]
    Get {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// The filtered disk that it is of [default: the driver].
        #[arg(long, value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
        disk: Option<String>,
    },
    /// Sets an attribute.
    #[command(after_help = "Examples:
  involfltctl attr set DataPoolSize 512                 in MiB
  involfltctl attr set VolumeDrainBlocked 1 --disk sdb
  involfltctl attr set WriteIntent 1 --disk sdb         a power cut costs no resync")]
    Set {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// Its new value, a number.
        #[arg(value_name = "VALUE")]
        value: u64,
        /// The filtered disk that it is of [default: the driver].
        #[arg(long, value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
        disk: Option<String>,
    },
}

/// Names and indexes.
type Attributes = &'static [(&'static str, u32)];

/// The ABI's tables, as far as this driver has them.
const DRIVER: Attributes = &[
    ("DirtyBlockHighWaterMarkServiceNotStarted", common::HIGH_WATER_NOT_STARTED),
    ("DirtyBlockLowWaterMarkServiceRunning", common::LOW_WATER_RUNNING),
    ("DirtyBlockHighWaterMarkServiceRunning", common::HIGH_WATER_RUNNING),
    ("DirtyBlockHighWaterMarkServiceShutdown", common::HIGH_WATER_SHUTDOWN),
    ("VolumeDataFiltering", common::DATA_FILTERING),
    ("SequenceNumber", common::SEQUENCE),
    ("MaxCoalescedMetaDataChangeSize", common::MAX_COALESCED),
    ("VacpIObarrierTimeout", common::BARRIER_TIMEOUT),
    ("FsFreezeTimeout", common::FREEZE_TIMEOUT),
    ("VacpAppTagCommitTimeout", common::TAG_TIMEOUT),
];
const DISK: Attributes = &[
    ("VolumeFilteringDisabled", disk::FILTERING_DISABLED),
    ("VolumeDataFiltering", disk::DATA_FILTERING),
    ("VolumeDataFiles", disk::DATA_FILES),
    ("VolumeBitmapGranularity", disk::GRANULARITY),
    ("VolumeResyncRequired", disk::RESYNC_REQUIRED),
    ("VolumeOutOfSyncErrorCode", disk::RESYNC_CODE),
    ("VolumeOutOfSyncErrorStatus", disk::RESYNC_STATUS),
    ("VolumeOutOfSyncCount", disk::RESYNC_COUNT),
    ("VolumeOutOfSyncTimeStamp", disk::RESYNC_TIME),
    ("VolumeNblks", disk::BLOCKS),
    ("VolumeBsize", disk::BLOCK_BYTES),
    ("VolumePrevEndTimeStamp", disk::PREVIOUS_TIME),
    ("VolumePrevEndSequenceNumber", disk::PREVIOUS_SEQUENCE),
    ("VolumePrevSequenceIDforSplitIO", disk::PREVIOUS_SPLIT),
    ("VolumeRpoTimeStamp", disk::OLDEST),
    ("VolumeDrainBlocked", disk::DRAIN_BLOCKED),
    ("WriteIntent", disk::WRITE_INTENT),
];

impl Attr {
    /// Asks or tells this machine's driver.
    pub fn run(self) -> Result<Report> {
        let driver = Driver::open()?;
        match &self.action {
            Action::List { disk } => list(&driver, disk.as_deref()),
            Action::Get { name, disk } => get(&driver, disk.as_deref(), name),
            Action::Set { name, value, disk } => set(&driver, disk.as_deref(), name, *value),
        }
    }
}

/// Of whom the attributes are: the driver's name of a disk, or nothing for the driver itself; and which there are.
fn owner(driver: &Driver<impl Transport>, disk: Option<&str>) -> Result<(Option<String>, Attributes)> {
    match disk {
        None => Ok((None, DRIVER)),
        Some(disk) => Ok((named(&driver.protected()?, &[disk.to_string()])?.pop(), DISK)),
    }
}

fn index(known: Attributes, name: &str) -> Result<u32> {
    let found = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, index)| *index).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        Error::input(format!("{name}: there is no such attribute")).note(format!("one of: {}", names.join(", ")))
    })
}

/// Every attribute.
pub fn list(driver: &Driver<impl Transport>, disk: Option<&str>) -> Result<Report> {
    let (owner, known) = owner(driver, disk)?;
    let value = |(name, index): &(&str, u32)| Ok((name.to_string(), driver.attribute(owner.as_deref(), *index)?));
    let values = known.iter().map(value).collect::<Result<Vec<_>>>()?;
    let rows: Vec<_> = values.iter().map(|(name, value)| [name.as_str(), value.as_str()].map(Cell::from)).collect();
    let json: serde_json::Map<_, _> = values.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    Ok(Report::done(table(["ATTRIBUTE", "VALUE"], &rows), &json))
}

/// One attribute.
pub fn get(driver: &Driver<impl Transport>, disk: Option<&str>, name: &str) -> Result<Report> {
    let (owner, known) = owner(driver, disk)?;
    let value = driver.attribute(owner.as_deref(), index(known, name)?)?;
    Ok(Report::done(format!("{value}\n"), &json!({ "name": name, "value": value })))
}

/// Sets one.
pub fn set(driver: &Driver<impl Transport>, disk: Option<&str>, name: &str, value: u64) -> Result<Report> {
    let (owner, known) = owner(driver, disk)?;
    driver.set_attribute(owner.as_deref(), index(known, name)?, &value.to_string())?;
    Ok(Report::done(format!("{name}: {value}\n"), &json!({ "name": name, "value": value.to_string() })))
}
