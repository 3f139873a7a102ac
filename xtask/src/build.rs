// SPDX-License-Identifier: GPL-2.0-only
//! One kernel's `involflt.ko`: compiled in the distribution's container, kept in the store by what went into it.

use crate::container::{Engine, Job, Mount};
use crate::core_object::{self, Telemetry, first_error};
use crate::error::{AtPath, Error, Result};
use crate::inputs::Inputs;
use crate::kdir::{self, Kdir, make_open_dir};
use crate::lock::{LockedKernel, Platform};
use crate::module_source::{ModuleSource, Part};
use crate::root::{Root, RootSpec};
use crate::store::{Store, remove};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where a module is built in the container: the same everywhere, so that its bytes are too.
const BUILD: &str = "/build/involflt";

/// What all kernels of a run share.
pub struct Farm<'a> {
    /// The store.
    pub store: &'a Store,
    /// The driver's source.
    pub source: &'a ModuleSource,
    /// Whether the modules record what becomes of tags.
    pub telemetry: Telemetry,
    /// Whether the network may be used.
    pub offline: bool,
    engine: OnceLock<Engine>,
}

/// A module that was built, now or before.
#[derive(Debug, Clone)]
pub struct Built {
    /// `involflt.ko` in the store.
    pub module: PathBuf,
    /// The build's log, in the store.
    pub log: PathBuf,
    /// The KDIR that it was built against.
    pub kdir: Kdir,
    /// Whether this run built it.
    pub fresh: bool,
}

impl<'a> Farm<'a> {
    /// A farm over a store, whose modules have no telemetry.
    pub fn new(store: &'a Store, source: &'a ModuleSource, offline: bool) -> Self {
        Farm { store, source, telemetry: Telemetry::No, offline, engine: OnceLock::new() }
    }

    /// The same farm, of modules with telemetry or without.
    pub fn with(self, telemetry: Telemetry) -> Self {
        Farm { telemetry, ..self }
    }

    /// Runs a job to its end, in the engine that is found when the first job needs one. `Ok(false)` is the command's own
    /// failure, which its log tells of.
    pub fn run(&self, job: &Job<'_>) -> Result<bool> {
        let engine = match self.engine.get() {
            Some(engine) => engine,
            None => {
                let engine = Engine::detect(job.root, self.store)?;
                self.engine.get_or_init(|| engine)
            }
        };
        engine.run(job, self.store)
    }

    /// The module of a kernel; `log` gets the build's output, also of a build that fails. `stage` is told what is done.
    pub fn build(&self, kernel: &LockedKernel, log: &Path, stage: &dyn Fn(&str)) -> Result<Built> {
        let root = RootSpec::for_kernel(kernel).get(self.store, self.offline, || stage("build root"))?;
        let kdir = kdir::get(self, kernel, &root, stage)?;
        let core = match kernel.platform {
            Platform::Rfl => None,
            Platform::Cglue => Some(self.core_object(kernel, self.telemetry, stage)?),
        };
        let inputs = self.inputs(kernel, &kdir, &root, core.as_deref())?;
        let mut fresh = false;
        let dir = self.store.shared_entry("results", &inputs.key(), |partial| {
            fresh = true;
            stage(&format!("compile: {}", inputs.news(&Inputs::last(self.store, kernel)?)));
            self.compile(kernel, &kdir, &root, core.as_deref(), log, partial)
        })?;
        if fresh {
            // A reason that gets lost fails nothing.
            let _ = inputs.remember(self.store, kernel);
        }
        let kept = dir.join("build.log");
        if !fresh {
            fs::copy(&kept, log).at_path(log)?;
        }
        Ok(Built { module: dir.join("involflt.ko"), log: kept, kdir, fresh })
    }

    /// The module of a kernel against a KDIR that is not its own, in `work`. Nothing is kept.
    pub fn build_against(&self, kernel: &LockedKernel, kdir: &Kdir, work: &Path) -> Result<PathBuf> {
        let root = RootSpec::for_kernel(kernel).get(self.store, self.offline, || ())?;
        let core = self.core_object(kernel, self.telemetry, &|_| ())?;
        let (log, to) = (work.join("build.log"), work.join("built"));
        self.compile(kernel, kdir, &root, Some(&core), &log, &to)?;
        Ok(to.join("involflt.ko"))
    }

