// SPDX-License-Identifier: GPL-2.0-only
//! Proof on real kernels: boots a kernel with `involflt.ko`, lets the guest program work, judges the disks.

mod bench;
mod command;
mod cpio;
mod disks;
pub mod emulator;
mod image;
pub mod judge;
pub mod kept;
mod kernel_log;
pub mod powercut;
mod programs;
mod qemu;
pub mod reboots;
mod record;
mod repeat;

pub use bench::Bench;
pub use command::Vm;
pub use kernel_log::{complaint, tail};
pub use programs::Programs;

use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::result::{DiskVerdict, Status};
use crate::store::Store;
use guest::protocol::{
    C_AGENTS, CTL, INVOLFLT, JUDGE, JUDGE_CONTROL, KERNEL_LOG, MKDIR, MODULES, PLAN, Plan, REPLICA, SCENARIOS, Scenario,
};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a VM run needs.
pub struct Request<'a> {
    /// The kernel to boot.
    pub kernel: &'a LockedKernel,
    /// Where its packages and the disks' images are.
    pub store: &'a Store,
    /// Whether to leave the network alone.
    pub offline: bool,
    /// The `involflt.ko` built for this kernel.
    pub module: &'a Path,
    /// The programs that run in the VM.
    pub programs: &'a Programs,
    /// Directory for the console's log, `<kernel id>.vm.log`.
    pub out_dir: &'a Path,
    /// Names of scenarios to run; all of them when empty.
    pub scenarios: &'a [String],
}

/// One scenario's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScenarioResult {
    /// Name, of [`scenarios`].
    pub name: String,
    /// How it went.
    pub status: Status,
    /// One line: counts, the reason of a skip, or the first error.
    pub detail: String,
    /// Time in milliseconds of the guest's clock; 0 for what the host does.
    pub millis: u64,
}

/// What a VM run found.
#[derive(Debug, Clone, Serialize)]
pub struct VmOutcome {
    /// One per disk that was judged.
    pub disks: Vec<DiskVerdict>,
    /// In the order of [`scenarios`].
    pub scenarios: Vec<ScenarioResult>,
    /// The console's log.
    pub log: PathBuf,
    /// Wall-clock time of the whole run, in milliseconds.
    pub millis: u64,
}

impl VmOutcome {
    /// The worst thing that is wrong, if there is one: missed blocks, then the kernel's complaint, then a scenario. Behind it the
    /// scenario that failed first, as the rest may come of it.
    pub fn error(&self) -> Option<String> {
        let missed = self.disks.iter().find(|disk| disk.missed > 0);
        let missed =
            missed.map(|disk| format!("{}: {} of {} changed blocks missed", disk.disk, disk.missed, disk.changed));
        let text = |scenario: &ScenarioResult| format!("{}: {}", scenario.name, scenario.detail);
        let mut failed = self.scenarios.iter().filter(|scenario| scenario.status == Status::Failed);
        let first = failed.clone().next().map(text);
        let complaint = failed.find(|scenario| scenario.name == KERNEL_LOG.name).map(text);
        match (missed.or(complaint), first) {
            (Some(worst), Some(first)) if worst != first => Some(format!("{worst}; what failed first: {first}")),
            (worst, first) => worst.or(first),
        }
    }
}

/// Every scenario of a VM run, the host's own ones last.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().chain([&JUDGE, &JUDGE_CONTROL, &REPLICA, &KERNEL_LOG])
}

/// Refuses a name that is no scenario's.
pub fn check_scenarios(names: &[String]) -> Result<()> {
    match names.iter().find(|name| !SCENARIOS.iter().any(|scenario| scenario.name == *name)) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            Err(Error::input(format!("--scenario {name}: there is no such scenario"))
                .note(format!("one of: {}", known.join(", "))))
        }
    }
}

/// Boots the kernel, runs the scenarios and judges the disks.
///
/// Fails only where no verdict was possible: a package that cannot be had, a tool that is missing. What the kernel or
/// the module did wrong is in the outcome.
pub fn run(request: &Request<'_>, listener: &dyn Listener) -> Result<VmOutcome> {
    let start = Instant::now();
    let id = request.kernel.id();
    let stage = |stage: &str| listener.event(Event::Stage { subject: id.clone(), stage: stage.into() });
    stage("vm: image");
    let image = image::image(request.kernel, request.store, request.offline, &image::DISKS_AND_FILE_SYSTEMS)?;
    let base = disks::base(request.store)?;
    let copies = disks::Copies::new(request.store, &base, &id)?;
    let initramfs = initramfs(request, &image, &copies)?;
    fs::create_dir_all(request.out_dir).at_path(request.out_dir)?;
    let log = request.out_dir.join(format!("{id}.vm.log"));
    stage("vm: boot");
    let machine = qemu::Machine {
        vmlinuz: &image.vmlinuz,
        initramfs: &initramfs,
        disks: copies.dir(),
        log: &log,
        nvme_multipath: nvme_multipath(request.kernel),
    };
    let (mut record, mut end) = boot(request, &machine, &stage)?;
    if end == emulator::End::Silent && !record.is_begun() {
        // The kernel hung on its emulated hardware, without a line of ours in it: that says nothing about the module.
        stage("vm: hung before the guest program, boot again");
        (record, end) = boot(request, &machine, &stage)?;
    }
    stage("vm: judge");
    let console = fs::read(&log).at_path(&log)?;
    let console = String::from_utf8_lossy(&console);
    record.close(end, &console, &request.kernel.kernel);
    let disks = record.judge(&base, copies.dir())?;
    record.compare_replicas(copies.dir())?;
    let millis = start.elapsed().as_millis() as u64;
    Ok(VmOutcome { disks, scenarios: record.results(), log, millis })
}

