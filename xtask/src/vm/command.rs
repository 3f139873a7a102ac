// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask vm`.

use super::powercut::PowerCut;
use super::reboots::RebootsCommand;
use super::{Programs, Request, VmOutcome, check_scenarios, run, scenarios};
use crate::build::Farm;
use crate::display::{self, Format};
use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::parallel;
use crate::resolve::{MatrixArgs, matrix};
use crate::result::Status;
use crate::store::Store;
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use xshell::Shell;

/// Boots kernels with their involflt.ko under emulation and proves that every write to a disk is seen.
///
/// The kernels are those of kernels.lock; a module that is not in the store yet is built first. Console logs go to
/// dist/vm/.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm
  cargo xtask vm --select 'debian:bookworm cloud-amd64'
  cargo xtask vm --select '7.3.*' --scenario direct --scenario discard
  cargo xtask vm --select 6.1.0-56-amd64 --module ./involflt.ko
  cargo xtask vm --list
  cargo xtask vm powercut --runs 30
  cargo xtask vm reboots --runs 200

Exit codes: 0 every kernel passed, 1 one did not, 2 bad input, 69 a tool, a package or the network is missing.")]
#[command(args_conflicts_with_subcommands = true)]
pub struct Vm {
    #[command(subcommand)]
    command: Option<Other>,
    #[command(flatten)]
    matrix: MatrixArgs,
    /// Module to load instead of the one built from this tree; for one kernel
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// Build modules that record what becomes of tags (docs/telemetry.md)
    #[arg(long, conflicts_with = "module")]
    telemetry: bool,
    /// Scenario to run; several --scenario add up [default: all]
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Name the scenarios and what each proves, and end
    #[arg(long)]
    list: bool,
    /// VMs that run at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// How progress is shown [default: live on a terminal, else plain]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// What is proven with VMs of its own.
#[derive(Debug, clap::Subcommand)]
enum Other {
    #[command(name = "powercut")]
    PowerCut(PowerCut),
    Reboots(RebootsCommand),
}

/// A kernel's outcome as `--format json` prints it.
#[derive(Serialize)]
#[serde(tag = "event", rename = "vm")]
struct Report<'a> {
    subject: &'a str,
    #[serde(flatten)]
    outcome: &'a VmOutcome,
}

/// What all kernels of this command share.
struct Shared<'a> {
    command: &'a Vm,
    store: &'a Store,
    farm: Farm<'a>,
    programs: Programs,
    out_dir: PathBuf,
    listener: &'a dyn Listener,
}

impl Vm {
    /// Boots every selected kernel. Fails with the kind [`Kind::Kernel`] when one of them does not pass.
    pub fn run(mut self, _: &Shell) -> Result<()> {
        match self.command.take() {
            Some(Other::PowerCut(command)) => return command.run(),
            Some(Other::Reboots(command)) => return command.run(),
            None => {}
        }
        if self.list {
            scenarios().for_each(|scenario| println!("{:<18}{}", scenario.name, scenario.title));
            return Ok(());
        }
        check_scenarios(&self.scenarios)?;
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let listener = display::open(self.format);
        let locked = MatrixArgs { locked: true, ..self.matrix.clone() };
        let kernels = matrix(&locked, &store, &*listener)?;
        self.check_module(&kernels)?;
        let tree = crate::work_tree::top();
        let source = ModuleSource::read(&tree.join("module"))?;
        let out_dir = tree.join("dist").join("vm");
        fs::create_dir_all(&out_dir).at_path(&out_dir)?;
        let farm = Farm::new(&store, &source, self.matrix.offline).with(self.telemetry.into());
        let shared =
            Shared { command: &self, store: &store, farm, programs: Programs::build()?, out_dir, listener: &*listener };
        let outcomes = parallel::map(&kernels, self.jobs.into(), |kernel| shared.one(kernel));
        drop(listener);
        let failures = kernels.iter().zip(outcomes).filter_map(|(kernel, outcome)| self.show(kernel, outcome).err());
        sum_up(failures.collect(), kernels.len())
    }

    fn check_module(&self, kernels: &[LockedKernel]) -> Result<()> {
        match (&self.module, kernels) {
            (None, _) => Ok(()),
            (Some(module), [_]) if module.exists() => Ok(()),
            (Some(module), [_]) => Err(Error::input(format!("--module {}: there is no such file", module.display()))),
            (Some(_), _) => {
                Err(Error::input(format!("--module is for one kernel, and {} are selected", kernels.len()))
                    .note("name one with --select"))
            }
        }
    }

