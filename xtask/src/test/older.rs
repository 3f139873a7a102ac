// SPDX-License-Identifier: GPL-2.0-only
//! `involflt-kmod` as an earlier release of it would have been: an older version, another module, a kernel less.

use crate::error::{AtPath, Error, Result};
use crate::lock::LockedKernel;
use crate::repository::{self, Suite};
use crate::sign::ArchiveKey;
use crate::store::remove;
use crate::unpack::ask;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its version, older than any.
pub const VERSION: &str = "0.0.1-1";

/// Makes a repository of it below `work`, for the suite of `first`; `second` is the kernel that it has no module for.
///
/// It is the true package, taken apart and packed again: the module of `first` has lost its signature.
pub fn publish(
    apt: &Path,
    first: &LockedKernel,
    second: &LockedKernel,
    key: &ArchiveKey,
    work: &Path,
) -> Result<PathBuf> {
    let tree = work.join("older-kmod");
    dpkg_deb(&["--raw-extract".as_ref(), package(apt, &first.release)?.as_os_str(), tree.as_os_str()])?;
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).at_path(&control)?;
    let older = |line: &str| match line.starts_with("Version: ") {
        true => format!("Version: {VERSION}\n"),
        false => format!("{line}\n"),
    };
    fs::write(&control, text.lines().map(older).collect::<String>()).at_path(&control)?;
    let modules = tree.join("usr/lib/involflt/modules");
    remove(&modules.join(&second.kernel))?;
    let module = modules.join(&first.kernel).join("involflt.ko");
    let bytes = fs::read(&module).at_path(&module)?;
    fs::write(&module, &bytes[..bytes.len() - 28]).at_path(&module)?;
    let deb = work.join(format!("involflt-kmod_{VERSION}_amd64.deb"));
    dpkg_deb(&["--root-owner-group".as_ref(), "--build".as_ref(), tree.as_os_str(), deb.as_os_str()])?;
    remove(&tree)?;
    let to = work.join("older");
    repository::apt(&to, &[Suite { name: first.release.clone(), debs: vec![deb] }], key)?;
    Ok(to)
}

/// The suite's package in the pool.
fn package(apt: &Path, suite: &str) -> Result<PathBuf> {
    let index = apt.join(format!("dists/{suite}/main/binary-amd64/Packages"));
    let text = fs::read_to_string(&index).at_path(&index)?;
    let stanza = text.split("\n\n").find(|stanza| stanza.lines().any(|line| line == "Package: involflt-kmod"));
    let path = stanza.and_then(|stanza| stanza.lines().find_map(|line| line.strip_prefix("Filename: ")));
    path.map(|path| apt.join(path))
        .ok_or_else(|| Error::infra(format!("{}: there is no involflt-kmod", index.display())))
}

fn dpkg_deb(arguments: &[&OsStr]) -> Result<()> {
    ask(Command::new("dpkg-deb").args(arguments))?.map(drop).map_err(|said| Error::infra(format!("dpkg-deb: {said}")))
}
