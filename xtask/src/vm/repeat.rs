// SPDX-License-Identifier: GPL-2.0-only
//! Commands that boot one machine of each kernel again and again.

use super::Programs;
use super::powercut::Request;
use crate::build::Farm;
use crate::display::{self, Format};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::resolve::{MatrixArgs, matrix};
use crate::store::Store;
use guest::layout::powercut::Bus;
use std::fs;
use std::path::PathBuf;

/// The kernel that is taken where none is selected.
const KERNEL: &str = "6.1.* debian:bookworm amd64 !cloud-amd64 !rt-amd64";

/// What such a command is told.
#[derive(Debug, clap::Args)]
pub struct Repeat {
    #[command(flatten)]
    matrix: MatrixArgs,
    /// Module to load instead of the one built from this tree; for one kernel
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// How often each kernel's machine comes to an end
    #[arg(long, value_name = "N", default_value_t = 30)]
    runs: u32,
    /// Where all random numbers come from but the machine's own timing
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How progress is shown [default: live on a terminal, else plain]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// The work on one kernel.
pub type Work<'a, T> = dyn Fn(&Request<'_>, &dyn Listener) -> Result<T> + 'a;

impl Repeat {
    /// Does the work of `command` on each selected kernel, and gives each one's id and what came of it. Fails at the first that
    /// does not pass.
    pub fn each<T>(&self, command: &str, work: &Work<'_, T>) -> Result<Vec<(String, T)>> {
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let listener = display::open(self.format);
        let mut args = MatrixArgs { locked: true, ..self.matrix.clone() };
        if args.select.is_empty() {
            args.select.push(KERNEL.to_string());
        }
        let kernels = matrix(&args, &store, &*listener)?;
        if self.module.is_some() && kernels.len() != 1 {
            return Err(Error::input("--module is for one kernel".to_string()).note("name one with --select"));
        }
        let programs = Programs::build()?;
        let one = |kernel| {
            let done = self.one(kernel, &store, &programs, &*listener, work);
            let LockedKernel { kernel: release, .. } = kernel;
            let (runs, seed) = (self.runs, self.seed);
            let again = format!("again: cargo xtask vm {command} --runs {runs} --seed {seed} --select {release}");
            Ok((kernel.id(), done.map_err(|error| error.note(again))?))
        };
        kernels.iter().map(one).collect()
    }

    fn one<T>(
        &self,
        kernel: &LockedKernel,
        store: &Store,
        programs: &Programs,
        listener: &dyn Listener,
        work: &Work<'_, T>,
    ) -> Result<T> {
        let tree = crate::work_tree::top();
        let out_dir = tree.join("dist").join("vm");
        fs::create_dir_all(&out_dir).at_path(&out_dir)?;
        let source = ModuleSource::read(&tree.join("module"))?;
        let farm = Farm::new(store, &source, self.matrix.offline);
        let stage = |stage: &str| listener.event(Event::Stage { subject: kernel.id(), stage: stage.to_string() });
        let module = match &self.module {
            Some(module) => module.clone(),
            None => farm.build(kernel, &out_dir.join(format!("{}.build.log", kernel.id())), &stage)?.module,
        };
        let (offline, runs, seed) = (self.matrix.offline, self.runs, self.seed);
        let (module, out_dir, intent, bus) = (&*module, &*out_dir, false, Bus::default());
        work(&Request { kernel, store, offline, module, programs, out_dir, runs, seed, intent, bus }, listener)
    }
}
