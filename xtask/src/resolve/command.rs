// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask resolve`: asks the archives and writes `kernels.lock`.

use super::{Changes, MatrixArgs, Resolution, lockfile, resolution, verdict};
use crate::display::{self, Format};
use crate::error::{Error, Kind, Result};
use crate::store::Store;
use xshell::Shell;

/// Turns the selectors of kernels.yaml into kernels.lock: exact kernels and packages, out of the archives' own indices.
///
/// The lock file holds what was asked for: the default group, unless --select says otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask resolve
  cargo xtask resolve --offline
  cargo xtask resolve --select group:debian-all --lock /tmp/all.lock
  cargo xtask resolve --select 'debian:bookworm cloud-amd64' --select sid

Exit codes: 0 written or unchanged, 1 a kernel cannot be resolved, 2 bad kernels.yaml or --select, 69 no archive.")]
pub struct Resolve {
    #[command(flatten)]
    matrix: MatrixArgs,
}

impl Resolve {
    /// Resolves and writes the lock file.
    pub fn run(self, _: &Shell) -> Result<()> {
        if self.matrix.locked {
            return Err(Error::input("resolve --locked: the lock file is what resolve writes")
                .note("to see what is in it: cargo xtask matrix --locked"));
        }
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let Resolution { kernels, refused } = resolution(&self.matrix, &store, &*display::open(Some(Format::Plain)))?;
        // A lock without the kernels of an archive that was not reached would be a lock that lost them.
        if refused.iter().any(|one| one.error.kind == Kind::Infra) {
            return verdict(&refused).map_err(|error| error.note("the lock file is left as it was"));
        }
        let path = self.matrix.lock_path();
        // A lock that cannot be read is about to be replaced: it only means that all kernels are new.
        let before = lockfile::read(&path).map_or(Vec::new(), |lock| lock.kernels);
        let report = format!(", {} kernels{}", kernels.len(), Changes::between(&before, &kernels));
        let changed = lockfile::write(&path, &lockfile::render(kernels))?;
        println!("{}: {}{report}", path.display(), if changed { "written" } else { "unchanged" });
        verdict(&refused)
    }
}