    /// A module that was built elsewhere, with what its checks, its signature and its packages need of its kernel.
    pub fn adopt(&self, kernel: &LockedKernel, module: PathBuf, log: PathBuf) -> Result<Built> {
        let kdir = kdir::headers(kernel, self.store, self.offline, &|_| ())?;
        Ok(Built { module, log, kdir, fresh: false })
    }

    /// The Rust object of all kernels without Rust; of `kernel` only the archive counts.
    pub fn core_object(&self, kernel: &LockedKernel, telemetry: Telemetry, stage: &dyn Fn(&str)) -> Result<PathBuf> {
        let root =
            RootSpec::for_core(kernel).get(self.store, self.offline, || stage("build root of the Rust object"))?;
        core_object::get(self, telemetry, &root, || stage("Rust object"))
    }

    /// Writes the source as it is shipped: with the Rust object, compiled, with telemetry and without, and the SHA-256 of both,
    /// which each build verifies.
    ///
    /// They are made where the store has none; of `any` kernel of the distribution only the archive counts.
    pub fn write_shipped(&self, any: &LockedKernel, to: &Path, stage: &dyn Fn(&str)) -> Result<()> {
        self.source.write(to)?;
        for telemetry in [Telemetry::No, Telemetry::Yes] {
            let core = self.core_object(any, telemetry, stage)?;
            let name = telemetry.object();
            fs::copy(&core, to.join(name)).at_path(to.join(name))?;
            let sum = to.join(format!("{name}.sha256"));
            fs::write(&sum, format!("{}  {name}\n", crate::store::sha256_file(&core)?)).at_path(&sum)?;
        }
        Ok(())
    }

    /// Everything that goes into a module. Where the Rust object is linked in, the Rust source is not compiled again.
    fn inputs(&self, kernel: &LockedKernel, kdir: &Kdir, root: &Root, core: Option<&Path>) -> Result<Inputs> {
        let part = if core.is_some() { Part::Glue } else { Part::All };
        let mut inputs = Inputs::of(self.source.hashes(part));
        inputs.add("the Rust object", core.map(crate::store::sha256_file).transpose()?.unwrap_or_default());
        inputs.add("telemetry", self.telemetry.word());
        inputs.add("the kernel's headers", &kdir.key);
        inputs.add("the build root", &root.tool_chain);
        inputs.add("the compiler's name", &kernel.compiler);
        inputs.add("the kernel's release", &kernel.kernel);
        Ok(inputs)
    }

    fn compile(
        &self,
        kernel: &LockedKernel,
        kdir: &Kdir,
        root: &Root,
        core: Option<&Path>,
        log: &Path,
        to: &Path,
    ) -> Result<()> {
        let build = to.with_extension("build");
        remove(&build)?;
        make_open_dir(&build)?;
        self.source.write(&build)?;
        if let Some(core) = core {
            let name = build.join(self.telemetry.object());
            fs::copy(core, &name).at_path(&name)?;
        }
        remove(log)?;
        let mut mounts = kdir.mounts.clone();
        mounts.push(Mount::writable(&build, BUILD));
        let job = Job {
            root: &root.path,
            mounts,
            directory: BUILD,
            command: make_command(kernel, kdir, self.telemetry),
            log,
        };
        if !self.run(&job)? {
            return Err(Error::kernel(first_error(log)));
        }
        fs::create_dir_all(to).at_path(to)?;
        fs::copy(build.join("involflt.ko"), to.join("involflt.ko")).at_path(&build)?;
        fs::copy(log, to.join("build.log")).at_path(log)?;
        remove(&build)
    }
}

fn make_command(kernel: &LockedKernel, kdir: &Kdir, telemetry: Telemetry) -> Vec<String> {
    let platform = match kernel.platform {
        Platform::Rfl => "rfl",
        Platform::Cglue => "cglue",
    };
    let mut command: Vec<String> = ["make", "-f", "involflt.mak"].map(String::from).to_vec();
    command.push(format!("KDIR={}", kdir.inside));
    command.push(format!("PLATFORM={platform}"));
    command.push(format!("CC={}", kernel.compiler));
    command.push(format!("TELEMETRY={}", telemetry.word()));
    command.push("INVOLFLT_REBUILD_RUST=0".to_string());
    command.extend(kernel.service_pack.map(|pack| format!("PATCH_LEVEL={pack}")));
    if kernel.platform == Platform::Rfl {
        command.push(format!("KERNELRELEASE={}", kernel.kernel));
    }
    command
}
