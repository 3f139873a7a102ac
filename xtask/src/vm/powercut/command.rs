// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask vm powercut`.

use super::{Cut, Request, run, summary};
use crate::build::Farm;
use crate::display::{self, Format};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::resolve::{MatrixArgs, matrix};
use crate::store::Store;
use crate::vm::Programs;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The kernel that is taken where none is selected.
const KERNEL: &str = "6.1.* debian:bookworm amd64 !cloud-amd64 !rt-amd64";

/// Cuts the power of a VM while a disk is written to and replicated, or stops it, again and again, and compares each time.
///
/// The VM's disks are served by this program: of what was written and not flushed, a cut loses any part, torn at sectors.
/// After each cut the replica is brought up to date, by what the driver says, and must be equal.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm powercut --runs 30
  cargo xtask vm powercut --runs 125 --seed 7 --select 'group:default !cloud-amd64'

Exit codes: 0 equal after every cut, 1 not, 2 bad input, 69 a tool, a package or the network is missing.")]
pub struct PowerCut {
    #[command(flatten)]
    matrix: MatrixArgs,
    /// Module to load instead of the one built from this tree; for one kernel
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// Cuts and orderly stops of each kernel
    #[arg(long, value_name = "N", default_value_t = 30)]
    runs: u32,
    /// Where the moments of the cuts and what they lose come from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How progress is shown [default: live on a terminal, else plain]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl PowerCut {
    /// Cuts the power of each selected kernel's VM; fails at the first that does not pass.
    pub fn run(self) -> Result<()> {
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
        let rows = kernels.iter().map(|kernel| Ok((kernel.id(), self.one(kernel, &store, &programs, &*listener)?)));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        drop(listener);
        rows.iter().for_each(|(id, cuts)| print!("{}", table(id, cuts)));
        Ok(())
    }

    fn one(
        &self,
        kernel: &LockedKernel,
        store: &Store,
        programs: &Programs,
        listener: &dyn Listener,
    ) -> Result<Vec<Cut>> {
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
        let again = format!("again: cargo xtask vm powercut --runs {runs} --seed {seed} --select {}", kernel.kernel);
        let request = Request { kernel, store, offline, module: &module, programs, out_dir: &out_dir, runs, seed };
        run(&request, listener).map_err(|error| error.note(again))
    }
}

/// How often what was found.
fn table(id: &str, cuts: &[Cut]) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for cut in cuts {
        *counts.entry(summary(cut)).or_default() += 1;
    }
    let mut text = format!("{id}: {} cuts and stops, silently different: 0\n", cuts.len());
    for (said, count) in counts {
        text += &format!("{count:>6}  {said}; equal\n");
    }
    text
}
