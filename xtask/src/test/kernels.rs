// SPDX-License-Identifier: GPL-2.0-only
//! The module on real kernels: built and checked, then booted anew; verdicts of earlier boots do not count.

use super::{Context, Tally, stand_in_headers, telemetry};
use crate::build::Farm;
use crate::core_object::Telemetry;
use crate::error::Result;
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::parallel;
use crate::plan::Plan;
use crate::probes::differs_alone;
use crate::resolve::Resolution;
use crate::result::{Row, Status};
use crate::vm;
use crate::vm::reboots::FileSystem;
use guest::layout::powercut::Bus;
use guest::protocol::{BOOKMARKS, REPLICATE, SCENARIOS};
use std::path::Path;
use std::sync::Mutex;

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let again = "cargo xtask build-matrix --locked --no-boot";
    let kernels = match context.kernels() {
        Ok(kernels) => kernels,
        Err(error) => return tally.check("the kernel matrix", Err(error.to_string()), again),
    };
    print_covering_set(context, &kernels);
    let Some(rows) = build(context, tally, &kernels) else { return };
    build_again(context, tally, &kernels);
    probes(context, tally, &kernels);
    probe_lints(context, tally, &kernels);
    old_headers(context, tally, &kernels);
    boot(context, tally, &kernels, &rows);
}

/// Scenarios that take as long as all others together. Each kernel runs those of one row.
const LONG: [&[&str]; 2] = [&[REPLICATE], &["many-and-large", BOOKMARKS, "write-intent"]];

fn print_covering_set(context: &Context<'_>, kernels: &[LockedKernel]) {
    println!("covering set: {} kernels, each with all of {} scenarios but", kernels.len(), vm::scenarios().count());
    for (index, kernel) in kernels.iter().enumerate() {
        let left =
            LONG.concat().into_iter().filter(|name| !is_run(context, index, name)).collect::<Vec<_>>().join(", ");
        println!("  {}: {}", kernel.id(), if left.is_empty() { "none" } else { &left });
    }
}

/// The kernels come in pairs, a release's with all drivers and its cloud kernel: one of each pair runs the one row of long
/// scenarios, and one the other, by turns. Where kernels were selected, all run both.
fn is_run(context: &Context<'_>, index: usize, scenario: &str) -> bool {
    let turn = (index + index / 2) % LONG.len();
    !context.matrix.select.is_empty() || !LONG.concat().contains(&scenario) || LONG[turn].contains(&scenario)
}

/// On the first kernel of each release, the probes that are compiled together answer as each does alone.
fn probes(context: &Context<'_>, tally: &mut Tally, kernels: &[LockedKernel]) {
    let firsts = kernels.iter().enumerate().filter(|(index, kernel)| {
        !kernels[..*index].iter().any(|before| (&before.distro, &before.suite) == (&kernel.distro, &kernel.suite))
    });
    let firsts: Vec<&LockedKernel> = firsts.map(|(_, kernel)| kernel).collect();
    let compare = || {
        let source = ModuleSource::read(&context.tree.join("module"))?;
        let farm = Farm::new(context.store, &source, context.matrix.offline);
        let compared = parallel::map(&firsts, parallel::processors(), |kernel| differs_alone(&farm, kernel));
        compared.into_iter().collect::<Result<Vec<_>>>()
    };
    let outcome = compare().map_err(|error| error.to_string()).and_then(|compared| {
        match firsts.iter().zip(compared).find_map(|(kernel, probe)| Some((kernel, probe?))) {
            None => Ok(format!("{} kernels", firsts.len())),
            Some((kernel, probe)) => Err(format!("{}: the probe {probe} answers otherwise alone", kernel.id())),
        }
    });
    tally.check("probes compiled together answer as alone", outcome, &context.again("kernels"));
}

/// No probe is idle, each yes has its header line, and docs/probes.md says of these kernels what they answer.
fn probe_lints(context: &Context<'_>, tally: &mut Tally, kernels: &[LockedKernel]) {
    let check = || {
        let source = ModuleSource::read(&context.tree.join("module"))?;
        let farm = Farm::new(context.store, &source, context.matrix.offline);
        crate::probes::check(&farm, kernels)
    };
    let outcome = check().map(|()| format!("{} kernels", kernels.len())).map_err(|error| error.to_string());
    tally.check("no probe is idle or unproven", outcome, "cargo xtask probes --locked");
}

