// SPDX-License-Identifier: GPL-2.0-only
//! Archives of rpm distributions on a loopback server, filled with stand-ins: resolved, locked, built, packed; and the
//! same archives when they are hostile.

mod fixture;
mod gains;
mod hostile;
mod rows;
mod signatures;
mod tls;
mod ubuntu;

use super::rpm::{self, RpmRoot};
use super::server::Server;
use super::stand_in::{self, StandIn};
use super::{Context, Tally};
use crate::assemble::Assembler;
use crate::build::{Built, Farm};
use crate::kdir::Kdir;
use crate::lock::{LockedKernel, Platform};
use crate::module_source::ModuleSource;
use crate::package::{self, Family, Recipes, RpmKernel, SignedModule, Templates, Tools};
use crate::resolve::{self, MatrixArgs, Resolution};
use crate::sign::{KeyOptions, Keys};
use crate::store::remove;
use fixture::{RhelKernel, SlesKernel};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use ubuntu::UbuntuKernel;

type Outcome = Result<String, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const SP5: SlesKernel<'_> =
    SlesKernel { version: "5.14.21", build: "150500.55.88", service_pack: 5, breaks_promise: false };
/// Later, of the same service pack and with the same symbols.
const LATER: SlesKernel<'_> =
    SlesKernel { version: "5.14.21", build: "150500.55.91", service_pack: 5, breaks_promise: false };
/// Its name says SP6, its KDIR SP5.
const LIAR: SlesKernel<'_> =
    SlesKernel { version: "6.4.0", build: "150600.23.25", service_pack: 5, breaks_promise: false };
const RHEL: RhelKernel<'_> = RhelKernel { version: "5.14.0", build: "284.86.1.el9_2" };
const UBUNTU: UbuntuKernel<'_> = UbuntuKernel { abi: "6.8.0-151", flavour: "generic", source: "linux", is_built: true };
/// Another flavour, of the suite's own series.
const AZURE: UbuntuKernel<'_> =
    UbuntuKernel { abi: "6.8.0-1074", flavour: "azure", source: "linux-azure", is_built: false };
/// A hardware enablement kernel, which is a series of its own.
const ENABLEMENT: UbuntuKernel<'_> =
    UbuntuKernel { abi: "7.0.0-1020", flavour: "azure", source: "linux-azure-7.0", is_built: false };
/// One that only Ubuntu Pro has.
const PRO: UbuntuKernel<'_> = UbuntuKernel { abi: "6.8.0-999", flavour: "generic", source: "linux", is_built: false };

/// Runs the stage: about 60 s, most of it two builds.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let again = context.again("archives");
    let work = std::env::temp_dir().join(format!("involflt-archives-{}", std::process::id()));
    match remove(&work).map_err(text).and_then(|()| Bench::new(context, &work)) {
        Err(error) => tally.check("archives", Err(error), &again),
        Ok(None) => {
            let why = "a kernel of bookworm, flavour amd64, is needed";
            tally.add("archives", crate::result::Status::Skipped, why, &again);
        }
        Ok(Some(bench)) => {
            let sles = bench.pipeline("sles", "15-sp5", &[&SP5.release(), &LATER.release()], Some(5));
            tally.check("stand-in for SLES 15 SP5: resolve, lock, build, sign, package, zypper", sles, &again);
            tally.check("a service pack that is another one's", bench.wrong_service_pack(), &again);
            tally.check("an archive that wants credentials", bench.credentials(), &again);
            let rhel = bench.pipeline("rhel", "9.2", &[&RHEL.release()], None);
            tally.check("stand-in for RHEL 9.2: resolve, lock, build, sign, package, dnf", rhel, &again);
            tally.check("stand-ins for Ubuntu 24.04: resolve, lock, build, sign, package", bench.ubuntu(), &again);
            tally.check("a stand-in for Ubuntu Pro", bench.ubuntu_pro(), &again);
            signatures::run(&bench, tally, &again);
            rows::run(&bench, tally, &again);
            tls::run(&bench, tally, &again);
            let truths = [bench.repository(), bench.apt()];
            hostile::run(&bench.work.join("hostile"), &truths, &bench.keys.archive, tally, &again);
            tally.check("an archive that gains kernels: watch, build-matrix --since", gains::run(&bench), &again);
        }
    }
    tally.check("archives: scratch", remove(&work).map(|()| "nothing is left".into()).map_err(text), &again);
}

