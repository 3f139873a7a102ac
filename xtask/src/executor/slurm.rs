// SPDX-License-Identifier: GPL-2.0-only
//! Slurm: a job array with a task for each shard. Slurm queues, places, and starts tasks of lost nodes again.

use crate::core_object::Telemetry;
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::plan::{Plan, millis};
use crate::report;
use crate::resolve::{self, MatrixArgs};
use crate::shard::Shard;
use crate::store::{Store, remove};
use crate::work_tree;
use std::fs;
use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often the tasks' results are looked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// A job array to submit.
pub struct Array<'a> {
    /// Where each shard's `dist/` and log go; what was there before is removed.
    pub shards: &'a Path,
    /// Tasks, at most.
    pub most: NonZero<usize>,
    /// More options for sbatch.
    pub options: &'a [String],
}

impl Array<'_> {
    /// Submits the array and waits for its end. A task that fails is not an error here: its kernels have no result then.
    ///
    /// Fails as infrastructure where sbatch does not take the job.
    pub fn run(
        &self,
        plan: &Plan,
        kernels: &[LockedKernel],
        args: &MatrixArgs,
        store: &Store,
        listener: &dyn Listener,
    ) -> Result<()> {
        remove(self.shards)?;
        fs::create_dir_all(self.shards).at_path(self.shards)?;
        let shards = self.shards.canonicalize().at_path(self.shards)?;
        resolve::record(kernels, &shards)?;
        let script = shards.join("task.sh");
        fs::write(&script, include_str!("slurm.sh")).at_path(&script)?;
        let count = Shard::all(kernels.len(), self.most).count();
        if count == 0 {
            return Ok(());
        }
        let mut sbatch = Command::new("sbatch");
        sbatch.args(["--parsable", "--wait", "--requeue", "--job-name=involflt"]);
        sbatch.arg(format!("--array=1-{count}")).arg(format!("--output={}/%a.log", shards.display()));
        sbatch.arg(format!("--chdir={}", work_tree::top().display())).args(self.options);
        sbatch.args([&script, &shards]).args(task(plan, args, store, &shards)?);
        wait(sbatch, &shards, count, listener)
    }
}

/// The command of a task, without what tells its shard.
fn task(plan: &Plan, args: &MatrixArgs, store: &Store, shards: &Path) -> Result<Vec<String>> {
    let path = |path: &Path| path.display().to_string();
    let program = std::env::current_exe().at_path("this program")?;
    let mut task = vec![path(&program), "build-matrix".into(), "--locked".into(), "--format=plain".into()];
    task.extend(["--lock".into(), path(&shards.join("kernels.lock")), "--store".into(), path(store.root())]);
    task.extend(store.shared_place().map(|place| format!("--shared-store={place}")));
    if let Some(kernels) = &args.kernels {
        task.extend(["--kernels".into(), path(&kernels.canonicalize().at_path(kernels)?)]);
    }
    task.extend(plan.jobs.map(|jobs| format!("--jobs={jobs}")));
    task.extend((!plan.boot).then(|| "--no-boot".into()));
    task.extend((plan.telemetry == Telemetry::Yes).then(|| "--telemetry".into()));
    task.extend(args.offline.then(|| "--offline".into()));
    Ok(task)
}

/// Tells of each result as it comes, until sbatch says that all tasks have ended.
fn wait(mut sbatch: Command, shards: &Path, count: usize, listener: &dyn Listener) -> Result<()> {
    let start = Instant::now();
    let mut child = sbatch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| {
        Error::infra(format!("sbatch: {error}"))
            .note("--executor slurm is for a machine that submits to a Slurm cluster")
    })?;
    let Some(job) = job(&mut child) else { return Err(refused(child)) };
    let text = format!("job {job}: {count} shards, logs in {}; to stop it: scancel {job}", shards.display());
    listener.event(Event::Note { subject: "slurm".into(), text });
    let mut left: Vec<PathBuf> = (1..=count).map(|number| shards.join(number.to_string())).collect();
    loop {
        let over = child.try_wait().at_path("sbatch")?.is_some();
        left.retain(|dist| {
            let here = dist.join(report::MATRIX).exists();
            if here {
                let subject = format!("shard {}", dist.file_name().unwrap_or_default().display());
                listener.event(Event::Done {
                    subject,
                    ok: true,
                    text: "has its results".into(),
                    millis: millis(start),
                });
            }
            !here
        });
        if over {
            return Ok(());
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The number of the job, which sbatch prints when it was taken.
fn job(sbatch: &mut Child) -> Option<String> {
    let mut line = String::new();
    BufReader::new(sbatch.stdout.take()?).read_line(&mut line).ok()?;
    let job = line.trim();
    (!job.is_empty()).then(|| job.to_string())
}

fn refused(sbatch: Child) -> Error {
    let said = sbatch.wait_with_output().map(|output| String::from_utf8_lossy(&output.stderr).trim().to_string());
    let said = said.unwrap_or_else(|error| error.to_string());
    Error::infra(format!("sbatch did not take the job: {said}")).note("options for sbatch: --sbatch=OPTION")
}
