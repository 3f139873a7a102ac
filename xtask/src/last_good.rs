// SPDX-License-Identifier: GPL-2.0-only
//! Modules that were good before, of kernels that fail now: their packages stay in the repositories.
//!
//! They wait in `dist/last-good`, which is there only as long as some kernel fails.

use crate::build::{Built, Farm};
use crate::error::{AtPath, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::plan;
use crate::report;
use crate::resolve::{self, lockfile};
use crate::result::Row;
use crate::store::{remove, sha256_file};
use std::fs;
use std::path::{Path, PathBuf};

/// Has a directory for each kernel: its module, the log of its build, and a lock of it alone.
const DIR: &str = "last-good";
/// What is kept of a kernel.
const FILES: [&str; 2] = ["involflt.ko", "build.log"];

/// What a run was preceded by.
pub struct LastGood {
    dir: PathBuf,
}

impl LastGood {
    /// Puts the good modules that `dist` has aside, before they are worked on again. Those that a run before it has put
    /// aside stay, where there is none that is newer.
    pub fn put_aside(dist: &Path, listener: &dyn Listener) -> Result<LastGood> {
        let last_good = LastGood { dir: dist.join(DIR) };
        let (matrix, lock) = (dist.join(report::MATRIX), dist.join("kernels.lock"));
        if !matrix.exists() || !lock.exists() {
            return Ok(last_good);
        }
        let before = report::read(&matrix).and_then(|results| Ok((results.rows, lockfile::read(&lock)?.kernels)));
        match before {
            Ok((rows, kernels)) => {
                for row in rows.iter().filter(|row| !row.failed()) {
                    let kernel = kernels.iter().find(|kernel| kernel.id() == row.id);
                    kernel.map_or(Ok(()), |kernel| last_good.keep(kernel, row, &dist.join(&row.id)))?;
                }
            }
            Err(error) => {
                let text = format!("nothing of the run before is kept for kernels that fail: {error}");
                listener.event(Event::Note { subject: dist.display().to_string(), text });
            }
        }
        Ok(last_good)
    }

    /// The same file twice costs nothing; whoever makes a new one makes it under another name.
    fn keep(&self, kernel: &LockedKernel, row: &Row, from: &Path) -> Result<()> {
        let module = from.join(FILES[0]);
        if !module.exists() || row.module_sha256 != Some(sha256_file(&module)?) {
            return Ok(());
        }
        let to = self.dir.join(&row.id);
        remove(&to)?;
        fs::create_dir_all(&to).at_path(&to)?;
        for name in FILES {
            fs::hard_link(from.join(name), to.join(name)).at_path(from.join(name))?;
        }
        resolve::record(std::slice::from_ref(kernel), &to)
    }

    /// The modules that stand in for kernels that failed: the kernel's own, or those of kernels of its release and
    /// flavour that are not in the matrix any more. All others are forgotten.
    pub fn stand_ins(
        &self,
        failed: &[&LockedKernel],
        matrix: &[LockedKernel],
        farm: &Farm<'_>,
        listener: &dyn Listener,
    ) -> Result<Vec<(LockedKernel, Built)>> {
        let mut stand_ins = Vec::new();
        for kernel in self.kernels()? {
            let is_gone = !matrix.iter().any(|one| one.id() == kernel.id());
            match failed.iter().find(|one| one.id() == kernel.id() || is_gone && succeeds(one, &kernel)) {
                None => remove(&self.dir.join(kernel.id()))?,
                Some(one) => {
                    let adopted = self.adopt(&kernel, farm);
                    let text = match &adopted {
                        Ok(_) => format!("the repositories keep the module of {}, which was good", kernel.kernel),
                        Err(error) => format!("the module of {}, which was good, is lost: {error}", kernel.kernel),
                    };
                    listener.event(Event::Note { subject: one.id(), text });
                    stand_ins.extend(adopted.ok().map(|built| (kernel, built)));
                }
            }
        }
        if self.kernels()?.is_empty() {
            remove(&self.dir)?;
        }
        Ok(stand_ins)
    }

    fn adopt(&self, kernel: &LockedKernel, farm: &Farm<'_>) -> Result<Built> {
        let mut row = Row::new(kernel);
        row.module_sha256 = Some(sha256_file(&self.dir.join(&row.id).join(FILES[0]))?);
        plan::adopt(farm, kernel, &self.dir, &self.dir, &mut row)
    }

    /// Those that are kept, by their ids.
    fn kernels(&self) -> Result<Vec<LockedKernel>> {
        let mut kernels = Vec::new();
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(kernels),
            entries => entries.at_path(&self.dir)?,
        };
        for entry in entries {
            let lock = entry.at_path(&self.dir)?.path().join("kernels.lock");
            // One whose lock was not written is of a run that was ended there.
            if lock.exists() {
                kernels.extend(lockfile::read(&lock)?.kernels);
            }
        }
        kernels.sort_by_key(LockedKernel::id);
        Ok(kernels)
    }
}

/// Whether a kernel is what became of another one.
fn succeeds(kernel: &LockedKernel, before: &LockedKernel) -> bool {
    let line = |kernel: &LockedKernel| (kernel.distro.clone(), kernel.release.clone(), kernel.flavour.clone());
    line(kernel) == line(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Results, Status};

    struct Deaf;

    impl Listener for Deaf {
        fn event(&self, _: Event) {}
    }

    #[test]
    fn good_modules_are_put_aside_and_others_are_not() {
        let dist = std::env::temp_dir().join(format!("involflt-last-good-{}", std::process::id()));
        let lock = lockfile::read(&crate::work_tree::top().join("kernels.lock")).unwrap().kernels;
        let mut rows: Vec<Row> = lock.iter().take(3).map(Row::new).collect();
        for row in &mut rows {
            fs::create_dir_all(dist.join(&row.id)).unwrap();
            FILES.iter().for_each(|name| fs::write(dist.join(&row.id).join(name), &row.id).unwrap());
            row.module_sha256 = Some(sha256_file(&dist.join(&row.id).join(FILES[0])).unwrap());
        }
        rows[1].built = Status::Failed;
        fs::write(dist.join(&rows[2].id).join(FILES[0]), "another one").unwrap();
        report::write(&dist, &Results { rows, left_out: Vec::new() }).unwrap();
        resolve::record(&lock[..3], &dist).unwrap();
        for _ in 0..2 {
            let kept = LastGood::put_aside(&dist, &Deaf).unwrap().kernels().unwrap();
            assert_eq!(kept, lock[..1]);
        }
        remove(&dist).unwrap();
    }

    #[test]
    fn a_kernel_succeeds_those_of_its_release_and_flavour() {
        let lock = lockfile::read(&crate::work_tree::top().join("kernels.lock")).unwrap().kernels;
        let mut next = lock[0].clone();
        next.kernel.push_str(".next");
        assert!(succeeds(&next, &lock[0]));
        assert!(lock[1..].iter().all(|other| !succeeds(&next, other)));
    }
}