struct Bench<'a> {
    context: &'a Context<'a>,
    work: PathBuf,
    served: PathBuf,
    server: Server,
    keys: Keys,
    /// What the stand-ins are made of.
    real: LockedKernel,
}

impl<'a> Bench<'a> {
    fn new(context: &'a Context<'a>, work: &Path) -> Result<Option<Self>, String> {
        let served = work.join("served");
        fs::create_dir_all(&served).map_err(text)?;
        let kernels = context.kernels().map_err(text)?;
        let real = |kernel: &&LockedKernel| {
            kernel.platform == Platform::Cglue && kernel.flavour == "amd64" && kernel.release == "bookworm"
        };
        let Some(real) = kernels.iter().find(real) else { return Ok(None) };
        let keys = Keys::open(&KeyOptions::default(), context.listener).map_err(text)?;
        fs::write(work.join("key.asc"), keys.archive.public_armoured().map_err(text)?).map_err(text)?;
        let server = Server::start(&served)?;
        let bench = Bench { context, work: work.to_path_buf(), served, server, keys, real: real.clone() };
        bench.fill(&bench.kdir()?)?;
        Ok(Some(bench))
    }

    fn kdir(&self) -> Result<Kdir, String> {
        let source = ModuleSource::read(&self.context.tree.join("module")).map_err(text)?;
        let farm = Farm::new(self.context.store, &source, self.context.matrix.offline);
        let log = self.context.store.kind("logs").map_err(text)?.join("test-archives.log");
        farm.build(&self.real, &log, &|_| ()).map(|built| built.kdir).map_err(text)
    }

    /// Every repository that the resolver will ask for, each in another compression.
    fn fill(&self, kdir: &Kdir) -> Result<(), String> {
        let dir = |path: &str| {
            let dir = self.served.join(path);
            fs::create_dir_all(&dir).map_err(text)?;
            Ok::<_, String>(dir)
        };
        let update = self.repository();
        dir("Updates/SLE-Module-Basesystem/15-SP5/x86_64/update")?;
        SP5.packages(kdir, true, &self.work, &update)?;
        LATER.packages(kdir, true, &self.work, &update)?;
        fixture::signed_index(&update, &self.keys.archive, "gz")?;
        let liar = dir("Updates/SLE-Module-Basesystem/15-SP6/x86_64/update")?;
        LIAR.packages(kdir, false, &self.work, &liar)?;
        fixture::signed_index(&liar, &self.keys.archive, "gz")?;
        for pack in ["15-SP5", "15-SP6"] {
            let empty = dir(&format!("Products/SLE-Module-Basesystem/{pack}/x86_64/product"))?;
            fixture::signed_index(&empty, &self.keys.archive, "xz")?;
        }
        let rhel = dir("dist/rhel9/9.2/x86_64/appstream/os")?;
        RHEL.package(kdir, &self.work, &rhel)?;
        fixture::index(&rhel, &self.keys.archive, "xz")?;
        let url = &self.server.url;
        let lists = dir("lists")?;
        fs::write(lists.join("rhel-9.2"), format!("{url}/none\n{url}/dist/rhel9/9.2/x86_64/appstream/os/\n"))
            .map_err(text)?;
        fs::write(lists.join("ubuntu"), format!("{url}/none\tpriority:1\n{url}/ubuntu\tpriority:2\n")).map_err(text)?;
        for kernel in [UBUNTU, AZURE, ENABLEMENT] {
            kernel.packages(kdir, &self.work, &self.served.join("ubuntu"))?;
        }
        ubuntu::index(&self.served.join("ubuntu"), "noble", &self.keys.archive)?;
        let pro = self.served.join("pro");
        PRO.packages(kdir, &self.work, &pro)?;
        // RFC 7617's `Basic`, of what the file has.
        fs::write(pro.join(".behaviour"), "secret Basic YmVhcmVyOnRvazNu").map_err(text)?;
        ubuntu::index(&pro, "noble-infra-security", &self.keys.archive)?;
        PRO.packages(kdir, &self.work, &self.apt())?;
        ubuntu::index(&self.apt(), "noble", &self.keys.archive)
    }

