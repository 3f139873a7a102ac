// SPDX-License-Identifier: GPL-2.0-only
//! The work on a list of kernels: each built, checked and booted; then packages, repositories and the report of all.

use crate::assemble::Assembler;
use crate::boot::Booter;
use crate::build::{Built, Farm};
use crate::check::{self, KernelFacts, Severity};
use crate::core_object::Telemetry;
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::inputs::Inputs;
use crate::last_good::LastGood;
use crate::lock::{LockedKernel, Role};
use crate::module_source::ModuleSource;
use crate::resolve::{self, Refused, Resolution};
use crate::result::{Results, Row, Status};
use crate::sign::Keys;
use crate::store::{Store, remove, sha256_file};
use crate::{ahead, parallel, report, vm};
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What is to be done with a list of kernels.
pub struct Plan {
    /// Whether the network is out of bounds.
    pub offline: bool,
    /// Whether the modules are booted.
    pub boot: bool,
    /// Whether they record what becomes of tags.
    pub telemetry: Telemetry,
    /// Kernels at once; the number of processors where it is not given.
    pub jobs: Option<NonZero<usize>>,
    /// Where the results go.
    pub dist: PathBuf,
    /// What packages are signed with; none are made without.
    pub keys: Option<Keys>,
    /// The driver's source.
    pub source: ModuleSource,
    /// Rows of `dist` that still hold, by kernel: they are taken as they are, and their modules.
    pub kept: BTreeMap<String, Row>,
}

/// What came of it.
pub struct Outcome {
    /// One row for each kernel, in the order of the lock.
    pub rows: Vec<Row>,
    /// Modules that were compiled by this run and did not come from the store.
    pub compiled: usize,
}

impl Outcome {
    /// An error of exit code 1 when some kernel failed.
    pub fn verdict(&self) -> Result<()> {
        let failed: Vec<&str> = self.rows.iter().filter(|row| row.failed()).map(|row| row.id.as_str()).collect();
        match failed.first() {
            None => Ok(()),
            Some(first) => Err(Error::kernel(format!(
                "{} of {} kernels failed: {}",
                failed.len(),
                self.rows.len(),
                failed.join(", ")
            ))
            .note(format!(
                "cargo xtask build-matrix --select 'kernel={}'",
                first.splitn(3, '-').last().unwrap_or(first)
            ))),
        }
    }
}

impl Plan {
    /// Works through the kernels; a kernel's failure is its own row. Fails only when nothing can be done at all.
    pub fn run(&self, resolution: &Resolution, store: &Store, listener: &dyn Listener) -> Result<Outcome> {
        let kernels = &resolution.kernels;
        fs::create_dir_all(&self.dist).at_path(&self.dist)?;
        let last_good = LastGood::put_aside(&self.dist, listener)?;
        let farm = Farm::new(store, &self.source, self.offline).with(self.telemetry);
        let programs = if self.boot { Some(vm::Programs::build()?) } else { None };
        let booter = programs.as_ref().map(|programs| Booter { store, offline: self.offline, programs });
        let work = Work { plan: self, farm, booter, compiled: AtomicUsize::new(0), listener };
        let order = by_effort(kernels, store);
        let workers = self.jobs.map_or_else(parallel::processors, NonZero::get);
        let mut done = std::thread::scope(|scope| {
            if !self.offline {
                scope.spawn(|| ahead::headers(order.iter().map(|&index| &kernels[index]), store, listener));
            }
            if self.keys.is_some() {
                scope.spawn(|| ahead::rust_object(kernels, &work.farm, listener));
                if !self.offline {
                    scope.spawn(|| ahead::tools(store, listener));
                }
            }
            parallel::map(&order, workers, |&index| (index, work.kernel(&kernels[index])))
        });
        done.sort_by_key(|(index, _)| *index);
        let done = done.into_iter().map(|(_, one)| one);
        let rows = self.finish(resolution, done, &last_good, &work.farm, listener)?;
        Ok(Outcome { rows, compiled: work.compiled.into_inner() })
    }

