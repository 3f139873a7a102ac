// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask gather`: what shards built, elsewhere, made into one `dist/`, as if it had been built here.

use crate::build::{Built, Farm};
use crate::core_object::Telemetry;
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::last_good::LastGood;
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::plan::{self, Outcome, Plan};
use crate::resolve::{self, Resolution};
use crate::result::{Row, Status};
use crate::run::RunArgs;
use crate::store::Store;
use crate::{parallel, report, tree, work_tree};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xshell::Shell;

/// Merges what `build-matrix --shard` built into one dist/: checks each module again, signs, packs and reports.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask build-matrix --locked --shard 1/2 --dist shards/1     on one machine
  cargo xtask build-matrix --locked --shard 2/2 --dist shards/2     on another
  cargo xtask gather shards                                         where the keys are

The result is that of one `build-matrix --locked`. A kernel of which no shard has a result fails, by name.")]
pub struct Gather {
    /// Its directories are the dist/ of each shard.
    #[arg(value_name = "DIR")]
    shards: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

impl Gather {
    /// Runs the command. Fails with exit code 1 when some kernel failed, or is in no shard; its row says why.
    pub fn run(mut self, _: &Shell) -> Result<()> {
        let mut run = self.run.open(true)?;
        let matrix = &mut self.run.matrix;
        matrix.locked = true;
        // Slurm's shards come with the lock that they are of.
        let theirs = self.shards.join("kernels.lock");
        if matrix.lock.is_none() && theirs.exists() {
            matrix.lock = Some(theirs);
        }
        let resolution = resolve::resolution(matrix, &run.store, &run.listener)?;
        let plan = Plan {
            offline: matrix.offline,
            boot: false,
            // With it or without, the modules are built.
            telemetry: Telemetry::No,
            jobs: None,
            dist: self.run.dist,
            keys: run.keys.take(),
            source: ModuleSource::read(&work_tree::top().join("module"))?,
            kept: BTreeMap::new(),
        };
        let outcome = gather(&self.shards, &plan, &resolution, BTreeMap::new(), &run.store, &run.listener)?;
        run.close(&outcome)
    }
}

/// Makes the `dist/` of `plan` out of those below `shards`, and of what it has `kept`, by kernel. A kernel without a good result
/// is its own failed row.
pub fn gather(
    shards: &Path,
    plan: &Plan,
    resolution: &Resolution,
    kept: BTreeMap<String, (Row, Built)>,
    store: &Store,
    listener: &dyn Listener,
) -> Result<Outcome> {
    fs::create_dir_all(&plan.dist).at_path(&plan.dist)?;
    let last_good = LastGood::put_aside(&plan.dist, listener)?;
    let farm = Farm::new(store, &plan.source, plan.offline);
    let found = results(shards)?;
    let merge = Merge { shards, found, kept, dist: &plan.dist, farm: &farm, listener };
    let done = parallel::map(&resolution.kernels, parallel::processors(), |kernel| merge.kernel(kernel));
    let rows = plan.finish(resolution, done.into_iter(), &last_good, &farm, listener)?;
    Ok(Outcome { rows, compiled: 0 })
}

/// The rows of every shard, by kernel, each with the `dist/` that it is of. Where two shards have the same kernel, one is
/// as good as the other: which it is depends on their names alone.
fn results(shards: &Path) -> Result<BTreeMap<String, (PathBuf, Row)>> {
    let entries = fs::read_dir(shards).map_err(|error| {
        Error::input(format!("{}: {error}", shards.display())).note("name the directory that has each shard's dist/")
    })?;
    let mut dists = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().at_path(shards)?;
    dists.retain(|dist| dist.join(report::MATRIX).exists());
    dists.sort();
    let mut found = BTreeMap::new();
    for dist in dists.into_iter().rev() {
        let rows = report::read(&dist.join(report::MATRIX))?.rows;
        found.extend(rows.into_iter().map(|row| (row.id.clone(), (dist.clone(), row))));
    }
    Ok(found)
}

/// What the workers share.
struct Merge<'a> {
    shards: &'a Path,
    found: BTreeMap<String, (PathBuf, Row)>,
    kept: BTreeMap<String, (Row, Built)>,
    dist: &'a Path,
    farm: &'a Farm<'a>,
    listener: &'a dyn Listener,
}

impl Merge<'_> {
    /// The kernel's row, and its module where nothing is wrong with it.
    fn kernel(&self, kernel: &LockedKernel) -> (Row, Option<Built>) {
        let start = Instant::now();
        if let Some((row, built)) = self.kept.get(&kernel.id()) {
            return (row.clone(), Some(built.clone()));
        }
        let (mut row, taken) = match self.found.get(&kernel.id()) {
            None => (Row::new(kernel), Err(self.missing())),
            Some((dist, row)) => {
                let mut row = row.clone();
                let taken = self.take(kernel, dist, &mut row);
                (row, taken)
            }
        };
        if let Err(error) = &taken {
            row.error = Some(error.to_string());
            row.built = Status::Failed;
        }
        let text = row.error.clone().unwrap_or_else(|| "gathered".into());
        self.listener.event(Event::Done {
            subject: row.id.clone(),
            ok: !row.failed(),
            text,
            millis: plan::millis(start),
        });
        (row, taken.ok().flatten())
    }

    fn missing(&self) -> Error {
        Error::kernel(format!("no shard in {} has a result of it", self.shards.display()))
            .note("build the shard that it is in again, or look for what ended it in that shard's log")
    }

    /// Copies the kernel's files, and checks the module again before anybody signs it. `None` for a row that failed there.
    fn take(&self, kernel: &LockedKernel, from: &Path, row: &mut Row) -> Result<Option<Built>> {
        let (theirs, dir) = (from.join(&row.id), self.dist.join(&row.id));
        // One that failed early has left no files.
        if theirs.exists() || !row.failed() {
            tree::replace(&theirs, &dir)?;
        }
        if row.failed() {
            return Ok(None);
        }
        plan::adopt(self.farm, kernel, self.dist, from, row)
            .map(Some)
            .map_err(|error| error.note("build its shard again"))
    }
}
