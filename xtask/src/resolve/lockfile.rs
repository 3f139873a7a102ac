// SPDX-License-Identifier: GPL-2.0-only
//! Reading and writing `kernels.lock`.

use crate::error::{AtPath, Error, Result};
use crate::kernels::Document;
use crate::lock::{Lock, LockedKernel};
use std::path::Path;

const HEADER: &str = "# SPDX-License-Identifier: GPL-2.0-only\n\
                      # Written by `cargo xtask resolve`: what the selectors of kernels.yaml resolved to.\n";

/// Format that this program reads and writes.
const FORMAT: u32 = 1;

/// Reads a lock file; an unknown or ill-typed field is refused with its place.
pub fn read(path: &Path) -> Result<Lock> {
    if !path.exists() {
        return Err(Error::input(format!("{}: no such file", path.display())).note("write it: cargo xtask resolve"));
    }
    let document = Document::read(path)?;
    let lock: Lock = document.parse().map_err(|error| error.note("write it anew: cargo xtask resolve"))?;
    if lock.format != FORMAT {
        let at = [crate::kernels::Step::Key("format".into())];
        return Err(document.error(&at, format!("unknown format {}", lock.format), format!("`{FORMAT}`")));
    }
    Ok(lock)
}

/// The text of a lock file: the same kernels give the same bytes.
pub fn render(mut kernels: Vec<LockedKernel>) -> String {
    sort(&mut kernels);
    let lock = Lock { format: FORMAT, kernels };
    format!("{HEADER}{}", serde_yaml::to_string(&lock).expect("a lock is plain data"))
}

/// Writes `text` so that a reader sees the old file or the new one. Returns whether anything changed.
pub fn write(path: &Path, text: &str) -> Result<bool> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    std::fs::write(&partial, text).at_path(&partial)?;
    std::fs::rename(&partial, path).at_path(path)?;
    Ok(true)
}

/// The order of the lock and of every listing: distro, release, suite, version, flavour.
pub fn sort(kernels: &mut [LockedKernel]) {
    kernels.sort_by(|a, b| {
        let key = |k: &LockedKernel| (k.distro.clone(), super::release_rank(&k.distro, &k.release), k.suite.clone());
        let version = |k: &LockedKernel| k.packages.first().map_or(String::new(), |package| package.version.clone());
        key(a)
            .cmp(&key(b))
            .then_with(|| super::version::compare(&version(a), &version(b)))
            .then_with(|| a.kernel.cmp(&b.kernel))
    });
}