    /// An archive for apt with one kernel.
    fn apt(&self) -> PathBuf {
        self.served.join("apt")
    }

    /// The repository of the good kernel of SLES.
    fn repository(&self) -> PathBuf {
        self.served.join("Updates/SLE-Module-Basesystem/15-SP5/x86_64/update")
    }

    fn write_yaml(&self, distro: &str, suite: &str) -> Result<PathBuf, String> {
        let file = self.work.join("kernels.yaml");
        let keyring = self.work.join("key.asc");
        let url = &self.server.url;
        // Each finds its archive in another way, past a mirror that has nothing.
        let (mirrors, flavours) = match distro {
            "ubuntu" => (format!("mirror: mirror+{url}/lists/ubuntu"), "generic, azure"),
            "rhel" => (format!("repositories: ['mirrorlist+{url}/lists/rhel-RELEASE']"), "default"),
            _ => (format!("mirror: {url}/none\n    mirrors: ['{url}']"), "default"),
        };
        let yaml = format!(
            "format: 1\ndistros:\n  {distro}:\n    {mirrors}\n    keyring: {}\n    build-root: bookworm\ngroups:\n  default:\n    \
             - distro: {distro}\n      suites: ['{suite}']\n      pockets: []\n      flavours: [{flavours}]\n",
            keyring.display()
        );
        fs::write(&file, yaml).map_err(text)?;
        Ok(file)
    }

    fn resolve(&self, distro: &str, suite: &str, locked: bool, offline: bool) -> Result<Resolution, String> {
        let file = self.write_yaml(distro, suite)?;
        let args = MatrixArgs {
            select: Vec::new(),
            locked,
            offline,
            store: None,
            kernels: Some(file),
            lock: Some(self.work.join("kernels.lock")),
        };
        resolve::resolution(&args, self.context.store, self.context.listener).map_err(text)
    }

    /// Kernels of two flavours are found by their two headers packages, and that of another series is not the suite's own.
    fn ubuntu(&self) -> Outcome {
        let kernels = self.resolved("ubuntu", "noble", &[&UBUNTU.release(), &AZURE.release()], None)?;
        let source = ModuleSource::read(&self.context.tree.join("module")).map_err(text)?;
        let farm = Farm::new(self.context.store, &source, self.context.matrix.offline);
        let generic = kernels.iter().find(|kernel| kernel.flavour == "generic").ok_or("no generic kernel")?;
        let built = [(generic, self.built(generic, &farm)?)];
        let assembler = Assembler { farm: &farm, keys: &self.keys, listener: self.context.listener };
        let made = self.packages(&assembler.modules(&built).map_err(text)?)?;
        let deb = made.iter().find(|file| file.extension().is_some_and(|ending| ending == "deb")).ok_or("no deb")?;
        let files = said(Command::new("dpkg-deb").arg("-c").arg(deb))?;
        match files.contains(&format!("/lib/modules/{}/", generic.kernel)) {
            true => Ok(format!("{} of {} kernels", deb.file_name().unwrap_or_default().display(), kernels.len())),
            false => Err(format!("{}: its module is elsewhere: {files}", deb.display())),
        }
    }