fn boot(
    request: &Request<'_>,
    machine: &qemu::Machine<'_>,
    stage: &dyn Fn(&str),
) -> Result<(record::Record, emulator::End)> {
    let mut record = record::Record::new(plan_scenarios(request));
    let end = qemu::run(machine, |message| {
        if let Some(scenario) = record.take(message) {
            stage(&format!("vm: {scenario}"));
        }
    })?;
    Ok((record, end))
}

/// Whether NVMe disks are met with the kernel's own multipath: so on cloud kernels, and as plain disks on all others,
/// because QEMU's disk looks like one path of several and a kernel can have it one way only.
fn nvme_multipath(kernel: &LockedKernel) -> bool {
    kernel.flavour.starts_with("cloud")
}

/// Names of the guest's scenarios that this request runs.
fn plan_scenarios(request: &Request<'_>) -> Vec<String> {
    let wanted = |name: &str| request.scenarios.is_empty() || request.scenarios.iter().any(|wanted| wanted == name);
    SCENARIOS.iter().filter(|scenario| wanted(scenario.name)).map(|scenario| scenario.name.to_string()).collect()
}

fn initramfs(request: &Request<'_>, image: &image::Image, copies: &disks::Copies) -> Result<PathBuf> {
    let path = copies.dir().join("initramfs");
    write_initramfs(&path, image, request.module, request.programs, |modules| Plan {
        modules,
        scenarios: plan_scenarios(request),
        nvme_multipath: nvme_multipath(request.kernel),
        powercut: false,
        intent: false,
        bus: Default::default(),
        reboots: None,
        bench: Vec::new(),
    })?;
    Ok(path)
}

/// Writes an initramfs with the guest program, what it runs and loads, and the plan for the modules with those file names.
fn write_initramfs(
    path: &Path,
    image: &image::Image,
    module: &Path,
    programs: &Programs,
    plan: impl FnOnce(Vec<String>) -> Plan,
) -> Result<()> {
    let read = |path: &Path| fs::read(path).at_path(path);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plan = plan(image.modules.iter().map(|path| name(path)).collect());
    let plan = serde_json::to_vec(&plan).map_err(|error| Error::infra(format!("the plan: {error}")))?;
    let mut files = vec![("/init".to_string(), read(&programs.guest)?), (PLAN.to_string(), plan)];
    files.push((CTL.to_string(), read(&programs.ctl)?));
    for (path, program) in C_AGENTS.iter().zip(&programs.c_agents) {
        files.push((path.to_string(), read(program)?));
    }
    files.push((INVOLFLT.to_string(), read(module)?));
    for module in &image.modules {
        files.push((format!("{MODULES}/{}", name(module)), read(module)?));
    }
    let write = || {
        let mut cpio = cpio::Cpio::new(BufWriter::new(File::create(path)?));
        ["bin", "dev", "proc", "sys", "mnt", MODULES.trim_start_matches('/')]
            .iter()
            .try_for_each(|dir| cpio.directory(dir))?;
        cpio.link(MKDIR.trim_start_matches('/'), "/init")?;
        files.iter().try_for_each(|(path, contents)| cpio.file(path.trim_start_matches('/'), contents))?;
        cpio.finish()?.flush()
    };
    write().at_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(missed: u64, failed: &[&str]) -> VmOutcome {
        let result = |name: &&str| ScenarioResult {
            name: name.to_string(),
            status: Status::Failed,
            detail: format!("why {name}"),
            millis: 0,
        };
        let disks = vec![DiskVerdict { disk: "nvme".into(), changed: 9, reported: 9, missed }];
        VmOutcome { disks, scenarios: failed.iter().map(result).collect(), log: PathBuf::new(), millis: 0 }
    }

    #[test]
    fn the_worst_failure_is_the_one_that_is_named() {
        assert_eq!(outcome(0, &[]).error(), None);
        assert_eq!(outcome(0, &["direct"]).error().as_deref(), Some("direct: why direct"));
        assert_eq!(outcome(0, &["kernel-log"]).error().as_deref(), Some("kernel-log: why kernel-log"));
        let complaint = "kernel-log: why kernel-log; what failed first: direct: why direct";
        assert_eq!(outcome(0, &["direct", "kernel-log"]).error().as_deref(), Some(complaint));
        assert_eq!(outcome(2, &[]).error().as_deref(), Some("nvme: 2 of 9 changed blocks missed"));
        let missed = "nvme: 2 of 9 changed blocks missed; what failed first: direct: why direct";
        assert_eq!(outcome(2, &["direct", "judge"]).error().as_deref(), Some(missed));
    }

    #[test]
    fn a_scenario_that_is_not_there_is_refused_with_the_ones_that_are() {
        check_scenarios(&["direct".into()]).unwrap();
        let error = check_scenarios(&["dirct".into()]).unwrap_err();
        assert_eq!(error.message, "--scenario dirct: there is no such scenario");
        assert!(error.notes[0].contains("direct, "));
    }
}
