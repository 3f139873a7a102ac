// SPDX-License-Identifier: GPL-2.0-only
//! Module packages chosen by zypper and dnf themselves, in RPM roots with stand-in kernels; signatures always checked.

mod root;

use super::stand_in::{self, StandIn};
use super::{Context, Tally};
use crate::build::Farm;
use crate::error::Result as FarmResult;
use crate::lock::{LockedKernel, Platform};
use crate::module_source::ModuleSource;
use crate::package::{Family, Recipes, RpmKernel, Templates, Tools, kernel_version};
use crate::sign::{ArchiveKey, KeyOptions, Keys};
use crate::store::remove;
use std::fs;
use std::path::{Path, PathBuf};

pub use self::root::RpmRoot;

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let again = context.again("rpm");
    let work = std::env::temp_dir().join(format!("involflt-rpm-{}", std::process::id()));
    let bench = remove(&work).map_err(text).and_then(|()| Bench::new(context, &work));
    match bench {
        Err(error) => tally.check("rpm packages", Err(error), &again),
        Ok(None) => tally.add(
            "rpm packages",
            crate::result::Status::Skipped,
            "two kernel versions of one flavour are needed, and one of another flavour",
            &again,
        ),
        Ok(Some(bench)) => {
            for family in [Family::Suse, Family::Rhel] {
                let name = if family == Family::Suse { "zypper" } else { "dnf" };
                tally.check(&format!("{name}: install, kernel update, removal"), bench.follows(family), &again);
                tally.check(&format!("{name}: one module for two kernels"), bench.serves_both(family), &again);
                tally.check(&format!("{name}: other symbol checksums"), bench.other_checksums(family), &again);
                tally.check(&format!("{name}: an altered package"), bench.altered_package(family), &again);
                tally.check(&format!("{name}: an altered index"), bench.altered_index(family), &again);
            }
            tally.check("zypper: flavour", bench.flavour(), &again);
        }
    }
    tally.check("rpm: scratch", remove(&work).map(|()| "nothing is left".into()).map_err(text), &again);
}

type Outcome = Result<String, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A real kernel that is given another distribution's name.
struct Subject {
    kernel: LockedKernel,
    module: PathBuf,
    symvers: String,
}

impl Subject {
    fn named<'a>(&'a self, family: Family, flavour: &'a str, package: &'a str) -> RpmKernel<'a> {
        let version = self.upstream();
        RpmKernel { family, flavour, package, release: &self.kernel.kernel, version }
    }

    /// `6.1.192` of `6.1.192-2`.
    fn upstream(&self) -> &str {
        kernel_version(&self.kernel).split('-').next().unwrap_or_default()
    }
}

/// What all tests of the stage share.
struct Bench<'a> {
    context: &'a Context<'a>,
    work: &'a Path,
    old: Subject,
    new: Subject,
    /// Another flavour of the old one.
    cloud: Subject,
    templates: Templates,
    tools: Tools,
    key: ArchiveKey,
    /// Shell and depmod of every root.
    base: PathBuf,
}

impl<'a> Bench<'a> {
    /// `None` where the selection has too few kernels.
    fn new(context: &'a Context<'a>, work: &'a Path) -> Result<Option<Self>, String> {
        fs::create_dir_all(work).map_err(text)?;
        let kernels = context.kernels().map_err(text)?;
        let find = |flavour: &str, release: &str| {
            kernels.iter().find(|kernel| {
                kernel.platform == Platform::Cglue && kernel.flavour == flavour && kernel.release == release
            })
        };
        let (Some(old), Some(new), Some(cloud)) =
            (find("amd64", "bookworm"), find("amd64", "trixie"), find("cloud-amd64", "bookworm"))
        else {
            return Ok(None);
        };
        let subject = |kernel: &LockedKernel| subject(context, kernel).map_err(text);
        Ok(Some(Bench {
            context,
            work,
            old: subject(old)?,
            new: subject(new)?,
            cloud: subject(cloud)?,
            templates: Templates::read(&context.tree.join("packaging")).map_err(text)?,
            tools: Tools::get(context.store, context.matrix.offline, &|_| ()).map_err(text)?,
            key: Keys::open(&KeyOptions::default(), context.listener).map_err(text)?.archive,
            base: stand_in::base(work)?,
        }))
    }

