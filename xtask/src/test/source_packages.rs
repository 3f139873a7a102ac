// SPDX-License-Identifier: GPL-2.0-only
//! The source packages: reproducible, and each built without network, cargo, rustc and Python. Costs about 60 s on two processors.

use super::{Context, Tally};
use crate::build::Farm;
use crate::check::{self, KernelFacts, Severity};
use crate::error::{AtPath, Error, Result};
use crate::kdir;
use crate::lock::{LockedKernel, Platform};
use crate::machine::{Root, Spec};
use crate::module_source::ModuleSource;
use crate::root::RootSpec;
use crate::store::{remove, sha256_file};
use crate::{parallel, source, tree, vm};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const SCRIPT: &str = include_str!("source_packages.sh");
/// Each form, the name of its test, and what its root has besides.
const FORMS: &[(&str, &str, &[&str])] = &[
    ("tarball", "source tarball, make alone", &[]),
    ("dsc", "Debian source package, dpkg-buildpackage", &[]),
    ("sbuild", "Debian source package, sbuild", &["build-essential", "fakeroot", "sbuild", "schroot"]),
    ("suse", "src.rpm, rpmbuild --rebuild with stand-ins for SUSE's macros", &[]),
    ("rhel", "src.rpm, rpmbuild --rebuild with stand-ins for Red Hat's macros", &[]),
];
/// Reads a package's files with the Open Build Service's own code.
const OBS: &str = include_str!("obs.pl");
const OBS_TOOLS: &[&str] = &["libxml-structured-perl", "obs-build", "obs-server"];
/// What a clean root has for it; `linux-headers-amd64` is what the Debian package asks for.
const TOOLS: &[&str] =
    &["debhelper", "dpkg-dev", "gcc", "libelf-dev", "linux-headers-amd64", "make", "rpm", "xz-utils"];

/// Builds at work at once.
const AT_ONCE: usize = 2;

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dir = std::env::temp_dir().join(format!("involflt-source-packages-{}", std::process::id()));
    let again = context.again("source-packages");
    if let Err(error) = stage(context, tally, &dir, &again) {
        tally.check("source packages", Err(error.to_string()), &again);
    }
    if let Err(error) = remove(&dir) {
        tally.check("source packages: the scratch directory", Err(error.to_string()), &again);
    }
}

fn stage(context: &Context<'_>, tally: &mut Tally, dir: &Path, again: &str) -> Result<()> {
    let kernels = context.kernels()?;
    let kernel = chosen(&kernels)?;
    let module = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &module, context.matrix.offline);
    let (one, other, out) = (dir.join("one"), dir.join("elsewhere/other"), dir.join("out"));
    source::make(&farm, kernel, &one, context.listener)?;
    source::make(&farm, kernel, &other, context.listener)?;
    tally.check("source packages, made twice", same(&one, &other).map_err(|error| error.to_string()), again);
    fs::create_dir_all(&out).at_path(&out)?;
    let facts = facts(&farm, kernel)?;
    let headers = format!("linux-headers-{}", kernel.kernel);
    let tools: Vec<&str> = TOOLS.iter().copied().chain([headers.as_str()]).collect();
    let spec = Spec::of(&kernel.release, &kernels)?.with(tools);
    // Each in a clean root of its own. The first makes the common layer where the store has none.
    let form = |(form, _, more): &(&str, &str, &[&str])| {
        let mut root = spec.clone().with(more.iter().copied()).root(context.store, context.matrix.offline)?;
        root.bind(&one, "/source");
        root.bind_writable(&out, "/out");
        built(&root, kernel, form, &out, &facts)
    };
    let results = parallel::map(FORMS, AT_ONCE, form);
    for ((_, name, _), result) in FORMS.iter().zip(results) {
        tally.check(&format!("{name}: {}", kernel.kernel), result.map_err(|error| error.to_string()), again);
    }
    let obs = Spec::of(&kernel.release, &kernels)?.with(OBS_TOOLS.iter().copied());
    let mut root = obs.root(context.store, context.matrix.offline)?;
    root.bind(&one, "/source");
    let name = "OBS package, read by the service's own code for each SLE that it knows";
    tally.check(name, read_by_obs(&root).map_err(|error| error.to_string()), again);
    Ok(())
}

/// A stock kernel that is built with the shipped object: bookworm's where it is selected.
fn chosen(kernels: &[LockedKernel]) -> Result<&LockedKernel> {
    let stock = |kernel: &&LockedKernel| kernel.flavour == "amd64" && kernel.platform == Platform::Cglue;
    let mut all = kernels.iter().filter(stock);
    let bookworm = all.clone().find(|kernel| kernel.release == "bookworm");
    bookworm.or_else(|| all.next()).ok_or_else(|| {
        Error::input("no kernel is selected that the shipped Rust object is for")
            .note("--select 'debian:bookworm amd64' selects one")
    })
}

/// The same files with the same bytes.
fn same(one: &Path, other: &Path) -> Result<String> {
    let files = tree::files(one)?;
    if files != tree::files(other)? {
        return Err(Error::kernel("the second time, there were other files"));
    }
    for file in &files {
        if sha256_file(&one.join(file))? != sha256_file(&other.join(file))? {
            return Err(Error::kernel(format!("{} has other bytes the second time", file.display())));
        }
    }
    Ok(format!("{} files, the same bytes", files.len()))
}

fn facts(farm: &Farm<'_>, kernel: &LockedKernel) -> Result<KernelFacts> {
    let root = RootSpec::for_kernel(kernel).get(farm.store, farm.offline, || ())?;
    let kdir = kdir::get(farm, kernel, &root, &|_| ())?;
    KernelFacts::read(&kdir.host)
}

fn read_by_obs(root: &Root) -> Result<String> {
    root.write("/root/obs.pl", 0o644, OBS.as_bytes())?;
    let said = root.run("perl /root/obs.pl")?;
    match said.code {
        0 => Ok(said.output.trim().into()),
        _ => Err(Error::kernel(vm::tail(&said.output, 25))),
    }
}

/// Builds one form, in a network namespace of its own, and checks its module as the farm's own are.
fn built(root: &Root, kernel: &LockedKernel, form: &str, out: &Path, facts: &KernelFacts) -> Result<String> {
    let start = Instant::now();
    root.write("/root/source-packages.sh", 0o644, SCRIPT.as_bytes())?;
    let said = root.run(&format!("unshare --net sh /root/source-packages.sh {} {form}", kernel.kernel))?;
    if said.code != 0 {
        return Err(Error::kernel(vm::tail(&said.output, 25)));
    }
    let module: PathBuf = out.join(format!("{form}.ko"));
    let findings = check::module(&module, facts)?;
    match findings.into_iter().find(|finding| finding.severity == Severity::Failure) {
        None => Ok(format!("built and checked, in {} s", start.elapsed().as_secs())),
        Some(failure) => Err(Error::kernel(failure.text)),
    }
}
