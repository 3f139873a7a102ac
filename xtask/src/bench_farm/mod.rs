// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench farm`.

mod report;

use crate::container::remove_roots;
use crate::core_object::Telemetry;
use crate::display::{self, Format};
use crate::error::{AtPath, Error, Result};
use crate::event::Event;
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::package::Tools;
use crate::plan::Plan;
use crate::resolve::{MatrixArgs, Resolution, matrix};
use crate::root::RootSpec;
use crate::sign::{KeyOptions, Keys};
use crate::store::Store;
use crate::timeline::Timeline;
use crate::{ctl_program, kdir, parallel, plot, usage, work_tree};
use report::{Measurement, Report, Work};
use std::fs;
use std::num::NonZero;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Debian's kernels of all flavours. Those with Rust are left out: the metadata of each takes 2 GB.
const KERNELS: &str = "group:debian-all platform=cglue";
/// What a machine that has worked on these kernels before has of them.
const KEPT: [&str; 4] = ["kdirs", "packages", "roots", "tools"];
/// The line of the glue that is changed.
const CHANGED: (&str, &str) = ("glue/main.c", "MODULE_INFO(bench, \"one line\");\n");

/// Measures how fast the farm builds and packs, and compares with its limits.
///
/// Nothing is booted. Results go to stores and directories of their own, which are removed; headers, build roots and tools are taken
/// from the store, where they are got first if need be. Writes docs/farm.json and docs/farm.svg.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench farm
  cargo xtask bench farm --from-empty           also from an empty store: downloads, roots, tools
  cargo xtask bench farm --rows 6               a short trial; nothing is written

Exit codes: 0 within the limits, 1 beyond one, 2 bad input, 69 a tool, a package or the network is missing.")]
pub struct BenchFarm {
    #[command(flatten)]
    matrix: MatrixArgs,
    /// Kernels of the largest matrix; there must be one more
    #[arg(long, value_name = "N", default_value = "60")]
    rows: NonZero<usize>,
    /// Begin with an empty store, which takes 150 MB for each kernel while it lasts; all else is measured with it
    #[arg(long, conflicts_with = "offline")]
    from_empty: bool,
    /// How progress is shown [default: live on a terminal, else plain]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl BenchFarm {
    /// Measures; fails with the kind [`crate::error::Kind::Kernel`] beyond a limit.
    pub fn run(self) -> Result<()> {
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let scratch = Scratch::new()?;
        let kernels = self.kernels(&store)?;
        // The programs of this work tree are made before, and once for all stores.
        ctl_program::build()?;
        let measured = Bench { args: &self, store: &store, scratch: &scratch.0 }.measure(&kernels)?;
        measured.print();
        if self.rows.get() == report::ROWS {
            let docs = work_tree::top().join("docs");
            let text = serde_json::to_string_pretty(&measured).map_err(|error| Error::infra(error.to_string()))?;
            let picture = plot::svg(&measured.title(), &measured.bars());
            for (name, text) in [("farm.json", text + "\n"), ("farm.svg", picture)] {
                fs::write(docs.join(name), text).at_path(docs.join(name))?;
            }
        }
        match measured.beyond() {
            None => Ok(()),
            Some(what) => Err(Error::kernel(what).note("on a machine with other work, the ratios count")),
        }
    }

    /// As many kernels as are wanted and one more, which is the last of them.
    fn kernels(&self, store: &Store) -> Result<Vec<LockedKernel>> {
        let mut args = self.matrix.clone();
        if args.select.is_empty() && !args.locked {
            args.select.push(KERNELS.to_string());
        }
        let mut kernels = matrix(&args, store, &*display::open(self.format))?;
        let wanted = self.rows.get();
        match kernels.pop() {
            Some(last) if kernels.len() >= wanted => {
                let mut some = evenly(&kernels, wanted);
                some.push(last);
                Ok(some)
            }
            _ => Err(Error::input(format!("--rows {wanted} needs {} kernels", wanted + 1)).note("select more of them")),
        }
    }
}