    /// The kernel's row of before and its module, where they hold.
    pub fn keep(&self, kernel: &LockedKernel, farm: &Farm<'_>, listener: &dyn Listener) -> Option<(Row, Built)> {
        let start = Instant::now();
        let mut row = self.kept.get(&kernel.id())?.clone();
        let is_to_boot = self.boot && can_boot(kernel) && row.booted != Status::Passed;
        if row.failed() || is_to_boot {
            return None;
        }
        match adopt(farm, kernel, &self.dist, &self.dist, &mut row) {
            Ok(built) => {
                let (subject, text) = (row.id.clone(), "as it was".into());
                listener.event(Event::Done { subject, ok: true, text, millis: millis(start) });
                Some((row, built))
            }
            Err(error) => {
                let text = format!("is built anew: {error}");
                listener.event(Event::Note { subject: kernel.id(), text });
                None
            }
        }
    }

    /// Packages, repositories and the report of all kernels that were worked on, here or elsewhere: `done` has the row of each
    /// in the order of the lock, and its module where nothing was wrong with it. For kernels that failed, packages of what was
    /// good before are made again.
    pub fn finish(
        &self,
        resolution: &Resolution,
        done: impl Iterator<Item = (Row, Option<Built>)>,
        last_good: &LastGood,
        farm: &Farm<'_>,
        listener: &dyn Listener,
    ) -> Result<Vec<Row>> {
        let (rows, built): (Vec<Row>, Vec<Option<Built>>) = done.unzip();
        let failed: Vec<&LockedKernel> =
            resolution.kernels.iter().zip(&rows).filter(|(_, row)| row.failed()).map(|(kernel, _)| kernel).collect();
        let stand_ins = last_good.stand_ins(&failed, &resolution.kernels, farm, listener)?;
        let good = resolution.kernels.iter().zip(built).filter_map(|(kernel, built)| Some((kernel, built?)));
        let good = good.chain(stand_ins.iter().map(|(kernel, built)| (kernel, built.clone()))).collect();
        self.assemble(good, farm, listener)?;
        resolve::record(&resolution.kernels, &self.dist)?;
        let results = Results { rows, left_out: resolution.refused.iter().map(Refused::left_out).collect() };
        report::write(&self.dist, &results)?;
        Ok(results.rows)
    }

    /// Packages and repositories of the kernels that were found good. Where none was, those of before stay.
    fn assemble(&self, good: Vec<(&LockedKernel, Built)>, farm: &Farm<'_>, listener: &dyn Listener) -> Result<()> {
        let Some(keys) = self.keys.as_ref().filter(|_| !good.is_empty()) else { return Ok(()) };
        let start = Instant::now();
        let assembler = Assembler { farm, keys, listener };
        let modules = assembler.modules(&good)?;
        let packages = assembler.run(&modules, &self.dist)?;
        let signed = if keys.development { "signed with a DEVELOPMENT KEY" } else { "signed" };
        let text = format!("{packages} for {} kernels in {}, {signed}", modules.len(), self.dist.display());
        listener.event(Event::Done { subject: "packages".into(), ok: true, text, millis: millis(start) });
        Ok(())
    }
}

/// What the workers share.
struct Work<'a> {
    plan: &'a Plan,
    farm: Farm<'a>,
    booter: Option<Booter<'a>>,
    compiled: AtomicUsize,
    listener: &'a dyn Listener,
}

