// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask vm`.

use super::{Request, VmOutcome, build_guest, check_scenarios, run, scenarios};
use crate::error::{AtPath, Error, Kind, Result};
use crate::event::{Event, Listener};
use crate::lock::{Lock, LockedKernel};
use crate::result::{Row, Status};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use xshell::Shell;

/// Boots kernels with their involflt.ko under emulation and proves that every write to a disk is seen.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct VmArgs {
    /// Kernels to boot, of those in kernels.lock [default: all].
    #[arg(long, value_name = "EXPR")]
    select: Option<String>,
    /// Module to load instead of the one that build-matrix left in dist/; for one kernel.
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// Scenario to run; may be given more than once [default: all].
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Names the scenarios and what each proves, and ends.
    #[arg(long)]
    list: bool,
    /// VMs that run at once.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// The store's directory [default: $XDG_CACHE_HOME/involflt or ~/.cache/involflt].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Leaves the network alone: packages come from the store or not at all.
    #[arg(long)]
    offline: bool,
    /// How results are shown.
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask vm                                          every kernel that build-matrix has built
  cargo xtask vm --select '6.1*'                          the 6.1 kernels
  cargo xtask vm --select '7.3*-cloud-*' --scenario direct --scenario discard
  cargo xtask vm --select 6.1.0-56-amd64 --module ./involflt.ko
  cargo xtask vm --list                                   what is proven";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines of text.
    Plain,
    /// One JSON object a line.
    Json,
}

/// Prints events as they come.
struct Printer(Format);

impl Listener for Printer {
    fn event(&self, event: Event) {
        match (self.0, &event) {
            (Format::Json, _) => print_json(&event),
            (Format::Plain, Event::Stage { subject, stage }) => println!("{subject}: {stage}"),
            (Format::Plain, Event::Note { subject, text }) => println!("{subject}: {text}"),
            (Format::Plain, Event::Done { subject, ok, text, millis }) => {
                let word = if *ok { "passed" } else { "FAILED" };
                println!("{subject}: {word} in {:.1} s: {text}", *millis as f64 / 1000.0);
            }
        }
    }
}

fn print_json(value: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(value) {
        println!("{line}");
    }
}

/// A kernel's outcome as `--format json` prints it.
#[derive(Serialize)]
#[serde(tag = "event", rename = "vm")]
struct Outcome<'a> {
    subject: &'a str,
    #[serde(flatten)]
    outcome: &'a VmOutcome,
}

/// What this command reads of `dist/matrix.json`.
#[derive(Deserialize)]
struct Matrix {
    kernels: Vec<Row>,
}

