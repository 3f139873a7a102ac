// SPDX-License-Identifier: GPL-2.0-only
//! A directory of this machine: each publication is a tree of its own, and one symbolic link says which is served.

use super::generations::{DIR, SIGNATURE, SUMS};
use super::plan::Plan;
use crate::error::{AtPath, Error, Result};
use crate::store::remove;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A directory with `current`, the link, and `trees`. Trees share the files that do not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    /// The place at that path, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Directory(path)
    }

    /// What is to be served.
    pub fn current(&self) -> PathBuf {
        self.0.join("current")
    }

    /// Does what the plan says: clients see all of it or none.
    pub fn publish(&self, plan: &Plan, dist: &Path) -> Result<()> {
        let trees = self.0.join("trees");
        fs::create_dir_all(&trees).at_path(&trees)?;
        let lock = File::create(self.0.join("lock")).at_path(&self.0)?;
        lock.try_lock().map_err(|_| {
            Error::infra(format!("{}: somebody else publishes there", self.0.display()))
                .note("try again when it is over")
        })?;
        let tree = trees.join(plan.number.to_string());
        // Of a publication that was broken off.
        remove(&tree)?;
        self.fill(&tree, plan, dist)?;
        self.switch_to(&tree)?;
        for entry in fs::read_dir(&trees).at_path(&trees)? {
            let other = entry.at_path(&trees)?.path();
            if other != tree {
                remove(&other)?;
            }
        }
        Ok(())
    }

    fn fill(&self, tree: &Path, plan: &Plan, dist: &Path) -> Result<()> {
        let current = self.current();
        let records =
            plan.kept.iter().flat_map(|number| [SUMS, SIGNATURE].map(|name| format!("{DIR}/{number}/{name}")));
        for file in plan.keep.iter().cloned().chain(records) {
            link(&current.join(&file), &tree.join(&file))?;
        }
        for file in plan.add.iter().chain(&plan.replace) {
            copy(&dist.join(file), &tree.join(file))?;
        }
        let record = tree.join(DIR).join(plan.number.to_string());
        [SUMS, SIGNATURE].iter().try_for_each(|name| copy(&dist.join(name), &record.join(name)))
    }

    /// The link is replaced by renaming another one over it, which is one step.
    fn switch_to(&self, tree: &Path) -> Result<()> {
        let (link, new) = (self.current(), self.0.join("current.new"));
        let target = Path::new("trees").join(tree.file_name().unwrap_or_default());
        remove(&new)?;
        symlink(target, &new).at_path(&new)?;
        fs::rename(&new, &link).at_path(&link)?;
        File::open(&self.0).and_then(|dir| dir.sync_all()).at_path(&self.0)
    }
}

fn link(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    fs::hard_link(from, to).at_path(from)
}

/// What is served must be on the disk before the link says so.
fn copy(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to).at_path(from)?;
    File::open(to).and_then(|file| file.sync_all()).at_path(to)
}

fn make_parent(file: &Path) -> Result<()> {
    let parent = file.parent().unwrap_or(file);
    fs::create_dir_all(parent).at_path(parent)
}
