// SPDX-License-Identifier: GPL-2.0-only
//! What the probes find in a KDIR: `make -f involflt.mak probe`, on this machine or in a kernel's build root.

use super::probe::Probe;
use crate::build::Farm;
use crate::container::{Job, Mount};
use crate::core_object::first_error;
use crate::error::{AtPath, Error, Result};
use crate::kdir::{self, Kdir, make_open_dir};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::root::RootSpec;
use crate::store::{key, remove};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What one KDIR answers.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Whether each probe compiles, by name.
    pub found: BTreeMap<String, bool>,
    /// The first error of each probe that does not.
    pub errors: BTreeMap<String, String>,
}

/// How the probes are compiled. The answers are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// In one compilation, as a build does it.
    Together,
    /// One by one, as a build does where it must.
    Alone,
}

impl Answers {
    /// The same for all KDIRs with the same answers to the same probes: 12 hexadecimal digits.
    pub fn signature(&self) -> String {
        let parts: Vec<String> = self.found.iter().map(|(name, found)| format!("{name}={found}")).collect();
        key(parts.iter().map(String::as_str))[..12].to_string()
    }

    /// Asks a KDIR of this machine, with this machine's make and the compiler that the KDIR's makefiles choose.
    pub fn of_dir(kdir: &Path, source: &ModuleSource, probes: &[Probe]) -> Result<Answers> {
        let work = Work::new()?;
        source.write(&work.0)?;
        let kdir = fs::canonicalize(kdir).at_path(kdir)?;
        let log = work.0.join("make.log");
        let file = File::create(&log).at_path(&log)?;
        let also = file.try_clone().at_path(&log)?;
        let mut make = Command::new("make");
        make.args(arguments(&kdir.display().to_string())).current_dir(&work.0);
        let status = make.stdin(Stdio::null()).stdout(file).stderr(also).status().at_path("make")?;
        match status.success() {
            true => Answers::read(&work.0, probes),
            false => Err(Error::input(first_error(&log)).at(kdir.display())),
        }
    }

    /// Asks the KDIR of a kernel in the kernel's own build root.
    pub fn of_kernel(farm: &Farm<'_>, kernel: &LockedKernel, probes: &[Probe], how: How) -> Result<(Answers, Kdir)> {
        let root = RootSpec::for_kernel(kernel).get(farm.store, farm.offline, || ())?;
        let kdir = kdir::get(farm, kernel, &root, &|_| ())?;
        let work = Work::new()?;
        farm.source.write(&work.0)?;
        let log = work.0.join("make.log");
        let mut mounts = kdir.mounts.clone();
        mounts.push(Mount::writable(&work.0, "/build"));
        let mut command = vec!["make".to_string()];
        command.extend(arguments(&kdir.inside));
        command.push(format!("CC={}", kernel.compiler));
        command.extend((how == How::Alone).then(|| "INVOLFLT_PROBES=alone".into()));
        let job = Job { root: &root.path, mounts, directory: "/build", command, log: &log };
        match farm.run(&job)? {
            true => Ok((Answers::read(&work.0, probes)?, kdir)),
            false => Err(Error::kernel(first_error(&log)).at(&kernel.kernel)),
        }
    }

    fn read(dir: &Path, probes: &[Probe]) -> Result<Answers> {
        let read = |name: &str| fs::read_to_string(dir.join(name)).at_path(dir.join(name));
        let (probed, log) = (read("glue/probed.h")?, read("probes/probes.log")?);
        let mut answers = Answers::default();
        for probe in probes {
            let found = probed.lines().any(|line| line.strip_prefix("#define ") == Some(&probe.define()));
            answers.found.insert(probe.name.clone(), found);
            if let Some(error) = compiler_error(&log, &probe.name).filter(|_| !found) {
                answers.errors.insert(probe.name.clone(), error);
            }
        }
        Ok(answers)
    }
}

/// The probes need no Rust object; with `PLATFORM=rfl` none is asked for.
fn arguments(kdir: &str) -> [String; 5] {
    ["-f", "involflt.mak", "probe", "PLATFORM=rfl", &format!("KDIR={kdir}")].map(String::from)
}

/// `…/probes/NAME.c:8:23: error: TEXT`, as gcc and clang write it.
fn compiler_error(log: &str, name: &str) -> Option<String> {
    let place = format!("{name}.c:");
    log.lines().find_map(|line| {
        let (before, text) = line.split_once("error: ")?;
        let file = before.rsplit('/').next()?;
        file.starts_with(&place).then(|| text.to_string())
    })
}

/// A directory that the container's user may write to, gone when dropped.
struct Work(PathBuf);

impl Work {
    fn new() -> Result<Work> {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("involflt-probes-{}-{number}", std::process::id()));
        remove(&dir)?;
        make_open_dir(&dir)?;
        Ok(Work(dir))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_have_one_signature_and_one_other_answer_has_another() {
        let answers = |found| Answers { found: [("a".into(), true), ("b".into(), found)].into(), ..Answers::default() };
        assert_eq!(answers(true).signature(), answers(true).signature());
        assert_ne!(answers(true).signature(), answers(false).signature());
        assert_eq!(answers(true).signature().len(), 12);
    }

    #[test]
    fn a_probe_is_told_its_own_error_and_no_other() {
        let log = "/build/probes/bdev_file.c:8:2: error: implicit declaration\n/b/probes/file.c:1:1: error: own\n";
        assert_eq!(compiler_error(log, "file").as_deref(), Some("own"));
        assert_eq!(compiler_error(log, "bdev_file").as_deref(), Some("implicit declaration"));
        assert_eq!(compiler_error(log, "bdev"), None);
    }
}
