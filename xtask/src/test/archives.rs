// SPDX-License-Identifier: GPL-2.0-only
//! Archives of rpm distributions on a loopback server, filled with stand-ins: resolved, locked, built, packed; and the
//! same archives when they are hostile.

mod fixture;
mod hostile;
mod server;

use super::{Context, Tally};
use crate::build::Farm;
use crate::kdir::Kdir;
use crate::lock::{LockedKernel, Platform};
use crate::module_source::ModuleSource;
use crate::package::{self, Recipes, SignedModule, Templates, Tools};
use crate::resolve::{self, MatrixArgs, Resolution};
use crate::sign::{ArchiveKey, KeyOptions, Keys};
use crate::store::remove;
use fixture::{RhelKernel, SlesKernel};
use server::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

type Outcome = Result<String, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const SP5: SlesKernel<'_> = SlesKernel { version: "5.14.21", build: "150500.55.88", service_pack: 5 };
/// Later, of the same service pack and with the same symbols.
const LATER: SlesKernel<'_> = SlesKernel { version: "5.14.21", build: "150500.55.91", service_pack: 5 };
/// Its name says SP6, its KDIR SP5.
const LIAR: SlesKernel<'_> = SlesKernel { version: "6.4.0", build: "150600.23.25", service_pack: 5 };
const RHEL: RhelKernel<'_> = RhelKernel { version: "5.14.0", build: "284.86.1.el9_2" };

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
            tally.check("stand-in for SLES 15 SP5: resolve, lock, build, package", sles, &again);
            tally.check("a service pack that is another one's", bench.wrong_service_pack(), &again);
            tally.check("an archive that wants credentials", bench.credentials(), &again);
            let rhel = bench.pipeline("rhel", "9.2", &[&RHEL.release()], None);
            tally.check("stand-in for RHEL 9.2: resolve, lock, build, package", rhel, &again);
            hostile::run(&bench.work.join("hostile"), &bench.repository(), &bench.key, tally, &again);
        }
    }
    tally.check("archives: scratch", remove(&work).map(|()| "nothing is left".into()).map_err(text), &again);
}

