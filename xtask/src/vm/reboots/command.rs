// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask vm reboots`.

use super::{FileSystem, run};
use crate::error::Result;
use crate::vm::repeat::Repeat;

/// Reboots a VM again and again, whose root's disk is filtered from before the root is there, and looks at every file.
///
/// Before half of the stops somebody tries to remove, replace, cut, punch, defragment or reflink the bitmap file. On ext4 that is
/// refused, no reboot costs a resync, and no block is missed that changed from one power-off to the next; there every third boot
/// is two, of which the first kernel starts the second by kexec. On xfs and btrfs each reboot must say that a resync is required,
/// and why.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm reboots --runs 200
  cargo xtask vm reboots --runs 20 --file-system btrfs --select 'group:default !cloud-amd64'

Exit codes: 0 all is as it was after every reboot, 1 not, 2 bad input, 69 a tool, a package or the network is missing.")]
pub struct RebootsCommand {
    #[command(flatten)]
    repeat: Repeat,
    /// The root's file system
    #[arg(long, value_enum, default_value_t = FileSystem::Ext4)]
    file_system: FileSystem,
}

impl RebootsCommand {
    /// Reboots each selected kernel's VM; fails at the first reboot that does not pass.
    pub fn run(self) -> Result<()> {
        let kind = self.file_system;
        let rows = self.repeat.each("reboots", &|request, listener| run(request, kind, listener))?;
        rows.iter().for_each(|(id, done)| println!("{id}: {done}"));
        Ok(())
    }
}