    /// The signed package of a subject's module.
    fn module_package(&self, kernel: &RpmKernel<'_>, subject: &Subject) -> Result<PathBuf, String> {
        let recipes = Recipes { development: true, licence: &self.context.tree.join("LICENSE") };
        let recipe = recipes.kmp(kernel, &subject.module).map_err(text)?;
        let made = recipe.make(&self.templates, &self.tools, self.context.store).map_err(text)?;
        self.signed(&made)
    }

    fn kernel_package(&self, kernel: RpmKernel<'_>, subject: &Subject) -> Result<PathBuf, String> {
        let stand_in = StandIn { kernel, release: "1", symvers: &subject.symvers };
        self.signed(&stand_in.make(self.work)?)
    }

    fn signed(&self, package: &Path) -> Result<PathBuf, String> {
        let copy = self.work.join(format!("signed-{}", package.file_name().unwrap_or_default().to_string_lossy()));
        fs::copy(package, &copy).map_err(text)?;
        self.key.rpm_sign(&copy).map_err(text)?;
        Ok(copy)
    }

    /// A root with an empty repository.
    fn root(&self, family: Family, name: &str) -> Result<RpmRoot<'_>, String> {
        let root = RpmRoot { family, dir: self.work.join(name), key: &self.key };
        root.prepare(&self.base)?;
        Ok(root)
    }

    /// Kernel and module package of one subject.
    fn pair(&self, family: Family, subject: &Subject) -> Result<[PathBuf; 2], String> {
        let (flavour, package) = default_names(family);
        let named = || subject.named(family, flavour, package);
        Ok([self.kernel_package(named(), subject)?, self.module_package(&named(), subject)?])
    }

    /// The module of the kernel that is there; with a new kernel, the new one's; removed, nothing.
    fn follows(&self, family: Family) -> Outcome {
        let root = self.root(family, "follows")?;
        let [old_kernel, old_module] = self.pair(family, &self.old)?;
        let [new_kernel, new_module] = self.pair(family, &self.new)?;
        let (_, package) = default_names(family);
        root.publish(&[&old_kernel, &old_module])?;
        root.install(package)?;
        root.install("involflt-kmod")?;
        root.has_module(&self.old.kernel.kernel)?;
        root.publish(&[&old_kernel, &old_module, &new_kernel, &new_module])?;
        root.install(&format!("{package}-{}", self.new.upstream()))?;
        root.update()?;
        root.has_module(&self.new.kernel.kernel)?;
        root.remove(module_package_name(family, "default"))?;
        let left = root.modules()?;
        if left.is_empty() {
            Ok(format!("{} and {}", self.old.kernel.kernel, self.new.kernel.kernel))
        } else {
            Err(left)
        }
    }

    /// A later kernel of the same checksums is served by the package that is there, also when the first kernel goes. The
    /// distribution's tool, here a stand-in, is told of the module when it comes and when it goes, by the name that it asks for.
    fn serves_both(&self, family: Family) -> Outcome {
        let root = self.root(family, "both")?;
        root.add(&stand_in::weak_modules(self.work)?)?;
        let [kernel, module] = self.pair(family, &self.old)?;
        let (flavour, package) = default_names(family);
        let mut later = self.old.named(family, flavour, package);
        let release = format!("{}.later", later.release);
        later.release = &release;
        let later =
            self.signed(&StandIn { kernel: later, release: "2", symvers: &self.old.symvers }.make(self.work)?)?;
        root.publish(&[&kernel, &module])?;
        root.install(package)?;
        root.install("involflt-kmod")?;
        let name = module_package_name(family, "default");
        let [installed] = &root.names(name)?[..] else { return Err(format!("{:?}", root.names("*")?)) };
        root.publish(&[&kernel, &module, &later])?;
        let version = self.old.upstream();
        root.install(&format!("{package}-{version}-2"))?;
        root.remove(&format!("{package}-{version}-1"))?;
        let (kernels, modules) = (root.names(&format!("{package}*"))?, root.names("*involflt*")?);
        if kernels != [format!("{package}-{version}-2")] || modules != [installed.as_str()] {
            return Err(format!("kernels {kernels:?} and modules {modules:?}"));
        }
        root.has_module(&self.old.kernel.kernel)?;
        root.remove(name)?;
        let path = |place: &str| format!("/lib/modules/{}/{place}/involflt/involflt.ko", self.old.kernel.kernel);
        let wanted = match family {
            Family::Suse => [format!("--add-kmp {installed}"), format!("--remove-kmp {installed} {}", path("updates"))],
            Family::Rhel => ["--add-modules", "--remove-modules"].map(|word| format!("{word} {}", path("extra"))),
        };
        let calls = root.lines(stand_in::WEAK_MODULES_LOG);
        if calls != wanted {
            return Err(format!("weak-modules was called with {calls:?}, not {wanted:?}"));
        }
        Ok(format!("{installed} serves {} and {release}", self.old.kernel.kernel))
    }

    /// A kernel whose symbols have other checksums gets no module.
    fn other_checksums(&self, family: Family) -> Outcome {
        let root = self.root(family, "checksums")?;
        let (flavour, package) = default_names(family);
        let other = |line: &str| format!("0x{}{}\n", if line.starts_with("0x0") { '1' } else { '0' }, &line[3..]);
        let symvers = self.old.symvers.lines().map(other).collect();
        let altered = Subject { kernel: self.old.kernel.clone(), module: self.old.module.clone(), symvers };
        let kernel = self.kernel_package(altered.named(family, flavour, package), &altered)?;
        let module = self.module_package(&self.old.named(family, flavour, package), &self.old)?;
        root.publish(&[&kernel, &module])?;
        root.install(package)?;
        let words = if family == Family::Suse { "nothing provides ksym(default:" } else { "nothing provides kernel(" };
        refused(root.try_install("involflt-kmod")?, words)
    }

    /// A package that is not the one of the index.
    fn altered_package(&self, family: Family) -> Outcome {
        let root = self.root(family, "altered")?;
        let [kernel, module] = self.pair(family, &self.old)?;
        root.publish(&[&kernel, &module])?;
        root.install(default_names(family).1)?;
        let published = root.published(&module)?;
        let mut bytes = fs::read(&published).map_err(text)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&published, bytes).map_err(text)?;
        root.clean()?;
        refused(root.try_install("involflt-kmod")?, if family == Family::Suse { "igest" } else { "checksum" })
    }

    /// An index that is not the one that was signed.
    fn altered_index(&self, family: Family) -> Outcome {
        let root = self.root(family, "index")?;
        let [kernel, module] = self.pair(family, &self.old)?;
        root.publish(&[&kernel, &module])?;
        let index = root.dir.join("repository/repodata/repomd.xml");
        let altered = fs::read_to_string(&index).map_err(text)?.replace("<revision>", "<revision>1");
        fs::write(&index, altered).map_err(text)?;
        root.clean()?;
        refused(root.try_install(default_names(family).1)?, "ignature")
    }

    /// Of two flavours' modules, the one of the kernel that is there.
    fn flavour(&self) -> Outcome {
        let root = self.root(Family::Suse, "flavour")?;
        let azure = || self.cloud.named(Family::Suse, "azure", "kernel-azure");
        let kernel = self.kernel_package(azure(), &self.cloud)?;
        let module = self.module_package(&azure(), &self.cloud)?;
        let [default_kernel, default_module] = self.pair(Family::Suse, &self.old)?;
        root.publish(&[&kernel, &module, &default_kernel, &default_module])?;
        root.install("kernel-azure")?;
        root.install("involflt-kmod")?;
        root.has_module(&self.cloud.kernel.kernel)?;
        Ok("involflt-kmp-azure with kernel-azure".into())
    }
}