    /// Prints what a kernel's run found; an error where it did not pass.
    fn show(&self, kernel: &LockedKernel, outcome: Result<VmOutcome>) -> Result<()> {
        let id = kernel.id();
        let again = format!("again: {}", self.again(kernel));
        let outcome = outcome.map_err(|error| error.at(&id).note(&again))?;
        if self.format == Some(Format::Json) {
            let line = serde_json::to_string(&Report { subject: &id, outcome: &outcome });
            println!("{}", line.map_err(|error| Error::infra(error.to_string()))?);
        } else {
            print_outcome(&id, &outcome);
        }
        let log = format!("console: {}", outcome.log.display());
        outcome.error().map_or(Ok(()), |error| Err(Error::kernel(error).at(id).note(log).note(again)))
    }

    /// The command that runs this once more for one kernel.
    fn again(&self, kernel: &LockedKernel) -> String {
        let path = |option: &str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| format!(" --{option} {}", path.display())).unwrap_or_default()
        };
        let scenarios: String = self.scenarios.iter().map(|name| format!(" --scenario {name}")).collect();
        let (store, lock) = (path("store", &self.matrix.store), path("lock", &self.matrix.lock));
        let module = path("module", &self.module);
        format!("cargo xtask vm --select {}{module}{scenarios}{lock}{store}", kernel.id())
    }
}

impl Shared<'_> {
    fn one(&self, kernel: &LockedKernel) -> Result<VmOutcome> {
        let module = match &self.command.module {
            Some(module) => module.clone(),
            None => self.build(kernel)?,
        };
        let request = Request {
            kernel,
            store: self.store,
            offline: self.command.matrix.offline,
            module: &module,
            programs: &self.programs,
            out_dir: &self.out_dir,
            scenarios: &self.command.scenarios,
        };
        let outcome = run(&request, self.listener);
        self.listener.event(done(kernel, &outcome));
        outcome
    }

    fn build(&self, kernel: &LockedKernel) -> Result<PathBuf> {
        let log = self.out_dir.join(format!("{}.build.log", kernel.id()));
        let stage = |stage: &str| self.listener.event(Event::Stage { subject: kernel.id(), stage: stage.to_string() });
        Ok(self.farm.build(kernel, &log, &stage)?.module)
    }
}

fn done(kernel: &LockedKernel, outcome: &Result<VmOutcome>) -> Event {
    let (ok, text, millis) = match outcome {
        Err(error) => (false, error.message.clone(), 0),
        Ok(outcome) => {
            let error = outcome.error();
            (error.is_none(), error.unwrap_or_else(|| summary(outcome)), outcome.millis)
        }
    };
    Event::Done { subject: kernel.id(), ok, text, millis }
}

fn summary(outcome: &VmOutcome) -> String {
    let count = |status| outcome.scenarios.iter().filter(|scenario| scenario.status == status).count();
    let changed: u64 = outcome.disks.iter().map(|disk| disk.changed).sum();
    let (passed, skipped) = (count(Status::Passed), count(Status::Skipped));
    format!("{passed} scenarios passed, {skipped} skipped; {changed} blocks changed, 0 missed")
}

fn print_outcome(id: &str, outcome: &VmOutcome) {
    println!("{id}");
    for scenario in &outcome.scenarios {
        let word = match scenario.status {
            Status::Passed => "ok",
            Status::Failed => "FAILED",
            Status::Skipped => "skipped",
        };
        let seconds = scenario.millis as f64 / 1000.0;
        println!("  {:<17} {word:<8} {seconds:>6.1} s  {}", scenario.name, scenario.detail);
    }
    for disk in &outcome.disks {
        let (changed, reported, missed) = (disk.changed, disk.reported, disk.missed);
        println!("  {:<17} {changed:>7} blocks changed {reported:>7} reported {missed:>5} missed", disk.disk);
    }
}

/// One error for all: the worst kind, each kernel's message and notes.
fn sum_up(mut failures: Vec<Error>, count: usize) -> Result<()> {
    if failures.len() <= 1 {
        return failures.pop().map_or(Ok(()), Err);
    }
    let infra = failures.iter().any(|error| error.kind == Kind::Infra);
    let text: Vec<_> = failures.iter().map(Error::to_string).collect();
    let text = format!("{} of {count} kernels failed\n{}", failures.len(), text.join("\n"));
    Err(if infra { Error::infra(text) } else { Error::kernel(text) })
}