    /// From the archive to the package, with nothing typed by hand on the way: one package for all `releases`.
    fn pipeline(&self, distro: &str, suite: &str, releases: &[&str], pack: Option<u32>) -> Outcome {
        self.packed(&self.resolved(distro, suite, releases, pack)?)
    }

    /// The kernels, which are those of `releases`, and the same out of the lock and offline.
    fn resolved(
        &self,
        distro: &str,
        suite: &str,
        releases: &[&str],
        pack: Option<u32>,
    ) -> Result<Vec<LockedKernel>, String> {
        let resolution = self.resolve(distro, suite, false, false)?;
        if let Some(refused) = resolution.refused.first() {
            return Err(format!("{}: {}", refused.id, refused.error));
        }
        let found: Vec<&str> = resolution.kernels.iter().map(|kernel| kernel.kernel.as_str()).collect();
        same("the kernels", &found.join(" "), &releases.join(" "))?;
        for kernel in &resolution.kernels {
            same("the service pack", &format!("{:?}", kernel.service_pack), &format!("{pack:?}"))?;
        }
        resolve::record(&resolution.kernels, &self.work).map_err(text)?;
        let locked = self.resolve(distro, suite, true, true)?;
        same("the lock", &format!("{:?}", locked.kernels), &format!("{:?}", resolution.kernels))?;
        let offline = self.resolve(distro, suite, false, true)?;
        same("offline", &format!("{:?}", offline.kernels), &format!("{:?}", resolution.kernels))?;
        Ok(resolution.kernels)
    }

