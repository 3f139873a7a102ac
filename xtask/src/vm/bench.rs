// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench`.

use super::emulator::{self, End, Patience, QEMU, escaped};
use super::{Programs, cpio, image, kernel_log};
use crate::build::Farm;
use crate::display::{self, Format};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::resolve::{MatrixArgs, matrix};
use crate::store::Store;
use guest::protocol::{INVOLFLT, MODULES, Measured, Message, PLAN, Plan};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use xshell::{Shell, cmd};

/// The kernel that the limits are for.
const KERNEL: &str = "6.1.* debian:bookworm amd64 !cloud-amd64 !rt-amd64";
/// Instructions that a 4 KiB direct write may cost more than without the module, by state.
const LIMITS: [(&str, i64); 3] = [(Measured::NOT_FILTERED, 0), (Measured::BITMAP, 350), (Measured::METADATA, 800)];
/// The counts repeat to 0.1 %; a cost of nothing may be as much as that.
const NOISE_PER_MILLE: i64 = 1;
const PATIENCE: Patience = Patience { silence: Duration::from_secs(300), longest: Duration::from_secs(600) };
const KERNEL_ARGUMENTS: &str = "console=ttyS0 panic=-1 oops=panic random.trust_cpu=on";

/// Counts what the driver costs a write, in guest instructions, and compares with the last committed count.
///
/// One kernel boots on one emulated processor that counts instructions, with a null_blk disk that completes at once.
/// Writes docs/bench.json.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench
  cargo xtask bench --module ./involflt.ko

Exit codes: 0 within the limits, 1 beyond one, 2 bad input, 69 a tool, a package or the network is missing.")]
pub struct Bench {
    #[command(flatten)]
    matrix: MatrixArgs,
    /// Module to load instead of the one built from this tree
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// How progress is shown [default: live on a terminal, else plain]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// `docs/bench.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
    kernel: String,
    /// Instructions of one 4 KiB direct write without the module.
    base: i64,
    states: Vec<State>,
}

/// What a state adds to the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    state: String,
    added: i64,
    limit: i64,
}

impl Report {
    fn new(kernel: &str, measured: &[Measured]) -> Result<Report> {
        let a_write = |state: &str| -> Result<i64> {
            let found = measured.iter().find(|measured| measured.state == state);
            let found = found.ok_or_else(|| Error::kernel(format!("the VM measured no state {state}")))?;
            Ok((found.instructions as f64 / found.writes as f64).round() as i64)
        };
        let base = a_write(Measured::NOT_LOADED)?;
        let state =
            |(state, limit): (&str, i64)| Ok(State { state: state.to_string(), added: a_write(state)? - base, limit });
        let states = LIMITS.into_iter().map(state).collect::<Result<_>>()?;
        Ok(Report { kernel: kernel.to_string(), base, states })
    }

    fn beyond(&self) -> Option<&State> {
        let noise = self.base * NOISE_PER_MILLE / 1000;
        self.states.iter().find(|state| state.added > state.limit.max(noise))
    }

    fn print(&self, before: Option<&Report>) {
        println!("{}: a 4 KiB direct write costs {} instructions", self.kernel, self.base);
        println!("  {:<14}{:>8}{:>8}  ratio to the last commit", "state", "added", "limit");
        for state in &self.states {
            let last = before.and_then(|report| report.states.iter().find(|other| other.state == state.state));
            let ratio = match last {
                Some(last) if last.added > 0 => format!("{:.3}", state.added as f64 / last.added as f64),
                _ => "-".to_string(),
            };
            println!("  {:<14}{:>8}{:>8}  {ratio}", state.state, state.added, state.limit);
        }
    }
}

impl Bench {
    /// Measures; fails with the kind [`crate::error::Kind::Kernel`] beyond a limit.
    pub fn run(self, shell: &Shell) -> Result<()> {
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let listener = display::open(self.format);
        let kernel = self.kernel(&store, &*listener)?;
        let measured = self.measure(&kernel, &store, &*listener)?;
        drop(listener);
        let report = Report::new(&kernel.id(), &measured)?;
        report.print(committed(shell).as_ref());
        let path = crate::work_tree::top().join("docs/bench.json");
        let text = serde_json::to_string_pretty(&report).map_err(|error| Error::infra(error.to_string()))?;
        fs::write(&path, text + "\n").at_path(&path)?;
        match report.beyond() {
            None => Ok(()),
            Some(State { state, added, limit }) => {
                Err(Error::kernel(format!("{state}: {added} instructions a write, at most {limit} are allowed"))
                    .note("again: cargo xtask bench"))
            }
        }
    }

    fn kernel(&self, store: &Store, listener: &dyn Listener) -> Result<LockedKernel> {
        let mut args = MatrixArgs { locked: true, ..self.matrix.clone() };
        if args.select.is_empty() {
            args.select.push(KERNEL.to_string());
        }
        let mut kernels = matrix(&args, store, listener)?;
        match (kernels.pop(), kernels.len()) {
            (Some(kernel), 0) => Ok(kernel),
            _ => Err(Error::input("bench measures one kernel".to_string()).note("name one with --select")),
        }
    }

