// SPDX-License-Identifier: GPL-2.0-only
//! Real DKMS on a machine of each release, without Rust: builds, failures and removal; one module is booted.

use super::{Context, Tally};
use crate::build::Farm;
use crate::check::{self, KernelFacts, Severity};
use crate::container::{Job, Mount};
use crate::dkms;
use crate::error::{AtPath, Error, Result};
use crate::kdir::make_open_dir;
use crate::lock::LockedKernel;
use crate::machine::Spec;
use crate::module_source::ModuleSource;
use crate::parallel;
use crate::root::RootSpec;
use crate::store::remove;
use crate::vm;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const SCRIPT: &str = include_str!("dkms.sh");
/// The release whose module is also booted.
const BOOTED: &str = "bookworm";
/// Machines at work at once.
const AT_ONCE: usize = 2;

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dir = std::env::temp_dir().join(format!("involflt-dkms-{}", std::process::id()));
    let again = context.again("dkms");
    if let Err(error) = stage(context, tally, &dir, &again) {
        tally.check("DKMS", Err(error.to_string()), &again);
    }
    if let Err(error) = remove(&dir) {
        tally.check("DKMS: the scratch directory", Err(error.to_string()), &again);
    }
}

fn stage(context: &Context<'_>, tally: &mut Tally, dir: &Path, again: &str) -> Result<()> {
    let kernels = context.kernels()?;
    let chosen = one_a_release(&kernels);
    let any = chosen.first().ok_or_else(|| Error::input("no kernel is selected"))?;
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let staged = dir.join("staged");
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    dkms::stage(&farm, any, &staged, &|_| ())?;
    let rebuilt = rebuilt(context, &farm, any, dir, &staged).map_err(|error| error.to_string());
    tally.check("the Rust object from source, in another directory", rebuilt, again);
    let machine =
        |kernel| Computer { context, kernels: &kernels, kernel, staged: &staged, out: dir.join(&kernel.release) };
    let machines: Vec<_> = chosen.into_iter().map(machine).collect();
    let lives = parallel::map(&machines, AT_ONCE, Computer::live);
    for (machine, life) in machines.iter().zip(lives) {
        let name = format!("DKMS on {}: {}", machine.kernel.release, machine.kernel.kernel);
        tally.check(&name, life.map_err(|error| error.to_string()), again);
    }
    if let Some(machine) = machines.iter().find(|machine| machine.kernel.release == BOOTED) {
        let booted = machine.boot().map_err(|error| error.to_string());
        tally.check(&format!("DKMS's module on {} boots", machine.kernel.kernel), booted, again);
    }
    Ok(())
}

/// Where rustc is, the makefile makes the shipped object again. Needs no kernel: a stand-in tells its options.
fn rebuilt(context: &Context<'_>, farm: &Farm<'_>, any: &LockedKernel, dir: &Path, staged: &Path) -> Result<String> {
    let root = RootSpec::for_core(any).get(context.store, context.matrix.offline, || ())?;
    let (build, log) = (dir.join("rebuilt"), dir.join("rebuilt.log"));
    make_open_dir(&build)?;
    let script = format!(
        "cp -R /staged/usr/src/involflt-{} elsewhere; mkdir -p stand-in-kdir/include/config; touch stand-in-kdir/Makefile
        printf 'CONFIG_%s=y\\n' X86_64 MODULES BLOCK RETPOLINE > stand-in-kdir/include/config/auto.conf
        make -C elsewhere -f involflt.mak KDIR=../stand-in-kdir INVOLFLT_REBUILD_RUST=1 involflt_core.o_rebuilt",
        dkms::VERSION
    );
    let mounts = vec![Mount::read_only(staged, "/staged"), Mount::writable(&build, "/build")];
    let command = ["sh", "-ec", &script].map(String::from).to_vec();
    let job = Job { root: &root.path, mounts, directory: "/build", command, log: &log };
    let made = farm.run(&job)?;
    let said = fs::read_to_string(&log).at_path(&log)?;
    match made && said.contains("is the shipped one, byte for byte") {
        true => Ok("the shipped one, byte for byte".to_string()),
        false => Err(Error::kernel(vm::tail(&said, 15))),
    }
}

/// One kernel of each release: a stock one where it is selected. The release's own come after those of its backports.
fn one_a_release(kernels: &[LockedKernel]) -> Vec<&LockedKernel> {
    let mut chosen: Vec<&LockedKernel> = Vec::new();
    let stock = kernels.iter().rev().filter(|kernel| kernel.flavour == "amd64");
    for kernel in stock.chain(kernels.iter().rev()) {
        if chosen.iter().all(|other| other.release != kernel.release) {
            chosen.push(kernel);
        }
    }
    chosen
}

struct Computer<'a> {
    context: &'a Context<'a>,
    kernels: &'a [LockedKernel],
    kernel: &'a LockedKernel,
    staged: &'a Path,
    out: PathBuf,
}

impl Computer<'_> {
    fn module(&self) -> PathBuf {
        self.out.join("involflt.ko")
    }

    /// The whole script, and the checks that the farm's own modules pass.
    fn live(&self) -> Result<String> {
        let start = Instant::now();
        fs::create_dir_all(&self.out).at_path(&self.out)?;
        let headers = format!("linux-headers-{}", self.kernel.kernel);
        let spec = Spec::of(&self.kernel.release, self.kernels)?.with(["dkms", "make", "xz-utils", &headers]);
        let mut root = spec.root(self.context.store, self.context.matrix.offline)?;
        root.bind(self.staged, "/staged");
        root.bind(self.headers(&headers)?, "/headers");
        root.bind_writable(&self.out, "/out");
        let said = root.run(&format!("set -- {} {}\n{SCRIPT}", self.kernel.kernel, dkms::VERSION))?;
        if said.code != 0 {
            return Err(Error::kernel(vm::tail(&said.output, 15)));
        }
        let findings = check::module(&self.module(), &KernelFacts::read(&self.out.join("kdir"))?)?;
        match findings.into_iter().find(|finding| finding.severity == Severity::Failure) {
            None => Ok(format!("failures told, built, checked, removed, in {} s", start.elapsed().as_secs())),
            Some(failure) => Err(Error::kernel(failure.text)),
        }
    }

    /// The directory with the file of the headers package.
    fn headers(&self, name: &str) -> Result<PathBuf> {
        let package = self.kernel.packages.iter().find(|package| package.name == name);
        let package = package.ok_or_else(|| Error::input(format!("{name} is not in kernels.lock")))?;
        let mut file = self.context.store.package(package, self.kernel.origin(), self.context.matrix.offline)?;
        file.pop();
        Ok(file)
    }

    fn boot(&self) -> Result<String> {
        let request = vm::Request {
            kernel: self.kernel,
            store: self.context.store,
            offline: self.context.matrix.offline,
            module: &self.module(),
            programs: &vm::Programs::build()?,
            out_dir: &self.out,
            scenarios: &["load".to_string(), "direct".to_string()],
        };
        let outcome = vm::run(&request, self.context.listener)?;
        match outcome.error() {
            None => Ok(format!("nothing missed on {} disks", outcome.disks.len())),
            Some(error) => {
                let console = fs::read_to_string(&outcome.log).at_path(&outcome.log)?;
                Err(Error::kernel(error).note(vm::tail(&console, 15)))
            }
        }
    }
}
