// SPDX-License-Identifier: GPL-2.0-only
//! Publishing file by file, where nothing can be switched as a whole: first what nothing names yet, then what names it,
//! and at last what no generation has any more.

use super::generations::{DIR, SIGNATURE, SUMS};
use super::plan::Plan;
use crate::error::{AtPath, Error, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A place on another machine.
pub trait Remote {
    /// Copies its [`DIR`], if there is one, into `to`.
    fn fetch(&self, to: &Path) -> Result<()>;
    /// Copies files from `from`. A file is seen whole or not at all.
    fn put(&self, from: &Path, files: &[String], work: &Path) -> Result<()>;
    /// The same for files that belong together: they appear as close to each other as the place allows.
    fn put_together(&self, from: &Path, files: &[String], work: &Path) -> Result<()>;
    /// Removes files; those that are not there are none of its business.
    fn remove(&self, files: &[String], work: &Path) -> Result<()>;
}

/// Does what the plan says. Broken off at any moment, it leaves clients with what was published before, or with the
/// new.
pub fn publish(remote: &dyn Remote, plan: &Plan, dist: &Path, work: &Path) -> Result<()> {
    let own = |number: u64, name: &str| format!("{DIR}/{number}/{name}");
    let copy = work.join("record");
    let dir = copy.join(DIR).join(plan.number.to_string());
    fs::create_dir_all(&dir).at_path(&dir)?;
    for name in [SUMS, SIGNATURE] {
        fs::copy(dist.join(name), dir.join(name)).at_path(dist.join(name))?;
    }
    // Whatever comes is on record before it comes, so that it can go again.
    remote.put(&copy, &[own(plan.number, SUMS)], work)?;
    remote.put(dist, &plan.add, work)?;
    let (inner, beginnings) = plan.replace.split_at(plan.inner());
    remote.put(dist, inner, work)?;
    remote.put_together(dist, beginnings, work)?;
    remote.put(&copy, &[own(plan.number, SIGNATURE)], work)?;
    remote.remove(&plan.remove, work)?;
    // The record of a generation goes after its files.
    let records: Vec<String> =
        plan.dropped.iter().flat_map(|&number| [own(number, SIGNATURE), own(number, SUMS)]).collect();
    remote.remove(&records, work)
}

/// Runs a tool to its end. `package` is Debian's name of what has it.
pub fn done(command: &mut Command, package: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").output().map_err(|error| {
        Error::infra(format!("{program}: {error}")).note(format!("Debian's package {package} has it"))
    })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::infra(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

/// Writes a list with a line for each.
pub fn list(lines: impl Iterator<Item = String>, to: &Path) -> Result<()> {
    let text: String = lines.map(|line| line + "\n").collect();
    fs::write(to, text).at_path(to)
}
