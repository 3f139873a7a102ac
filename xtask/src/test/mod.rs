// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`: everything that is tested, from the units to the VMs.

mod archives;
mod cli;
mod ctl;
mod dkms;
mod executors;
mod hostile;
mod initramfs;
mod install;
mod iscsi;
mod kernels;
mod older;
mod packages;
mod page;
mod proof;
mod publish;
mod pypi;
mod reboot;
mod registry;
mod rpm;
mod sbom;
mod secrets;
mod server;
mod service;
mod shared_store;
mod signing;
mod site;
mod source;
mod source_packages;
mod stand_in;
mod stand_in_headers;
mod stranger;
mod tally;
mod telemetry;
mod utils;
mod verify;

use crate::display::{self, Format};
use crate::error::{Error, Result};
use crate::event::Listener;
use crate::lock::LockedKernel;
use crate::resolve::{self, MatrixArgs};
use crate::setup::{self, Need};
use crate::store::Store;
use crate::work_tree;
use clap::ValueEnum;
use std::path::Path;
use std::time::Instant;
use tally::Tally;
use xshell::Shell;

/// Tests everything: source, units, commands, and the module on every kernel in a VM.
///
/// By default every kernel of the lock's default group is built, checked and booted once; each scenario runs on at least one
/// kernel of each release. --long takes every kernel of group:debian-all, and
/// the stage iscsi.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test --setup                       what CI runs
  cargo xtask test --select debian:bookworm      the same, on fewer kernels
  cargo xtask test --only source --only commands two stages
  cargo xtask test --long                        every kernel of group:debian-all, and iscsi")]
pub struct Test {
    #[command(flatten)]
    matrix: MatrixArgs,
    /// Install missing tools with apt first (with sudo when not root).
    #[arg(long, conflicts_with = "offline")]
    setup: bool,
    /// Every kernel of group:debian-all instead of the default group, and the stage iscsi.
    #[arg(long, conflicts_with = "select")]
    long: bool,
    /// Only this stage; may be given more than once [default: all but iscsi, in this order].
    #[arg(long, value_enum, value_name = "STAGE")]
    only: Vec<Stage>,
}

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// Format, lints, licences and unit tests.
    Source,
    /// The driver's code under loom and a fuzzer, involfltctl under valgrind.
    Proof,
    /// Exit codes and errors of the commands.
    Commands,
    /// The program involfltctl as it is shipped.
    Ctl,
    /// Base images from a registry, and what machines share by one.
    Registry,
    /// The module built for, and booted on, every kernel.
    Kernels,
    /// Units, udev rules and initramfs hook, in a Debian machine.
    Utils,
    /// An iSCSI disk, replicated in a Debian machine.
    Iscsi,
    /// DKMS builds on machines of each release, without Rust.
    Dkms,
    /// The source packages, built without network, cargo and rustc.
    SourcePackages,
    /// Keys in files and on a token, and all that can be wrong with them.
    Signing,
    /// A matrix over a Slurm cluster on this machine.
    Executors,
    /// Packages: reproducible, and clean for lintian and rpmlint.
    Packages,
    /// Published packages that were tampered with.
    Verify,
    /// Repositories published to a directory, by rsync and to S3, with clients that hold older indices.
    Publish,
    /// Archives of rpm distributions, good and hostile.
    Archives,
    /// Module packages chosen by zypper and dnf.
    Rpm,
    /// Our packages in whole machines: installed by apt, booted, purged.
    Install,
    /// The report in a browser.
    Report,
}

impl Stage {
    fn run(self, context: &Context<'_>, tally: &mut Tally) {
        match self {
            Stage::Source => source::run(context, tally),
            Stage::Proof => proof::run(context, tally),
            Stage::Commands => cli::run(context, tally),
            Stage::Ctl => ctl::run(context, tally),
            Stage::Registry => registry::run(context, tally),
            Stage::Kernels => kernels::run(context, tally),
            Stage::Utils => utils::run(context, tally),
            Stage::Iscsi => iscsi::run(context, tally),
            Stage::Dkms => dkms::run(context, tally),
            Stage::SourcePackages => source_packages::run(context, tally),
            Stage::Signing => signing::run(context, tally),
            Stage::Executors => executors::run(context, tally),
            Stage::Packages => packages::run(context, tally),
            Stage::Verify => verify::run(context, tally),
            Stage::Publish => publish::run(context, tally),
            Stage::Archives => archives::run(context, tally),
            Stage::Rpm => rpm::run(context, tally),
            Stage::Install => install::run(context, tally),
            Stage::Report => {
                page::run(context, tally);
                site::run(context, tally);
            }
        }
    }
}

fn stages(only: &[Stage], long: bool) -> Vec<Stage> {
    let wanted = |stage: &&Stage| match only {
        [] => long || **stage != Stage::Iscsi,
        only => only.contains(stage),
    };
    Stage::value_variants().iter().filter(wanted).copied().collect()
}

/// What the stages share.
struct Context<'a> {
    tree: &'static Path,
    matrix: MatrixArgs,
    store: &'a Store,
    listener: &'a dyn Listener,
    long: bool,
}

impl Context<'_> {
    /// The kernels that are tested: those of the lock, or the ones that were selected.
    fn kernels(&self) -> Result<Vec<LockedKernel>> {
        let locked = MatrixArgs { locked: self.matrix.select.is_empty(), ..self.matrix.clone() };
        resolve::matrix(&locked, self.store, self.listener)
    }

    /// The command that runs one stage again, on the same kernels.
    fn again(&self, stage: &str) -> String {
        let select: String = self.matrix.select.iter().map(|select| format!(" --select '{select}'")).collect();
        format!("cargo xtask test --only {stage}{select}")
    }
}

impl Test {
    /// Runs every stage, also after one has failed, and ends with the line `N passed, N failed, N skipped`.
    pub fn run(mut self, _: &Shell) -> Result<()> {
        let listener = display::open(Some(Format::Plain));
        setup::require(Need::Test, self.setup, &*listener)?;
        if self.long {
            self.matrix.select = vec!["group:debian-all".to_string()];
        }
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let (long, matrix) = (self.long, self.matrix);
        let context = Context { tree: work_tree::top(), matrix, store: &store, listener: &*listener, long };
        let mut tally = Tally::default();
        for stage in stages(&self.only, long) {
            let start = Instant::now();
            stage.run(&context, &mut tally);
            println!("stage {stage:?}: {} s", start.elapsed().as_secs());
        }
        println!("\n{}", tally.line());
        match tally.failed() {
            0 => Ok(()),
            failed => Err(Error::kernel(format!("{failed} tests failed")).note("each says above how to run it alone")),
        }
    }
}