impl VmArgs {
    /// Boots every selected kernel. Fails with the kind `Kernel` when one of them does not pass.
    pub fn run(self, shell: &Shell) -> Result<()> {
        if self.list {
            scenarios().for_each(|scenario| println!("{:<18}{}", scenario.name, scenario.title));
            return Ok(());
        }
        check_scenarios(&self.scenarios)?;
        let root = shell.current_dir();
        let kernels = self.kernels(&root)?;
        let jobs = self.modules(&root, &kernels)?;
        let store = Store::open(self.store.as_deref())?;
        let _in_use = store.in_use()?;
        let guest = build_guest(&root)?;
        let printer = Printer(self.format);
        let failures = Mutex::new(Vec::new());
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..usize::from(self.jobs).min(jobs.len()) {
                scope.spawn(|| {
                    while let Some((kernel, module)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let out_dir = root.join("dist").join("vm");
                        let request = Request {
                            kernel,
                            store: &store,
                            offline: self.offline,
                            module,
                            guest: &guest,
                            out_dir: &out_dir,
                            scenarios: &self.scenarios,
                        };
                        if let Err(error) = self.one(&request, &printer) {
                            failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(error);
                        }
                    }
                });
            }
        });
        sum_up(failures.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()), jobs.len())
    }

    fn one(&self, request: &Request<'_>, printer: &Printer) -> Result<()> {
        let id = request.kernel.id();
        let outcome = run(request, printer).map_err(|error| error.at(&id))?;
        match self.format {
            Format::Json => print_json(&Outcome { subject: &id, outcome: &outcome }),
            Format::Plain => print_outcome(&id, &outcome),
        }
        let error = outcome.error();
        let text = error.clone().unwrap_or_else(|| summary(&outcome));
        printer.event(Event::Done { subject: id.clone(), ok: error.is_none(), text, millis: outcome.millis });
        let Some(error) = error else { return Ok(()) };
        Err(Error::kernel(error).at(id).note(format!("console: {}", outcome.log.display())).note(self.again(request)))
    }

    /// The command that runs this once more.
    fn again(&self, request: &Request<'_>) -> String {
        let module = self.module.as_ref().map(|path| format!(" --module {}", path.display())).unwrap_or_default();
        let scenarios: String = self.scenarios.iter().map(|name| format!(" --scenario {name}")).collect();
        format!("again: cargo xtask vm --select {}{module}{scenarios}", request.kernel.kernel)
    }

    fn kernels(&self, root: &Path) -> Result<Vec<LockedKernel>> {
        let path = root.join("kernels.lock");
        let text = fs::read_to_string(&path).at_path(&path).map_err(|error| error.note("run cargo xtask resolve"))?;
        let lock: Lock = serde_json::from_str(&text).map_err(|error| Error::input(format!("kernels.lock: {error}")))?;
        let wanted = |kernel: &LockedKernel| {
            self.select.as_ref().is_none_or(|select| &kernel.kernel == select || &kernel.id() == select)
        };
        Ok(lock.kernels.into_iter().filter(wanted).collect())
    }

    /// Each kernel with its module.
    fn modules(&self, root: &Path, kernels: &[LockedKernel]) -> Result<Vec<(LockedKernel, PathBuf)>> {
        match (&self.module, kernels) {
            (_, []) => Err(Error::input("--select: no kernel of kernels.lock is selected")),
            (Some(module), [kernel]) if module.exists() => Ok(vec![(kernel.clone(), module.clone())]),
            (Some(module), [_]) => Err(Error::input(format!("--module {}: there is no such file", module.display()))),
            (Some(_), _) => {
                Err(Error::input(format!("--module is for one kernel, and {} are selected", kernels.len()))
                    .note("name one with --select"))
            }
            (None, _) => built(&root.join("dist"), kernels),
        }
    }
}

/// The modules that build-matrix has left in `dist/`.
fn built(dist: &Path, kernels: &[LockedKernel]) -> Result<Vec<(LockedKernel, PathBuf)>> {
    let path = dist.join("matrix.json");
    let next = "run cargo xtask build-matrix, or give a module with --module";
    let text = fs::read_to_string(&path).at_path(&path).map_err(|error| error.note(next))?;
    let matrix: Matrix =
        serde_json::from_str(&text).map_err(|error| Error::input(format!("{}: {error}", path.display())).note(next))?;
    let module_of = |kernel: &LockedKernel| {
        let row = matrix.kernels.iter().find(|row| row.id == kernel.id());
        let module = row.and_then(|row| row.module.as_ref()).map(|module| dist.join(module));
        let module = module.filter(|module| module.exists());
        module.ok_or_else(|| Error::input(format!("{}: dist/ has no module for it", kernel.id())).note(next))
    };
    kernels.iter().map(|kernel| Ok((kernel.clone(), module_of(kernel)?))).collect()
}

fn print_outcome(id: &str, outcome: &VmOutcome) {
    for scenario in &outcome.scenarios {
        let word = match scenario.status {
            Status::Passed => "ok",
            Status::Failed => "FAILED",
            Status::Skipped => "skipped",
        };
        println!("{id}: {:<17}{word:<8}{:>6} ms  {}", scenario.name, scenario.millis, scenario.detail);
    }
    for disk in &outcome.disks {
        println!(
            "{id}: {:<12} {:>6} blocks changed, {:>6} reported, {} missed",
            disk.disk, disk.changed, disk.reported, disk.missed
        );
    }
}

fn summary(outcome: &VmOutcome) -> String {
    let passed = outcome.scenarios.iter().filter(|scenario| scenario.status == Status::Passed).count();
    let changed: u64 = outcome.disks.iter().map(|disk| disk.changed).sum();
    format!("{passed} of {} scenarios, {changed} blocks changed, 0 missed", outcome.scenarios.len())
}

/// One error for all: the worst kind, each kernel's message.
fn sum_up(mut failures: Vec<Error>, count: usize) -> Result<()> {
    if failures.len() <= 1 {
        return failures.pop().map_or(Ok(()), Err);
    }
    let infra = failures.iter().any(|error| error.kind == Kind::Infra);
    let text: Vec<_> = failures.iter().map(Error::to_string).collect();
    let text = format!("{} of {count} kernels failed\n{}", failures.len(), text.join("\n"));
    Err(if infra { Error::infra(text) } else { Error::kernel(text) })
}