fn old_headers(context: &Context<'_>, tally: &mut Tally, kernels: &[LockedKernel]) {
    let Some(kernel) = kernels.iter().find(|kernel| kernel.kernel.starts_with("5.10.")) else { return };
    let outcome = stand_in_headers::build(context, kernel).map_err(|error| error.to_string());
    let again = format!("{} --select {}", context.again("kernels"), kernel.kernel);
    tally.check("the module with a stand-in for the headers of RHEL 8", outcome, &again);
}

/// Names of the scenarios for the kernel at that place.
fn scenarios(context: &Context<'_>, index: usize) -> Vec<String> {
    let names = SCENARIOS.iter().map(|scenario| scenario.name);
    names.filter(|name| is_run(context, index, name)).map(str::to_string).collect()
}

fn plan(context: &Context<'_>, offline: bool) -> Result<Plan> {
    Ok(Plan {
        offline,
        boot: false,
        telemetry: Telemetry::No,
        jobs: None,
        dist: context.tree.join("dist"),
        keys: None,
        source: ModuleSource::read(&context.tree.join("module"))?,
        kept: Default::default(),
    })
}

fn resolved(kernels: &[LockedKernel]) -> Resolution {
    Resolution { kernels: kernels.to_vec(), refused: Vec::new() }
}

fn build(context: &Context<'_>, tally: &mut Tally, kernels: &[LockedKernel]) -> Option<Vec<Row>> {
    let again = "cargo xtask build-matrix --no-boot --select";
    let plan = plan(context, context.matrix.offline);
    match plan.and_then(|plan| plan.run(&resolved(kernels), context.store, context.listener)) {
        Err(error) => {
            tally.check("build", Err(error.to_string()), again);
            None
        }
        Ok(outcome) => {
            for row in &outcome.rows {
                let name = format!("build and check {}", row.id);
                let status = if row.failed() { Status::Failed } else { Status::Passed };
                let detail = row.error.clone().unwrap_or_else(|| format!("{} warnings", row.warnings.len()));
                tally.add(&name, status, &detail, &format!("{again} {}", row.kernel));
            }
            Some(outcome.rows)
        }
    }
}

/// A second run takes everything from the store, without the network.
fn build_again(context: &Context<'_>, tally: &mut Tally, kernels: &[LockedKernel]) {
    let plan = plan(context, true);
    let outcome = plan.and_then(|plan| plan.run(&resolved(kernels), context.store, context.listener));
    let outcome = match outcome {
        Err(error) => Err(error.to_string()),
        Ok(outcome) if outcome.rows.iter().any(Row::failed) => Err("a kernel failed that was built before".to_string()),
        Ok(outcome) if outcome.compiled > 0 => Err(format!("{} modules were compiled again", outcome.compiled)),
        Ok(outcome) => Ok(format!("{} modules, none compiled again", outcome.rows.len())),
    };
    tally.check("a second run, offline", outcome, "cargo xtask build-matrix --locked --offline --no-boot");
}

/// Boots two kernels at a time: a VM under emulation keeps about one processor busy.
fn boot(context: &Context<'_>, tally: &mut Tally, kernels: &[LockedKernel], rows: &[Row]) {
    let programs = match vm::Programs::build() {
        Ok(programs) => programs,
        Err(error) => return tally.check("the VM's programs", Err(error.to_string()), "cargo build -p guest"),
    };
    let tally = Mutex::new(tally);
    let numbered: Vec<_> = kernels.iter().enumerate().collect();
    parallel::map(&numbered, 2, |(index, kernel)| {
        let outcome = boot_one(context, kernel, &scenarios(context, *index), rows, &programs);
        count(&mut tally.lock().expect("no thread panics with the lock held"), kernel, outcome);
    });
    let tally = &mut tally.lock().expect("no thread panics with the lock held");
    let module = |kernel: &LockedKernel| rows.iter().find(|row| row.id == kernel.id())?.module.clone();
    let Some((kernel, module)) = kernels.iter().find_map(|kernel| Some((kernel, module(kernel)?))) else { return };
    let module = context.tree.join("dist").join(module);
    cut_power(context, tally, kernel, &module, &programs);
    boot_with_telemetry(context, tally, kernel, &module, &programs);
}

