// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask build-matrix`: every kernel of a selection built, checked, booted and reported.

use crate::error::Result;
use crate::executor::Executor;
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::plan::Plan;
use crate::report;
use crate::resolve::{self, lockfile};
use crate::result::Row;
use crate::run::RunArgs;
use crate::work_tree;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use xshell::Shell;

/// Builds, checks and boots involflt.ko for every kernel of a selection, and reports in dist/.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask build-matrix --setup                      install what is missing, then the default group
  cargo xtask build-matrix --select debian:bookworm     one release
  cargo xtask build-matrix --locked --offline           exactly kernels.lock, from the store alone
  cargo xtask build-matrix --since dist/kernels.lock    what has come or changed since the last time
  cargo xtask build-matrix --executor slurm --sbatch=--partition=build
                                                        on a cluster, with the store on a file system that it shares
  cargo xtask build-matrix --shared-store oci://registry.example/farm/store
                                                        what other machines built is taken from there")]
pub struct BuildMatrix {
    #[command(flatten)]
    run: RunArgs,
    /// Kernels worked on at once [default: the number of processors].
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Build and check only: boot nothing.
    #[arg(long)]
    no_boot: bool,
    /// Build modules that record what becomes of tags (docs/telemetry.md).
    #[arg(long)]
    telemetry: bool,
    /// Work on kernels that are new or changed since this lock, and on those of which the results have no good row; keep the
    /// other rows and their modules
    #[arg(long, value_name = "LOCK")]
    since: Option<PathBuf>,
    #[command(flatten)]
    executor: Executor,
}

impl BuildMatrix {
    /// Runs the command. Fails with exit code 1 when some kernel failed; its row says why.
    pub fn run(self, _: &Shell) -> Result<()> {
        let mut run = self.run.open(self.executor.shard.is_none())?;
        let matrix = &self.run.matrix;
        let resolution = resolve::resolution(matrix, &run.store, &run.listener)?;
        let kept = match &self.since {
            Some(lock) => kept(&lockfile::read(lock)?.kernels, &resolution.kernels, &self.run.dist)?,
            None => BTreeMap::new(),
        };
        let (offline, boot, telemetry) = (matrix.offline, !self.no_boot, self.telemetry.into());
        let (dist, keys) = (self.run.dist.clone(), run.keys.take());
        let source = ModuleSource::read(&work_tree::top().join("module"))?;
        let plan = Plan { offline, boot, telemetry, jobs: self.jobs, dist, keys, source, kept };
        let (outcome, resolution) = self.executor.run(&plan, resolution, matrix, &run.store, &run.listener)?;
        run.close(&outcome)?;
        resolve::verdict(&resolution.refused)
    }
}

/// The rows of `dist` of kernels that are in both lists, and the same.
fn kept(before: &[LockedKernel], now: &[LockedKernel], dist: &Path) -> Result<BTreeMap<String, Row>> {
    let matrix = dist.join(report::MATRIX);
    if !matrix.exists() {
        return Ok(BTreeMap::new());
    }
    let rows = report::read(&matrix)?.rows.into_iter();
    let is_same = |row: &Row| now.iter().any(|kernel| kernel.id() == row.id && before.contains(kernel));
    Ok(rows.filter(is_same).map(|row| (row.id.clone(), row)).collect())
}