impl Work<'_> {
    /// The kernel's row, and its module where nothing was wrong with it.
    fn kernel(&self, kernel: &LockedKernel) -> (Row, Option<Built>) {
        let start = Instant::now();
        if let Some((row, built)) = self.plan.keep(kernel, &self.farm, self.listener) {
            return (row, Some(built));
        }
        let mut row = Row::new(kernel);
        let outcome = self.steps(kernel, &mut row);
        row.error = outcome.as_ref().err().map(ToString::to_string);
        let text = row.error.clone().unwrap_or_else(|| summary(&row));
        self.listener.event(Event::Done { subject: row.id.clone(), ok: !row.failed(), text, millis: millis(start) });
        (row, outcome.ok())
    }

    /// A step is marked as failed before it begins, so that an early return leaves it so.
    fn steps(&self, kernel: &LockedKernel, row: &mut Row) -> Result<Built> {
        let dir = self.plan.dist.join(&row.id);
        remove(&dir)?;
        fs::create_dir_all(&dir).at_path(&dir)?;
        row.built = Status::Failed;
        let built = self.build(kernel, &dir, row)?;
        row.built = Status::Passed;
        row.checked = Status::Failed;
        check(&built, row)?;
        row.checked = Status::Passed;
        if let Some(booter) = self.booter.as_ref().filter(|_| can_boot(kernel)) {
            row.booted = Status::Failed;
            row.vm_log = Some(format!("{}/vm.log", row.id));
            let boot = booter.boot(kernel, &built.module, &dir.join("vm.log"), self.listener)?;
            row.disks = boot.disks;
            row.vm_millis = boot.millis;
            row.booted = Status::Passed;
        }
        Ok(built)
    }

    fn build(&self, kernel: &LockedKernel, dir: &Path, row: &mut Row) -> Result<Built> {
        let stage = |stage: &str| {
            self.listener.event(Event::Stage { subject: kernel.id(), stage: stage.to_string() });
        };
        row.build_log = Some(format!("{}/build.log", row.id));
        let start = Instant::now();
        let built = self.farm.build(kernel, &dir.join("build.log"), &stage)?;
        if built.fresh {
            self.compiled.fetch_add(1, Ordering::Relaxed);
            row.build_millis = millis(start);
        }
        let module = dir.join("involflt.ko");
        fs::copy(&built.module, &module).at_path(&module)?;
        row.module = Some(format!("{}/involflt.ko", row.id));
        row.module_sha256 = Some(sha256_file(&module)?);
        Ok(built)
    }
}

/// A module in `dist` that was built before, or elsewhere, as the report in `from` tells: it is checked again before anybody
/// signs it.
pub fn adopt(farm: &Farm<'_>, kernel: &LockedKernel, dist: &Path, from: &Path, row: &mut Row) -> Result<Built> {
    let dir = dist.join(&row.id);
    let module = dir.join("involflt.ko");
    if row.module_sha256 != Some(sha256_file(&module)?) {
        let (module, from) = (module.display(), from.display());
        return Err(Error::kernel(format!("{module}: not the module that {from} tells of")));
    }
    let built = farm.adopt(kernel, module, dir.join("build.log"))?;
    row.warnings.clear();
    check(&built, row)?;
    Ok(built)
}

/// What the link made, held against its kernel; warnings go into the row.
fn check(built: &Built, row: &mut Row) -> Result<()> {
    let log = fs::read_to_string(&built.log).at_path(&built.log)?;
    row.warnings = check::objtool::warnings(&log);
    let findings = check::module(&built.module, &KernelFacts::read(&built.kdir.host)?)?;
    let mut failures = Vec::new();
    for finding in findings {
        match finding.severity {
            Severity::Failure => failures.push(finding.text),
            Severity::Warning => row.warnings.push(finding.text),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Error::kernel(failures.join("; "))) }
}

/// Images are taken out of Debian's packages only: kernels of rpm distributions are built and not booted.
fn can_boot(kernel: &LockedKernel) -> bool {
    kernel.packages.iter().any(|package| package.role == Role::Image && package.path.ends_with(".deb"))
}

/// Kernels that take longest first: those that were never built here, and of them those whose Rust metadata has to be made.
fn by_effort(kernels: &[LockedKernel], store: &Store) -> Vec<usize> {
    let mut order: Vec<usize> = (0..kernels.len()).collect();
    order.sort_by_cached_key(|&index| (Inputs::are_known(store, &kernels[index]), kernels[index].platform));
    order
}

fn summary(row: &Row) -> String {
    let build = if row.build_millis == 0 { "built before" } else { "built" };
    match row.missed() {
        None => format!("{build}, checked"),
        Some(missed) => {
            let changed: u64 = row.disks.iter().map(|disk| disk.changed).sum();
            format!("{build}, checked, booted: {changed} blocks changed, {missed} missed")
        }
    }
}

/// Since `start`, in milliseconds: 1 at least.
pub fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}