    fn measure(&self, kernel: &LockedKernel, store: &Store, listener: &dyn Listener) -> Result<Vec<Measured>> {
        let id = kernel.id();
        let stage = |stage: &str| listener.event(Event::Stage { subject: id.clone(), stage: stage.to_string() });
        let tree = crate::work_tree::top();
        let out = tree.join("dist").join("bench");
        fs::create_dir_all(&out).at_path(&out)?;
        let source = ModuleSource::read(&tree.join("module"))?;
        let module = match &self.module {
            Some(module) => module.clone(),
            None => {
                let log = out.join(format!("{id}.build.log"));
                Farm::new(store, &source, self.matrix.offline).build(kernel, &log, &stage)?.module
            }
        };
        stage("bench: image");
        let image = image::image(kernel, store, self.matrix.offline, &["null_blk"])?;
        let initramfs = out.join("initramfs");
        write_initramfs(&initramfs, &image, &module)?;
        stage("bench: measure");
        let log = out.join(format!("{id}.log"));
        boot(&image.vmlinuz, &initramfs, &log)
    }
}

/// The report that is committed, if one is.
fn committed(shell: &Shell) -> Option<Report> {
    let top = crate::work_tree::top();
    let text = cmd!(shell, "git -C {top} show HEAD:docs/bench.json").quiet().ignore_stderr().read().ok()?;
    serde_json::from_str(&text).ok()
}

fn write_initramfs(path: &Path, image: &image::Image, module: &Path) -> Result<()> {
    let read = |path: &Path| fs::read(path).at_path(path);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let modules = image.modules.iter().map(|path| name(path)).collect();
    let plan = Plan { modules, scenarios: Vec::new(), nvme_multipath: false, bench: true };
    let plan = serde_json::to_vec(&plan).map_err(|error| Error::infra(format!("the plan: {error}")))?;
    let mut cpio = cpio::Cpio::new(fs::File::create(path).at_path(path)?);
    let mut write = || {
        ["dev", "proc", "sys", "mnt", MODULES.trim_start_matches('/')].iter().try_for_each(|dir| cpio.directory(dir))
    };
    write().at_path(path)?;
    let programs = Programs::build()?;
    let mut files = vec![("/init".to_string(), read(&programs.guest)?), (PLAN.to_string(), plan)];
    files.push((INVOLFLT.to_string(), read(module)?));
    for module in &image.modules {
        files.push((format!("{MODULES}/{}", name(module)), read(module)?));
    }
    files.iter().try_for_each(|(name, contents)| cpio.file(name.trim_start_matches('/'), contents)).at_path(path)?;
    cpio.finish().map(drop).at_path(path)
}

fn boot(vmlinuz: &Path, initramfs: &Path, log: &Path) -> Result<Vec<Measured>> {
    let mut command = Command::new(QEMU);
    command
        .args(["-machine", "pc,i8042=off", "-accel", "tcg,thread=single", "-icount", "shift=0", "-cpu", "max"])
        .args(["-smp", "1", "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-append", KERNEL_ARGUMENTS])
        .arg("-kernel")
        .arg(vmlinuz)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-serial")
        .arg(format!("file:{}", escaped(log)))
        .args(["-serial", "stdio"]);
    let (mut measured, mut failed, mut finished) = (Vec::new(), None, false);
    let end =
        emulator::run(command, &log.with_extension("qemu.err"), PATIENCE, None, |line| {
            match serde_json::from_str(line) {
                Ok(Message::Measured(one)) => measured.push(one),
                Ok(Message::Abort { reason }) => failed = Some(reason),
                Ok(Message::Finished) => finished = true,
                _ => {}
            }
        })?;
    if finished && end == End::Exited {
        return Ok(measured);
    }
    let console = fs::read(log).at_path(log)?;
    let last = kernel_log::tail(&String::from_utf8_lossy(&console), 12);
    Err(Error::kernel(failed.unwrap_or_else(|| format!("the VM did not finish; the console's last lines:\n{last}")))
        .note(format!("console: {}", log.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(costs: [u64; 4]) -> Vec<Measured> {
        let states = [Measured::NOT_LOADED, Measured::NOT_FILTERED, Measured::BITMAP, Measured::METADATA];
        let measured =
            |(state, cost): (&str, u64)| Measured { state: state.into(), writes: 10, instructions: cost * 10 };
        states.into_iter().zip(costs).map(measured).collect()
    }

    #[test]
    fn a_state_beyond_its_limit_is_named() {
        let beyond = |costs| {
            let report = Report::new("6.1", &measured(costs)).unwrap();
            report.beyond().map(|state| state.state.clone())
        };
        assert_eq!(beyond([13_000, 13_000, 13_350, 13_800]), None);
        assert_eq!(beyond([13_000, 13_013, 13_100, 13_100]), None, "noise");
        assert_eq!(beyond([13_000, 13_014, 13_100, 13_100]).as_deref(), Some(Measured::NOT_FILTERED));
        assert_eq!(beyond([13_000, 13_000, 13_351, 13_100]).as_deref(), Some(Measured::BITMAP));
    }

    #[test]
    fn a_state_that_was_not_measured_is_an_error() {
        let error = Report::new("6.1", &measured([1, 1, 1, 1])[..3]).unwrap_err();
        assert_eq!(error.message, "the VM measured no state metadata");
    }
}
