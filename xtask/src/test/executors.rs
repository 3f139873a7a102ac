// SPDX-License-Identifier: GPL-2.0-only
//! A matrix over a real Slurm of two nodes, of which one is lost in the middle: the same `dist/` as here. What is written
//! for other engines is read by their tools.

mod cluster;
mod manifests;

use super::{Context, Tally};
use crate::lock::LockedKernel;
use crate::result::Row;
use crate::store::remove;
use crate::tree;
use crate::{report, resolve};
use cluster::Cluster;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Kernels of the matrix. Their modules are all compiled anew.
const KERNELS: usize = 3;
/// What the run may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dir = std::env::temp_dir().join(format!("involflt-executors-{}", std::process::id()));
    let outcome = remove(&dir).map_err(|error| error.to_string()).and_then(|()| slurm(context, &dir));
    let gone = remove(&dir).map_err(|error| error.to_string());
    tally.check("the Job for Kubernetes", manifests::kubernetes(context), &context.again("executors"));
    tally.check("workflows for GitHub", manifests::workflows(context), &context.again("executors"));
    tally.check(
        "a matrix over Slurm, a node killed",
        outcome.and_then(|text| gone.map(|()| text)),
        &context.again("executors"),
    );
}

fn slurm(context: &Context<'_>, dir: &Path) -> Result<String, String> {
    let store = dir.join("store");
    let mut kernels = context.kernels().map_err(|error| error.to_string())?;
    kernels.truncate(KERNELS);
    fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    resolve::record(&kernels, dir).map_err(|error| error.to_string())?;
    // First here, where the signatures are made that both have.
    let here = dir.join("here");
    let local = build_matrix(context, dir, context.store.root(), &here).output().map_err(|error| error.to_string())?;
    good(&local)?;
    store_without_modules(context.store.root(), &store)?;
    let mut cluster = Cluster::start(&dir.join("slurm"))?;
    let there = dir.join("there");
    let mut matrix = build_matrix(context, dir, &store, &there);
    matrix.args(["--executor=slurm", "--sbatch=--ntasks=1"]).env("SLURM_CONF", cluster.config());
    let lost = lose_a_node(&mut cluster, matrix.spawn().map_err(|error| error.to_string())?)?;
    let files = same(&here, &there)?;
    since(context, dir, &store, &cluster, &kernels)?;
    same(&here, &there)?;
    Ok(format!("{} kernels, {lost}; {files} files as those of a local run, also after --since", kernels.len()))
}

/// Against a lock without the first kernel, that one alone is built; the others are kept.
fn since(
    context: &Context<'_>,
    dir: &Path,
    store: &Path,
    cluster: &Cluster,
    kernels: &[LockedKernel],
) -> Result<(), String> {
    let before = dir.join("before");
    fs::create_dir_all(&before).map_err(|error| error.to_string())?;
    resolve::record(&kernels[1..], &before).map_err(|error| error.to_string())?;
    let there = dir.join("there");
    let mut matrix = build_matrix(context, dir, store, &there);
    matrix.args(["--executor=slurm", "--sbatch=--ntasks=1", "--since"]).arg(before.join("kernels.lock"));
    good(&matrix.env("SLURM_CONF", cluster.config()).output().map_err(|error| error.to_string())?)?;
    let shards = fs::read_dir(there.join("shards")).map_err(|error| error.to_string())?;
    match shards.filter_map(|entry| entry.ok()).filter(|entry| entry.path().join(report::MATRIX).exists()).count() {
        1 => Ok(()),
        count => Err(format!("{count} shards were built since {}", before.display())),
    }
}

/// Makes `store` one that has all that the whole one has, but modules.
pub fn store_without_modules(whole: &Path, store: &Path) -> Result<(), String> {
    fs::create_dir_all(store).map_err(|error| error.to_string())?;
    for entry in fs::read_dir(whole).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default();
        if name != "results" {
            std::os::unix::fs::symlink(&path, store.join(name)).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn build_matrix(context: &Context<'_>, lock: &Path, store: &Path, dist: &Path) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "xtask".into());
    let mut command = Command::new(program);
    command.args(["build-matrix", "--no-boot", "--format=plain", "--locked", "--offline"]);
    command.arg("--lock").arg(lock.join("kernels.lock"));
    command.arg("--store").arg(store).arg("--dist").arg(dist).current_dir(context.tree);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for a task on the second node, takes the node away, and waits for the matrix. Says which task was lost.
fn lose_a_node(cluster: &mut Cluster, mut matrix: Child) -> Result<String, String> {
    let start = Instant::now();
    let mut lost: Option<String> = None;
    while matrix.try_wait().map_err(|error| error.to_string())?.is_none() {
        if start.elapsed() > PATIENCE {
            // Its end is awaited below.
            let _ = matrix.kill();
            return Err(format!("still not over; {}", cluster.log()));
        }
        match &lost {
            None => lost = cluster.task_on_second_node()?,
            Some(_) if cluster.second_node_is_up() => cluster.kill_second_node()?,
            Some(task) => cluster.skip_delay(task)?,
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let output = matrix.wait_with_output().map_err(|error| error.to_string())?;
    good(&output).map_err(|error| format!("{error}; {}", cluster.log()))?;
    let task = lost.ok_or("no task ever ran on the second node")?;
    cluster.was_started_again(&task)?;
    Ok(format!("task {task} lost with its node and finished on the other"))
}

fn good(output: &Output) -> Result<(), String> {
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Compares all files but those of the shards, and the reports but for the times. How many files there are.
fn same(here: &Path, there: &Path) -> Result<usize, String> {
    let files = |dist: &Path| -> Result<Vec<PathBuf>, String> {
        let mut files = tree::files(dist).map_err(|error| error.to_string())?;
        files.retain(|file| !file.starts_with("shards") && !file.starts_with(report::PAGE));
        Ok(files)
    };
    let ours = files(here)?;
    if ours != files(there)? {
        return Err(format!("{ours:?}, and over Slurm {:?}", files(there)?));
    }
    if rows(here)? != rows(there)? {
        return Err(format!("the rows of {} and {} differ", here.display(), there.display()));
    }
    let differs = |file: &&PathBuf| fs::read(here.join(file)).ok() != fs::read(there.join(file)).ok();
    match ours.iter().filter(|file| !file.starts_with(report::MATRIX)).find(differs) {
        None => Ok(ours.len()),
        Some(file) => Err(format!("{} differs", file.display())),
    }
}

fn rows(dist: &Path) -> Result<Vec<Row>, String> {
    let mut rows = report::read(&dist.join(report::MATRIX)).map_err(|error| error.to_string())?.rows;
    rows.iter_mut().for_each(|row| (row.build_millis, row.vm_millis) = (0, 0));
    Ok(rows)
}