fn subject(context: &Context<'_>, kernel: &LockedKernel) -> FarmResult<Subject> {
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let log = context.store.kind("logs")?.join("test-rpm.log");
    let built = farm.build(kernel, &log, &|_| ())?;
    let symvers = built.kdir.host.join("Module.symvers");
    let symvers = crate::error::AtPath::at_path(fs::read_to_string(&symvers), &symvers)?;
    Ok(Subject { kernel: kernel.clone(), module: built.module, symvers })
}

/// Flavour and kernel package of a family's usual kernel.
pub fn default_names(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::Suse => ("default", "kernel-default"),
        Family::Rhel => ("", "kernel-core"),
    }
}

fn module_package_name(family: Family, flavour: &str) -> &'static str {
    match (family, flavour) {
        (Family::Suse, _) => "involflt-kmp-default",
        (Family::Rhel, _) => "kmod-involflt",
    }
}

/// What should fail did, with the right words.
fn refused((succeeded, said): (bool, String), words: &str) -> Outcome {
    match (succeeded, said.contains(words)) {
        (true, _) => Err(format!("it should have been refused: {said}")),
        (false, false) => Err(format!("it did not say `{words}`: {said}")),
        (false, true) => Ok(said.lines().find(|line| line.contains(words)).unwrap_or_default().trim().to_string()),
    }
}