    /// Builds every kernel, signs their modules, and makes their packages: a single one, which serves them all. That one is
    /// signed, published and installed.
    fn packed(&self, kernels: &[LockedKernel]) -> Outcome {
        let source = ModuleSource::read(&self.context.tree.join("module")).map_err(text)?;
        let farm = Farm::new(self.context.store, &source, self.context.matrix.offline);
        let built = kernels.iter().map(|kernel| Ok((kernel, self.built(kernel, &farm)?)));
        let built = built.collect::<Result<Vec<_>, String>>()?;
        let assembler = Assembler { farm: &farm, keys: &self.keys, listener: self.context.listener };
        let modules = assembler.modules(&built).map_err(text)?;
        let serving = package::serving(&modules).map_err(text)?;
        let [served] = &serving[..] else { return Err(format!("{serving:?}")) };
        same("what it serves", &served.serves.len().to_string(), &kernels.len().to_string())?;
        let made = self.packages(&modules)?;
        let [package] = &made[..] else { return Err(format!("{} packages", made.len())) };
        let files = said(Command::new("rpm").args(["-qpl", "--nosignature"]).arg(package))?;
        if !files.contains(&format!("/lib/modules/{}/", served.built_for)) {
            return Err(format!("{}: its module is elsewhere: {files}", package.display()));
        }
        self.breaks_the_promise(&modules)?;
        let manager = self.installed(&modules[0], package)?;
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("{name}, installed by {manager}: {served}"))
    }

    fn packages(&self, modules: &[SignedModule<'_>]) -> Result<Vec<PathBuf>, String> {
        let recipes = Recipes { development: true, licence: &self.context.tree.join("LICENSE") };
        let templates = Templates::read(&self.context.tree.join("packaging")).map_err(text)?;
        let tools = Tools::get(self.context.store, self.context.matrix.offline, &|_| ()).map_err(text)?;
        let made = package::make(&recipes, modules, Vec::new(), &templates, &tools, self.context.store);
        Ok(made.map_err(text)?.into_iter().map(|package| package.file).collect())
    }

    /// A later kernel of the same pack, one of whose symbols has another checksum, gets a package of its own.
    fn breaks_the_promise(&self, modules: &[SignedModule<'_>]) -> Result<(), String> {
        let first = &modules[0];
        let symvers = fs::read_to_string(&first.symvers).map_err(text)?;
        let file = self.work.join("Module.symvers");
        fs::write(&file, fixture::with_other_kfree(&symvers)).map_err(text)?;
        let mut kernel = first.kernel.clone();
        kernel.kernel = kernel.kernel.replace("55.88", "55.99").replace("284.86", "284.99");
        kernel.packages[0].version = kernel.packages[0].version.replace("55.88", "55.99").replace("284.86", "284.99");
        let broken = SignedModule { kernel: &kernel, module: first.module.clone(), symvers: file };
        let all: Vec<SignedModule<'_>> = modules.iter().cloned().chain([broken]).collect();
        let serving = package::serving(&all).map_err(text)?;
        match &serving[..] {
            [_, own] if own.serves == [kernel.kernel.as_str()] && own.because[0].contains("kfree") => {
                same("packages", &self.packages(&all)?.len().to_string(), "2")
            }
            _ => Err(format!("a kernel that breaks the promise: {serving:?}")),
        }
    }

    /// Signed, in a signed repository, beside a stand-in for the kernel, in a root; says what installed it.
    fn installed(&self, module: &SignedModule<'_>, package: &Path) -> Result<&'static str, String> {
        let (family, manager) = match module.kernel.distro.as_str() {
            "sles" => (Family::Suse, "zypper"),
            _ => (Family::Rhel, "dnf"),
        };
        let (flavour, name) = rpm::default_names(family);
        let release = module.kernel.kernel.as_str();
        let (version, build) = release.split_once('-').unwrap_or((release, "1"));
        let symvers = fs::read_to_string(&module.symvers).map_err(text)?;
        let kernel = RpmKernel { family, flavour, package: name, release, version };
        let build = build.trim_end_matches("-default").trim_end_matches(".x86_64");
        let kernel = StandIn { kernel, release: build, symvers: &symvers }.make(&self.work)?;
        let signed = self.work.join(package.file_name().unwrap_or_default());
        fs::copy(package, &signed).map_err(text)?;
        for file in [&kernel, &signed] {
            self.keys.archive.rpm_sign(file).map_err(text)?;
        }
        let root = RpmRoot { family, dir: self.work.join(manager), key: &self.keys.archive };
        root.prepare(&stand_in::base(&self.work)?)?;
        root.publish(&[&kernel, &signed])?;
        root.install(name)?;
        root.install("involflt-kmod")?;
        root.has_module(release)?;
        Ok(manager)
    }

    /// The module, which says that it is of the kernel that was asked for.
    fn built(&self, kernel: &LockedKernel, farm: &Farm<'_>) -> Result<Built, String> {
        // The loopback server is no network: also what is tested with --offline gets its packages there.
        for package in &kernel.packages {
            self.context.store.package(package, kernel.origin(), false).map_err(text)?;
        }
        let built = farm.build(kernel, &self.work.join("build.log"), &|_| ()).map_err(text)?;
        let module = fs::read(&built.module).map_err(text)?;
        let vermagic = format!("vermagic={} ", kernel.kernel);
        match module.windows(vermagic.len()).any(|part| part == vermagic.as_bytes()) {
            true => Ok(built),
            false => Err(format!("{}: it has no `{vermagic}`", built.module.display())),
        }
    }

    /// An archive that wants an account: with it the lock is written, without it the error says where one is read from; the
    /// password comes neither into the lock nor into what is said.
    fn credentials(&self) -> Outcome {
        // RFC 7617's `Basic`, of the account in the file.
        let wanted = self.served.join(".behaviour");
        fs::write(&wanted, "secret Basic U0NDXzE6czNjcmV0").map_err(text)?;
        let outcome = self.with_and_without();
        remove(&wanted).map_err(text)?;
        outcome
    }

    fn with_and_without(&self) -> Outcome {
        let (account, lock) = (self.work.join("account"), self.work.join("account.lock"));
        fs::write(&account, "username=SCC_1\npassword=s3cret\n").map_err(text)?;
        self.write_yaml("sles", "15-sp5")?;
        let resolve = |credentials: &Path| {
            let credentials = credentials.to_string_lossy();
            let variables =
                [("INVOLFLT_SCC_CREDENTIALS_URL", &*self.server.url), ("INVOLFLT_SCC_CREDENTIALS", &*credentials)];
            resolve_command(&self.work.join("kernels.yaml"), &lock, self.context.store.root(), &variables)
        };
        fs::write(self.work.join("other"), "username=SCC_1\npassword=wrong\n").map_err(text)?;
        let (code, refusal) = resolve(&self.work.join("other"))?;
        if code == Some(0) || !refusal.contains("wants other credentials") {
            return Err(format!("with another password: {refusal}"));
        }
        let (code, said) = resolve(&account)?;
        let locked = fs::read_to_string(&lock).map_err(|error| format!("{error}: {said}"))?;
        let told = ["s3cret", "U0NDXzE6czNjcmV0"].iter().any(|secret| said.contains(secret) || locked.contains(secret));
        match code == Some(0) && locked.contains("5.14.21-150500.55.88-default") && !told {
            true => Ok("the lock is written, and says no password".into()),
            false => Err(format!("{said}\n{locked}")),
        }
    }

    /// Ubuntu Pro's archive beside the public one: with the token its kernel is found, without it the error says where one is
    /// read from; the token comes neither into the lock nor into what is said.
    fn ubuntu_pro(&self) -> Outcome {
        let (url, lock) = (&self.server.url, self.work.join("pro.lock"));
        let (yaml, token) = (self.work.join("pro.yaml"), self.work.join("pro.conf"));
        let keyring = self.work.join("key.asc").display().to_string();
        let text_of_yaml = format!(
            "format: 1\ndistros:\n  ubuntu:\n    mirror: {url}/ubuntu\n    pro-mirror: {url}/pro\n    keyring: {keyring}\n    \
             pro-keyring: {keyring}\ngroups:\n  default:\n    - distro: ubuntu\n      suites: [noble]\n      \
             pockets: [infra-security]\n      flavours: [generic]\n      newest: 1\n"
        );
        fs::write(&yaml, text_of_yaml).map_err(text)?;
        fs::write(&token, format!("machine {url}/pro/ login bearer password tok3n\n")).map_err(text)?;
        let resolve =
            |file: &str| resolve_command(&yaml, &lock, self.context.store.root(), &[("INVOLFLT_UBUNTU_PRO", file)]);
        let (code, refusal) = resolve("")?;
        if code != Some(69) || !refusal.contains("\"Credentials\"") {
            return Err(format!("without a token: {code:?}: {refusal}"));
        }
        let (code, said) = resolve(&token.to_string_lossy())?;
        let locked = fs::read_to_string(&lock).map_err(|error| format!("{error}: {said}"))?;
        match code == Some(0) && locked.contains(&PRO.release()) && !said.contains("tok3n") && !locked.contains("tok3n")
        {
            true => Ok(format!("{} is in the lock, and no token", PRO.release())),
            false => Err(format!("{code:?}: {said}\n{locked}")),
        }
    }

    fn wrong_service_pack(&self) -> Outcome {
        let resolution = self.resolve("sles", "15-sp6", false, false)?;
        let Some(refused) = resolution.refused.first() else { return Err("it was taken".into()) };
        let message = &refused.error.message;
        let both = ["sles 15-sp6", "PATCH_LEVEL 5"].iter().all(|words| message.contains(words));
        if both { Ok(message.clone()) } else { Err(message.clone()) }
    }
}

/// Exit code and words of `cargo xtask resolve` with these variables in its environment.
fn resolve_command(
    kernels: &Path,
    lock: &Path,
    store: &Path,
    variables: &[(&str, &str)],
) -> Result<(Option<i32>, String), String> {
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command.args(["resolve", "--kernels"]).arg(kernels).arg("--lock").arg(lock).arg("--store").arg(store);
    let output = command.envs(variables.iter().copied()).output().map_err(text)?;
    Ok((output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
}

fn same(what: &str, found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found}, not {expected}")) }
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(text)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
