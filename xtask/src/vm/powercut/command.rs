// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask vm powercut`.

use super::{Cut, Request, run, summary};
use crate::error::Result;
use crate::vm::repeat::Repeat;
use guest::layout::powercut::Bus;
use std::collections::BTreeMap;

/// Cuts the power of a VM while a disk is written to and replicated, or stops it, again and again, and compares each time.
///
/// The VM's disks are served by this program: of what was written and not flushed, a cut loses any part, torn at sectors.
/// After each cut the replica is brought up to date, by what the driver says, and must be equal.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm powercut --runs 30
  cargo xtask vm powercut --write-intent --bus scsi --runs 30
  cargo xtask vm powercut --runs 125 --seed 7 --select 'group:default !cloud-amd64'

Exit codes: 0 equal after every cut, 1 not, 2 bad input, 69 a tool, a package or the network is missing.")]
pub struct PowerCut {
    #[command(flatten)]
    repeat: Repeat,
    /// Puts the source into write-intent mode: then a cut must cost no resync and no full copy either
    #[arg(long)]
    write_intent: bool,
    /// How the disks are connected: SCSI and NVMe disks share one controller
    #[arg(long, value_enum, default_value_t)]
    bus: BusName,
}

/// A [`Bus`] on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum BusName {
    #[default]
    Virtio,
    Scsi,
    Nvme,
}

/// The command with its options, as it is typed once more.
pub fn again(intent: bool, bus: Bus) -> String {
    let intent = if intent { " --write-intent" } else { "" };
    let bus = match bus {
        Bus::Virtio => "",
        Bus::Scsi => " --bus scsi",
        Bus::Nvme => " --bus nvme",
    };
    format!("powercut{intent}{bus}")
}

impl PowerCut {
    /// Cuts the power of each selected kernel's VM; fails at the first that does not pass.
    pub fn run(self) -> Result<()> {
        let intent = self.write_intent;
        let bus = match self.bus {
            BusName::Virtio => Bus::Virtio,
            BusName::Scsi => Bus::Scsi,
            BusName::Nvme => Bus::Nvme,
        };
        let command = again(intent, bus);
        let rows =
            self.repeat.each(&command, &|request, listener| run(&Request { intent, bus, ..*request }, listener))?;
        rows.iter().for_each(|(id, cuts)| print!("{}", table(id, cuts)));
        Ok(())
    }
}

/// How often what was found.
fn table(id: &str, cuts: &[Cut]) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for cut in cuts {
        *counts.entry(summary(cut)).or_default() += 1;
    }
    let mut text = format!("{id}: {} cuts and stops, silently different: 0\n", cuts.len());
    for (said, count) in counts {
        text += &format!("{count:>6}  {said}; equal\n");
    }
    text
}