fn boot_with_telemetry(
    context: &Context<'_>,
    tally: &mut Tally,
    kernel: &LockedKernel,
    without: &Path,
    programs: &vm::Programs,
) {
    let outcome = telemetry::boot(context, kernel, without, programs).map_err(|error| error.to_string());
    let again = format!("cargo xtask vm --telemetry --scenario telemetry --select {}", kernel.kernel);
    tally.check(&format!("{} with TELEMETRY=yes", kernel.id()), outcome, &again);
}

/// Power cuts and reboots of the first kernel that has a module: a few, and more in a long run.
fn cut_power(context: &Context<'_>, tally: &mut Tally, kernel: &LockedKernel, module: &Path, programs: &vm::Programs) {
    let dist = context.tree.join("dist");
    let runs = if context.long { 30 } else { 4 };
    let request = vm::powercut::Request {
        kernel,
        store: context.store,
        offline: context.matrix.offline,
        module,
        programs,
        out_dir: &dist.join("vm"),
        runs,
        seed: 1,
        intent: false,
        bus: Bus::default(),
    };
    cut(context, tally, &request);
    // Its first end is a stop, its second one a cut.
    let runs = if context.long { 30 } else { 2 };
    let buses: &[Bus] = if context.long { &[Bus::Virtio, Bus::Scsi, Bus::Nvme] } else { &[Bus::Scsi] };
    for &bus in buses {
        cut(context, tally, &vm::powercut::Request { runs, seed: 11, intent: true, bus, ..request });
    }
    for kind in [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs] {
        reboot(context, tally, &vm::powercut::Request { runs, ..request }, kind);
    }
}

fn reboot(context: &Context<'_>, tally: &mut Tally, request: &vm::powercut::Request<'_>, kind: FileSystem) {
    let vm::powercut::Request { kernel, runs, seed, .. } = *request;
    let outcome = vm::reboots::run(request, kind, context.listener).map(|done| done.to_string());
    let command = format!("reboots --file-system {}", kind.name());
    let again = format!("cargo xtask vm {command} --runs {runs} --seed {seed} --select {}", kernel.kernel);
    tally.check(&format!("{} {command}", kernel.id()), outcome.map_err(|error| error.to_string()), &again);
}

fn cut(context: &Context<'_>, tally: &mut Tally, request: &vm::powercut::Request<'_>) {
    let vm::powercut::Request { kernel, runs, seed, intent, bus, .. } = *request;
    let outcome = vm::powercut::run(request, context.listener)
        .map(|cuts| format!("{} cuts and stops, silently different: 0", cuts.len()))
        .map_err(|error| error.to_string());
    let command = vm::powercut::again(intent, bus);
    let again = format!("cargo xtask vm {command} --runs {runs} --seed {seed} --select {}", kernel.kernel);
    tally.check(&format!("{} {command}", kernel.id()), outcome, &again);
}

/// `None` where the kernel has no module, which is counted as a failure of its build.
fn boot_one(
    context: &Context<'_>,
    kernel: &LockedKernel,
    scenarios: &[String],
    rows: &[Row],
    programs: &vm::Programs,
) -> Option<Result<vm::VmOutcome>> {
    let dist = context.tree.join("dist");
    let row = rows.iter().find(|row| row.id == kernel.id())?;
    let module = dist.join(row.module.as_ref()?);
    let request = vm::Request {
        kernel,
        store: context.store,
        offline: context.matrix.offline,
        module: &module,
        programs,
        out_dir: &dist.join("vm"),
        scenarios,
    };
    Some(vm::run(&request, context.listener))
}

fn count(tally: &mut Tally, kernel: &LockedKernel, outcome: Option<Result<vm::VmOutcome>>) {
    let again = format!("cargo xtask vm --select {}", kernel.kernel);
    match outcome {
        None => tally.add(&format!("boot {}", kernel.id()), Status::Skipped, "it has no module", &again),
        Some(Err(error)) => tally.check(&format!("boot {}", kernel.id()), Err(error.to_string()), &again),
        Some(Ok(outcome)) => {
            for scenario in &outcome.scenarios {
                let name = format!("{} {}", kernel.id(), scenario.name);
                let again = format!("{again} --scenario {}", scenario.name);
                tally.add(&name, scenario.status, &scenario.detail, &again);
            }
            for disk in &outcome.disks {
                println!(
                    "         {} changed, {} reported, {} missed on {}",
                    disk.changed, disk.reported, disk.missed, disk.disk
                );
            }
        }
    }
}
