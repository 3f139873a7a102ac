// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench`.

mod report;

use super::emulator::{self, End, Patience, QEMU, escaped};
use super::{Programs, cpio, image, kernel_log};
use crate::bench_farm::BenchFarm;
use crate::build::Farm;
use crate::display::{self, Format};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::plot;
use crate::resolve::{MatrixArgs, matrix};
use crate::store::Store;
use guest::protocol::{INVOLFLT, MODULES, Message, PLAN, Plan, Setting};
use object::{Object, ObjectSection, SectionKind};
use report::Report;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use xshell::{Shell, cmd};

/// The kernel that the limits are for.
const KERNEL: &str = "6.1.* debian:bookworm amd64 !cloud-amd64 !rt-amd64";
/// What is measured on one processor, and what on four.
const SETTINGS: [(u32, &[Setting]); 2] = [
    (
        1,
        &[
            Setting { disks: 1, writers: 1, written: 1, kib: 4 },
            Setting { disks: 8, writers: 1, written: 8, kib: 4 },
            Setting { disks: 64, writers: 1, written: 64, kib: 4 },
            Setting { disks: 1, writers: 1, written: 1, kib: 64 },
        ],
    ),
    (4, &[Setting { disks: 1, writers: 4, written: 1, kib: 4 }, Setting { disks: 4, writers: 4, written: 4, kib: 4 }]),
];
/// What the guest loads of the kernel's own modules.
const MODULES_OF_KERNEL: [&str; 5] = ["null_blk", "virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];
/// Bytes of the file system with the bitmap files.
const STATE_SIZE: u64 = 16 << 20;
const PATIENCE: Patience = Patience { silence: Duration::from_secs(300), longest: Duration::from_secs(600) };
const KERNEL_ARGUMENTS: &str = "console=ttyS0 panic=-1 oops=panic random.trust_cpu=on";

/// Counts what the driver costs a write, in guest instructions, and compares with the last committed count.
///
/// One kernel boots on emulated processors that count instructions, with null_blk disks that complete at once: on one
/// processor, and on four. Writes docs/bench.json and docs/bench.svg.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  cargo xtask bench
  cargo xtask bench --module ./involflt.ko
  cargo xtask bench farm                    how fast the farm itself is

Exit codes: 0 within the limits, 1 beyond one, 2 bad input, 69 a tool, a package or the network is missing."
)]
pub struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    matrix: MatrixArgs,
    /// Module to load instead of the one built from this tree
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// How progress is shown [default: live on a terminal, else plain]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// What is measured in place of the driver.
#[derive(Debug, clap::Subcommand)]
enum What {
    Farm(BenchFarm),
}

impl Bench {
    /// Measures; fails with the kind [`crate::error::Kind::Kernel`] beyond a limit.
    pub fn run(self, shell: &Shell) -> Result<()> {
        if let Some(What::Farm(farm)) = self.what {
            return farm.run();
        }
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let listener = display::open(self.format);
        let kernel = self.kernel(&store, &*listener)?;
        let (module, told) = self.measure(&kernel, &store, &*listener)?;
        drop(listener);
        let report = Report::new(&kernel.id(), &told, text_bytes(&module)?)?;
        report.print(committed(shell).as_ref());
        let docs = crate::work_tree::top().join("docs");
        let text = serde_json::to_string_pretty(&report).map_err(|error| Error::infra(error.to_string()))?;
        for (name, text) in [("bench.json", text + "\n"), ("bench.svg", plot::svg(&report.title(), &report.bars()))] {
            let path = docs.join(name);
            fs::write(&path, text).at_path(&path)?;
        }
        match report.beyond() {
            None => Ok(()),
            Some(what) => Err(Error::kernel(what).note("again: cargo xtask bench")),
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

    /// The module, and what the guests told.
    fn measure(
        &self,
        kernel: &LockedKernel,
        store: &Store,
        listener: &dyn Listener,
    ) -> Result<(PathBuf, Vec<Message>)> {
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
        let image = image::image(kernel, store, self.matrix.offline, &MODULES_OF_KERNEL)?;
        let state = out.join("state.img");
        make_state(&state)?;
        let mut told = Vec::new();
        for (processors, settings) in SETTINGS {
            stage(&format!("bench: {processors} processors"));
            let initramfs = out.join("initramfs");
            write_initramfs(&initramfs, &image, &module, settings)?;
            let log = out.join(format!("{id}-{processors}.log"));
            told.extend(boot(&image.vmlinuz, &initramfs, &state, processors, &log)?);
        }
        Ok((module, told))
    }
}

/// An ext4 file system of blocks that the driver pins.
fn make_state(path: &Path) -> Result<()> {
    fs::File::create(path).and_then(|file| file.set_len(STATE_SIZE)).at_path(path)?;
    super::disks::run(Command::new("mkfs.ext4").args(["-q", "-F", "-b", "4096"]).arg(path))
}

/// Bytes of code that a module has in memory.
fn text_bytes(module: &Path) -> Result<u64> {
    let data = fs::read(module).at_path(module)?;
    let file = object::File::parse(&*data).map_err(|error| Error::kernel(format!("{}: {error}", module.display())))?;
    let text = file.sections().filter(|section| section.kind() == SectionKind::Text);
    Ok(text.map(|section| section.size()).sum())
}

/// The report that is committed, if one is.
fn committed(shell: &Shell) -> Option<Report> {
    let top = crate::work_tree::top();
    let text = cmd!(shell, "git -C {top} show HEAD:docs/bench.json").quiet().ignore_stderr().read().ok()?;
    serde_json::from_str(&text).ok()
}

fn write_initramfs(path: &Path, image: &image::Image, module: &Path, settings: &[Setting]) -> Result<()> {
    let read = |path: &Path| fs::read(path).at_path(path);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let modules = image.modules.iter().map(|path| name(path)).collect();
    let plan = Plan {
        modules,
        scenarios: Vec::new(),
        nvme_multipath: false,
        powercut: false,
        intent: false,
        bus: Default::default(),
        reboots: None,
        bench: settings.to_vec(),
    };
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

fn boot(vmlinuz: &Path, initramfs: &Path, state: &Path, processors: u32, log: &Path) -> Result<Vec<Message>> {
    let mut command = Command::new(QEMU);
    command
        .args(["-machine", "pc,i8042=off", "-accel", "tcg,thread=single", "-icount", "shift=0", "-cpu", "max"])
        .args([
            "-smp",
            &processors.to_string(),
            "-m",
            "1024",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-append", KERNEL_ARGUMENTS])
        .arg("-drive")
        .arg(format!("if=virtio,format=raw,file={}", escaped(state)))
        .arg("-kernel")
        .arg(vmlinuz)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-serial")
        .arg(format!("file:{}", escaped(log)))
        .args(["-serial", "stdio"]);
    let (mut told, mut failed, mut finished) = (Vec::new(), None, false);
    let end =
        emulator::run(command, &log.with_extension("qemu.err"), PATIENCE, None, |line| {
            match serde_json::from_str(line) {
                Ok(message @ (Message::Measured(_) | Message::Memory { .. })) => told.push(message),
                Ok(Message::Abort { reason }) => failed = Some(reason),
                Ok(Message::Finished) => finished = true,
                _ => {}
            }
        })?;
    if finished && end == End::Exited {
        return Ok(told);
    }
    let console = fs::read(log).at_path(log)?;
    let last = kernel_log::tail(&String::from_utf8_lossy(&console), 12);
    Err(Error::kernel(failed.unwrap_or_else(|| format!("the VM did not finish; the console's last lines:\n{last}")))
        .note(format!("console: {}", log.display())))
}
