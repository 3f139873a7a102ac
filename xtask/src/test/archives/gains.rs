// SPDX-License-Identifier: GPL-2.0-only
//! An archive gains kernels after its lock was written: one that builds, and one that does not. The commands are those that a
//! person types.

use super::fixture::{self, SlesKernel};
use super::{Bench, Outcome, said, same, text};
use crate::report;
use crate::result::{Row, Status};
use crate::store::sha256_file;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Needs a package of its own: one of its symbols is not that of the others.
const GAINED: SlesKernel<'_> =
    SlesKernel { version: "5.14.21", build: "150500.55.94", service_pack: 5, breaks_promise: true };
/// Half of its headers are missing.
const BROKEN: SlesKernel<'_> =
    SlesKernel { version: "5.14.21", build: "150500.55.97", service_pack: 5, breaks_promise: false };

/// A lock, and what was built of it.
struct Built<'a> {
    bench: &'a Bench<'a>,
    kernels: PathBuf,
    lock: PathBuf,
    dist: PathBuf,
}

/// The kernel that builds is noticed, built and packed, and the others stay as they are. The one that does not is a failed row.
pub fn run(bench: &Bench<'_>) -> Outcome {
    let built = Built {
        bench,
        kernels: bench.write_yaml("sles", "15-sp5")?,
        lock: bench.work.join("gains.lock"),
        dist: bench.work.join("gains"),
    };
    built.lock()?;
    built.build("--locked", 0)?;
    let (rows, packages) = (built.rows()?, built.packages()?);
    built.publish()?;
    built.gain(&GAINED, true)?;
    built.notices(&[id(&GAINED)], &[])?;
    built.build("--since", 0)?;
    let (more, more_packages) = (built.rows()?, built.packages()?);
    if !rows.iter().all(|row| more.contains(row)) || more.len() != rows.len() + 1 {
        return Err(format!("{rows:?} became {more:?}"));
    }
    same("the state of its row", &format!("{:?}", built.row(&GAINED)?.checked), "Passed")?;
    let others = packages.iter().all(|(name, sha256)| more_packages.get(name) == Some(sha256));
    if !others || more_packages.len() != packages.len() + 1 {
        return Err(format!("the packages {packages:?} became {more_packages:?}"));
    }
    let new = built.publish()?;
    let rpms =
        new.as_array().into_iter().flatten().filter(|file| file.as_str().is_some_and(|file| file.ends_with(".rpm")));
    same("packages that are new for clients", &rpms.count().to_string(), "1")?;
    built.lock()?;
    built.gain(&BROKEN, false)?;
    built.notices(&[id(&BROKEN)], &[])?;
    built.build("--since", 1)?;
    let failed = built.row(&BROKEN)?;
    if failed.built != Status::Failed || failed.error.is_none() || !more.iter().all(|row| built.has(row)) {
        return Err(format!("{failed:?}"));
    }
    same("the packages", &format!("{:?}", built.packages()?), &format!("{more_packages:?}"))?;
    same("what is new for clients", &built.publish()?.to_string(), "[]")?;
    changed(&built)?;
    Ok(format!("{} packages more, and none touched", more_packages.len() - packages.len()))
}

/// A kernel that was good comes again, under the same name, and does not build: what is published of it stays.
fn changed(built: &Built<'_>) -> Result<(), String> {
    let (packages, last_good) = (built.packages()?, built.dist.join("last-good"));
    built.lock()?;
    built.gain(&GAINED, false)?;
    built.notices(&[], &[id(&GAINED)])?;
    // The second time there is nothing good in the run before.
    for _ in 0..2 {
        built.build("--since", 1)?;
        same("the state of its row", &format!("{:?}", built.row(&GAINED)?.built), "Failed")?;
        same("the packages", &format!("{:?}", built.packages()?), &format!("{packages:?}"))?;
        same("what is new for clients", &built.publish()?.to_string(), "[]")?;
    }
    built.gain(&GAINED, true)?;
    built.build("--since", 1)?;
    same("the state of its row", &format!("{:?}", built.row(&GAINED)?.checked), "Passed")?;
    match last_good.join(id(&GAINED)).exists() {
        true => Err(format!("{} is still there", last_good.display())),
        false => Ok(()),
    }
}