/// So many of a list, from all over it.
fn evenly<T: Clone>(list: &[T], wanted: usize) -> Vec<T> {
    (0..wanted).map(|index| list[index * list.len() / wanted].clone()).collect()
}

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let dir = work_tree::top().join("dist").join("bench-farm");
        remove_roots(&dir)?;
        fs::create_dir_all(&dir).at_path(&dir)?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is removed by the next one.
        let _ = remove_roots(&self.0);
    }
}

struct Bench<'a> {
    args: &'a BenchFarm,
    store: &'a Store,
    scratch: &'a Path,
}

impl Bench<'_> {
    /// All of it: `kernels` are the rows, and one more.
    fn measure(&self, kernels: &[LockedKernel]) -> Result<Report> {
        let load_before = usage::load()?;
        let source = ModuleSource::read(&work_tree::top().join("module"))?;
        let rows = &kernels[..kernels.len() - 1];
        let mut measured = Vec::new();
        let full = match self.args.from_empty {
            true => {
                let empty = Store::open(Some(&self.scratch.join("empty")))?;
                measured.push(self.run(Work::FromEmpty, rows, &source, &empty)?);
                empty
            }
            false => self.store.clone(),
        };
        self.prepare(kernels, &full)?;
        let [tenth, half] = [6, 2].map(|part| evenly(rows, rows.len().div_ceil(part)));
        let smallest = self.beside(&full, "tenth")?;
        measured.push(self.run(Work::Headers, &tenth, &source, &smallest)?);
        measured.push(self.run(Work::Headers, &half, &source, &self.beside(&full, "half")?)?);
        let all = self.beside(&full, "all")?;
        measured.push(self.run(Work::Headers, rows, &source, &all)?);
        let again = self.run(Work::Again, rows, &source, &all)?;
        let more = self.run(Work::OneMore, kernels, &source, &all)?.beyond_that(&again);
        measured.extend([again, more]);
        let changed = source.with_line(Path::new(CHANGED.0), CHANGED.1);
        measured.push(self.run(Work::Glue, &tenth, &changed, &smallest)?);
        let (processors, memory_kib) = (parallel::processors(), usage::peak_memory_kib()?);
        Ok(Report { processors, load_before, load_after: usage::load()?, measured, memory_kib })
    }

    /// Gets what the kernels need before anything is measured.
    fn prepare(&self, kernels: &[LockedKernel], store: &Store) -> Result<()> {
        let offline = self.args.matrix.offline;
        let listener = display::open(self.args.format);
        Tools::get(store, offline, &|stage| {
            listener.event(Event::Stage { subject: "tools".into(), stage: stage.into() });
        })?;
        let got = parallel::map(kernels, parallel::processors(), |kernel| {
            let stage = |stage: &str| listener.event(Event::Stage { subject: kernel.id(), stage: stage.into() });
            RootSpec::for_kernel(kernel).get(store, offline, || stage("build root"))?;
            RootSpec::for_core(kernel).get(store, offline, || stage("build root of the Rust object"))?;
            kdir::headers(kernel, store, offline, &stage).map(drop)
        });
        got.into_iter().collect()
    }

    /// A new store that has what is kept of `full`, and no results.
    fn beside(&self, full: &Store, name: &str) -> Result<Store> {
        let dir = self.scratch.join(name);
        fs::create_dir_all(&dir).at_path(&dir)?;
        for kind in KEPT {
            symlink(full.kind(kind)?, dir.join(kind)).at_path(&dir)?;
        }
        Store::open(Some(&dir))
    }

    /// One run of `build-matrix --no-boot`, measured.
    fn run(&self, work: Work, kernels: &[LockedKernel], source: &ModuleSource, store: &Store) -> Result<Measurement> {
        let timeline = Timeline::new(display::open(self.args.format));
        let plan = Plan {
            offline: work != Work::FromEmpty,
            boot: false,
            telemetry: Telemetry::No,
            jobs: None,
            dist: store.root().with_extension("dist"),
            keys: Some(Keys::open(&KeyOptions::default(), &timeline)?),
            source: source.clone(),
            kept: Default::default(),
        };
        let resolution = Resolution { kernels: kernels.to_vec(), refused: Vec::new() };
        let outcome = plan.run(&resolution, store, &timeline)?;
        let failed = outcome.rows.iter().filter(|row| row.failed()).count();
        Ok(Measurement::new(work, [kernels.len(), failed], &timeline))
    }
}