struct Bench<'a> {
    context: &'a Context<'a>,
    work: PathBuf,
    served: PathBuf,
    server: Server,
    key: ArchiveKey,
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
        let key = Keys::open(&KeyOptions::default(), context.listener).map_err(text)?.archive;
        fs::write(work.join("key.asc"), key.public_armoured().map_err(text)?).map_err(text)?;
        let server = Server::start(&served)?;
        let bench = Bench { context, work: work.to_path_buf(), served, server, key };
        bench.fill(&bench.kdir(real)?)?;
        Ok(Some(bench))
    }

    fn kdir(&self, kernel: &LockedKernel) -> Result<Kdir, String> {
        let source = ModuleSource::read(&self.context.tree.join("module")).map_err(text)?;
        let farm = Farm::new(self.context.store, &source, self.context.matrix.offline);
        let log = self.context.store.kind("logs").map_err(text)?.join("test-archives.log");
        farm.build(kernel, &log, &|_| ()).map(|built| built.kdir).map_err(text)
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
        fixture::index(&update, &self.key, "gz")?;
        let liar = dir("Updates/SLE-Module-Basesystem/15-SP6/x86_64/update")?;
        LIAR.packages(kdir, false, &self.work, &liar)?;
        fixture::index(&liar, &self.key, "gz")?;
        for pack in ["15-SP5", "15-SP6"] {
            let empty = dir(&format!("Products/SLE-Module-Basesystem/{pack}/x86_64/product"))?;
            fixture::index(&empty, &self.key, "xz")?;
        }
        let rhel = dir("dist/rhel9/9.2/x86_64/appstream/os")?;
        RHEL.package(kdir, &self.work, &rhel)?;
        fixture::index(&rhel, &self.key, "xz")
    }

    /// The repository of the good kernel of SLES.
    fn repository(&self) -> PathBuf {
        self.served.join("Updates/SLE-Module-Basesystem/15-SP5/x86_64/update")
    }

    fn write_yaml(&self, distro: &str, suite: &str) -> Result<PathBuf, String> {
        let file = self.work.join("kernels.yaml");
        let keyring = self.work.join("key.asc");
        let yaml = format!(
            "format: 1\ndistros:\n  {distro}:\n    mirror: {}\n    keyring: {}\n    build-root: bookworm\ngroups:\n  default:\n    \
             - distro: {distro}\n      suites: ['{suite}']\n      flavours: [default]\n",
            self.server.url,
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

    /// From the archive to the package, with nothing typed by hand on the way: one package for all `releases`.
    fn pipeline(&self, distro: &str, suite: &str, releases: &[&str], pack: Option<u32>) -> Outcome {
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
        self.packed(&resolution.kernels)
    }

    /// Builds every kernel, and makes their packages: a single one, which serves them all.
    fn packed(&self, kernels: &[LockedKernel]) -> Outcome {
        let modules = kernels.iter().map(|kernel| self.built(kernel)).collect::<Result<Vec<_>, _>>()?;
        let serving = package::serving(&modules).map_err(text)?;
        let [served] = &serving[..] else { return Err(format!("{serving:?}")) };
        same("what it serves", &served.serves.len().to_string(), &kernels.len().to_string())?;
        let recipes = Recipes { development: true, licence: &self.context.tree.join("LICENSE") };
        let templates = Templates::read(&self.context.tree.join("packaging")).map_err(text)?;
        let tools = Tools::get(self.context.store, self.context.matrix.offline, &|_| ()).map_err(text)?;
        let made = package::make(&recipes, &modules, Vec::new(), &templates, &tools, self.context.store);
        let made = made.map_err(text)?;
        let [package] = &made[..] else { return Err(format!("{} packages", made.len())) };
        let files = said(Command::new("rpm").args(["-qpl", "--nosignature"]).arg(&package.file))?;
        if !files.contains(&format!("/lib/modules/{}/", served.built_for)) {
            return Err(format!("{}: its module is elsewhere: {files}", package.file.display()));
        }
        Ok(format!("{}: {served}", package.file.file_name().unwrap_or_default().to_string_lossy()))
    }

    /// The module, which says that it is of the kernel that was asked for. It is not signed: that is another stage's.
    fn built<'k>(&self, kernel: &'k LockedKernel) -> Result<SignedModule<'k>, String> {
        let source = ModuleSource::read(&self.context.tree.join("module")).map_err(text)?;
        let farm = Farm::new(self.context.store, &source, self.context.matrix.offline);
        // The loopback server is no network: also what is tested with --offline gets its packages there.
        for package in &kernel.packages {
            self.context.store.package(package, &kernel.archive, false).map_err(text)?;
        }
        let built = farm.build(kernel, &self.work.join("build.log"), &|_| ()).map_err(text)?;
        let module = fs::read(&built.module).map_err(text)?;
        let vermagic = format!("vermagic={} ", kernel.kernel);
        if !module.windows(vermagic.len()).any(|part| part == vermagic.as_bytes()) {
            return Err(format!("{}: it has no `{vermagic}`", built.module.display()));
        }
        Ok(SignedModule { kernel, symvers: built.kdir.host.join("Module.symvers"), module: built.module })
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
        let program = std::env::current_exe().map_err(text)?;
        let resolve = |credentials: &Path| {
            let mut command = Command::new(&program);
            command.current_dir(self.context.tree).arg("resolve").arg("--kernels").arg(self.work.join("kernels.yaml"));
            command.arg("--lock").arg(&lock).arg("--store").arg(self.context.store.root());
            command.env("INVOLFLT_SCC_CREDENTIALS_URL", &self.server.url);
            command.env("INVOLFLT_SCC_CREDENTIALS", credentials);
            let output = command.output().map_err(text)?;
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            Ok::<_, String>((output.status.success(), said))
        };
        fs::write(self.work.join("other"), "username=SCC_1\npassword=wrong\n").map_err(text)?;
        let (taken, refusal) = resolve(&self.work.join("other"))?;
        if taken || !refusal.contains("wants other credentials") {
            return Err(format!("with another password: {refusal}"));
        }
        let (written, said) = resolve(&account)?;
        let locked = fs::read_to_string(&lock).map_err(|error| format!("{error}: {said}"))?;
        let told = ["s3cret", "U0NDXzE6czNjcmV0"].iter().any(|secret| said.contains(secret) || locked.contains(secret));
        match written && locked.contains("5.14.21-150500.55.88-default") && !told {
            true => Ok("the lock is written, and says no password".into()),
            false => Err(format!("{said}\n{locked}")),
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
