// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask vm powercut`.

use super::{Cut, run, summary};
use crate::error::Result;
use crate::vm::repeat::Repeat;
use std::collections::BTreeMap;

/// Cuts the power of a VM while a disk is written to and replicated, or stops it, again and again, and compares each time.
///
/// The VM's disks are served by this program: of what was written and not flushed, a cut loses any part, torn at sectors.
/// After each cut the replica is brought up to date, by what the driver says, and must be equal.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm powercut --runs 30
  cargo xtask vm powercut --runs 125 --seed 7 --select 'group:default !cloud-amd64'

Exit codes: 0 equal after every cut, 1 not, 2 bad input, 69 a tool, a package or the network is missing.")]
pub struct PowerCut {
    #[command(flatten)]
    repeat: Repeat,
}

impl PowerCut {
    /// Cuts the power of each selected kernel's VM; fails at the first that does not pass.
    pub fn run(self) -> Result<()> {
        let rows = self.repeat.each("powercut", &run)?;
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
