// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask probes`: what the probes find in a KDIR and why; which kernels are alike; what in them is idle.

mod answers;
mod evidence;
mod glue;
mod lint;
mod probe;
mod table;

use crate::build::Farm;
use crate::display::{self, Format};
use crate::error::{Error, Result};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::resolve::{self, MatrixArgs};
use crate::store::Store;
use crate::{parallel, work_tree};
use answers::{Answers, How};
use evidence::Evidence;
pub use probe::Probe;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use table::Table;
use xshell::Shell;

/// Explains what the probes find in a KDIR, or compares all kernels of a selection.
///
/// With a KDIR: each probe's answer, and the header line or the compiler's error behind it. Without: kernels with the
/// same answers, and lints: a probe that nothing uses, one that answers the same everywhere, one whose header line is not in a
/// kernel's headers, glue that no kernel selects. Kernels that are not asked answer as docs/probes.md says.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask probes /lib/modules/$(uname -r)/build     explain this kernel's answers
  cargo xtask probes --locked                           compare the kernels of kernels.lock
  cargo xtask probes --write --select group:default --select group:ubuntu --select group:before-5.10
                                                        write docs/probes.md

Exit codes: 0 no lint (or a KDIR explained), 1 a lint, 2 not a KDIR, 69 no archive or no container engine.")]
pub struct Probes {
    /// A configured kernel build directory with a compiler that fits, on this machine.
    #[arg(conflicts_with_all = ["select", "locked"])]
    kdir: Option<PathBuf>,
    /// Write docs/probes.md from the answers, and take no kernel's from it.
    #[arg(long, conflicts_with = "kdir", requires = "select")]
    write: bool,
    #[command(flatten)]
    matrix: MatrixArgs,
}

/// What begins the line of a build's log that names the probes which found something; `involflt.mak` writes it.
const IN_LOG: &str = "  PROBES  ";

/// The probes that found something in the KDIR of a build, from the build's log; `None` where it did not come so far.
pub fn found(log: &str) -> Option<Vec<&str>> {
    log.lines().find_map(|line| Some(line.strip_prefix(IN_LOG)?.split_whitespace().collect()))
}

impl Probes {
    /// Runs the command.
    pub fn run(self, _: &Shell) -> Result<()> {
        let module = work_tree::top().join("module");
        let source = ModuleSource::read(&module)?;
        let probes = Probe::all(&module)?;
        match &self.kdir {
            Some(kdir) => {
                let answers = Answers::of_dir(kdir, &source, &probes)?;
                print!("{}", explained(&probes, &answers, kdir));
                Ok(())
            }
            None => self.compare(&source, &probes, &module),
        }
    }

    fn compare(&self, source: &ModuleSource, probes: &[Probe], module: &Path) -> Result<()> {
        let listener = display::open(Some(Format::Plain));
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let kernels = resolve::matrix(&self.matrix, &store, &*listener)?;
        let farm = Farm::new(&store, source, self.matrix.offline);
        let asked = ask(&farm, &kernels, probes)?;
        print!("{}", alike(&asked));
        if self.write {
            table_of(&asked).write(work_tree::top(), probes)?;
        }
        lint::verdict(&lints(&asked, probes, module)?)
    }
}

/// A kernel that was asked.
struct Asked<'a> {
    kernel: &'a LockedKernel,
    answers: Answers,
    /// The header lines of each probe in its KDIR, or why there are none, in the order of the probes.
    evidence: Vec<Evidence>,
}

fn ask<'a>(farm: &Farm<'_>, kernels: &'a [LockedKernel], probes: &[Probe]) -> Result<Vec<Asked<'a>>> {
    let ask = |kernel: &'a LockedKernel| {
        let (answers, kdir) = Answers::of_kernel(farm, kernel, probes, How::Together)?;
        let evidence = probes.iter().map(|probe| evidence::of(probe, &kdir.host)).collect();
        Ok(Asked { kernel, answers, evidence })
    };
    parallel::map(kernels, parallel::processors(), ask).into_iter().collect()
}

fn table_of(asked: &[Asked<'_>]) -> Table {
    Table::new(asked.iter().map(|one| (one.kernel.id(), &one.answers)))
}

/// All lints of the kernels that were asked, and of those that docs/probes.md has.
fn lints(asked: &[Asked<'_>], probes: &[Probe], module: &Path) -> Result<Vec<String>> {
    let known = Table::read(work_tree::top())?;
    let answers: Vec<_> = known.answers().chain(asked.iter().map(|one| &one.answers.found)).collect();
    let mut lints = lint::unused(probes, module)?;
    lints.extend(lint::idle(probes, &answers, module)?);
    lints.extend(lint::unproven(probes, asked));
    lints.extend(lint::undecided(probes, asked));
    lints.extend(known.disagreements(probes, &table_of(asked)));
    Ok(lints)
}

/// What is wrong with the probes, as far as these kernels and docs/probes.md tell.
pub fn check(farm: &Farm<'_>, kernels: &[LockedKernel]) -> Result<()> {
    let module = work_tree::top().join("module");
    let probes = Probe::all(&module)?;
    lint::verdict(&lints(&ask(farm, kernels, &probes)?, &probes, &module)?)
}

/// The first probe that a kernel answers in another way when it is compiled alone.
pub fn differs_alone(farm: &Farm<'_>, kernel: &LockedKernel) -> Result<Option<String>> {
    let probes = Probe::all(&work_tree::top().join("module"))?;
    let found = |how| Ok::<_, Error>(Answers::of_kernel(farm, kernel, &probes, how)?.0.found);
    let (together, alone) = (found(How::Together)?, found(How::Alone)?);
    Ok(alone.into_iter().find(|(name, found)| together.get(name) != Some(found)).map(|(name, _)| name))
}

/// One paragraph for each probe.
fn explained(probes: &[Probe], answers: &Answers, kdir: &Path) -> String {
    let mut text = format!("signature {}\n", answers.signature());
    for probe in probes {
        let found = answers.found.get(&probe.name) == Some(&true);
        text += &format!("\n{}: {}\n", probe.name, if found { "yes" } else { "no" });
        text += &format!("  asks      {}\n", probe.means);
        match evidence::of(probe, kdir) {
            Ok(lines) => lines.iter().for_each(|line| text += &format!("  header    {line}\n")),
            Err(why) => text += &format!("  header    {why}\n"),
        }
        if let Some(error) = answers.errors.get(&probe.name) {
            text += &format!("  compiler  {error}\n");
        }
    }
    text
}

/// Kernels by signature, with what their probes found.
fn alike(asked: &[Asked<'_>]) -> String {
    let mut groups: BTreeMap<String, Vec<&Asked<'_>>> = BTreeMap::new();
    for one in asked {
        groups.entry(one.answers.signature()).or_default().push(one);
    }
    let mut text = format!("{} kernels, {} signatures\n", asked.len(), groups.len());
    for (signature, members) in groups {
        let found = members[0].answers.found.iter().filter(|(_, found)| **found).map(|(name, _)| name.as_str());
        text += &format!("\n{signature}: {}\n", found.collect::<Vec<_>>().join(" "));
        members.iter().for_each(|one| text += &format!("  {}\n", one.kernel.id()));
    }
    text
}