impl Built<'_> {
    fn gain(&self, kernel: &SlesKernel<'_>, is_built: bool) -> Result<(), String> {
        let repository = self.bench.repository();
        kernel.packages(&self.bench.kdir()?, is_built, &self.bench.work, &repository)?;
        fixture::signed_index(&repository, &self.bench.keys.archive, "gz")
    }

    /// Writes the lock of what the archive has now.
    fn lock(&self) -> Result<(), String> {
        self.command("resolve", &[], 0).map(drop)
    }

    /// Builds all of the lock, or what there is since.
    fn build(&self, what: &str, code: i32) -> Result<(), String> {
        let (lock, dist) = (self.lock.display().to_string(), self.dist.display().to_string());
        let mut options = vec!["--no-boot", "--format", "plain", "--dist", &dist, what];
        if what == "--since" {
            options.push(&lock);
        }
        self.command("build-matrix", &options, code).map(drop)
    }

    /// `watch` tells of these kernels, and of nothing else.
    fn notices(&self, new: &[String], changed: &[String]) -> Result<(), String> {
        let said = self.command("watch", &["--format", "json"], 0)?;
        let found: serde_json::Value = serde_json::from_str(&said).map_err(|error| format!("{said}: {error}"))?;
        let expected = serde_json::json!({ "new": new, "changed": changed, "gone": [], "left_out": [] });
        same("what watch says", &found.to_string(), &expected.to_string())
    }

    /// Publishes what was built; the files that are new for clients.
    fn publish(&self) -> Result<serde_json::Value, String> {
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        command.arg("publish").arg(self.bench.work.join("place")).args(["--format=json", "--dist"]).arg(&self.dist);
        let said = said(&mut command)?;
        let done: serde_json::Value = serde_json::from_str(&said).map_err(|error| format!("{said}: {error}"))?;
        Ok(if done["generation"].is_null() { serde_json::json!([]) } else { done["add"].clone() })
    }

    fn command(&self, name: &str, options: &[&str], code: i32) -> Result<String, String> {
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        command.current_dir(self.bench.context.tree).arg(name).args(options);
        command.arg("--kernels").arg(&self.kernels).arg("--lock").arg(&self.lock);
        let output = command.arg("--store").arg(self.bench.context.store.root()).output().map_err(text)?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.code() == Some(code) {
            true => Ok(said(&output.stdout)),
            false => Err(format!("{command:?}: {}: {}{}", output.status, said(&output.stdout), said(&output.stderr))),
        }
    }

    fn rows(&self) -> Result<Vec<Row>, String> {
        report::read(&self.dist.join(report::MATRIX)).map(|results| results.rows).map_err(text)
    }

    fn row(&self, kernel: &SlesKernel<'_>) -> Result<Row, String> {
        let id = id(kernel);
        self.rows()?.into_iter().find(|row| row.id == id).ok_or_else(|| format!("no row of {id}"))
    }

    fn has(&self, row: &Row) -> bool {
        self.rows().is_ok_and(|rows| rows.contains(row))
    }

    /// The SHA-256 of each package in the repositories, by its name.
    fn packages(&self) -> Result<BTreeMap<String, String>, String> {
        let mut packages = BTreeMap::new();
        add_packages(&self.dist.join("rpm"), &mut packages)?;
        Ok(packages)
    }
}

fn add_packages(dir: &Path, packages: &mut BTreeMap<String, String>) -> Result<(), String> {
    for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
        let path = entry.map_err(text)?.path();
        if path.is_dir() {
            add_packages(&path, packages)?;
        } else if path.extension().is_some_and(|ending| ending == "rpm") {
            packages.insert(path.display().to_string(), sha256_file(&path).map_err(text)?);
        }
    }
    Ok(())
}

fn id(kernel: &SlesKernel<'_>) -> String {
    format!("sles-15-sp5-{}", kernel.release())
}
