// SPDX-License-Identifier: GPL-2.0-only
//! An rpm-md repository, as zypper and dnf read it.

use super::{add, said};
use crate::error::{AtPath, Result};
use crate::sign::ArchiveKey;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes a repository of signed packages into a directory that does not exist yet.
pub fn write(to: &Path, rpms: &[PathBuf], key: &ArchiveKey) -> Result<()> {
    for rpm in rpms {
        let is_noarch = rpm.to_string_lossy().ends_with(".noarch.rpm");
        add(rpm, &to.join(if is_noarch { "noarch" } else { "x86_64" }))?;
    }
    said(Command::new("createrepo_c").args(["--quiet", "--no-database"]).arg(to))?;
    let index = to.join("repodata/repomd.xml");
    key.detach_sign(&index, &to.join("repodata/repomd.xml.asc"))?;
    let public = to.join("repodata/repomd.xml.key");
    fs::write(&public, key.public_armoured()?).at_path(&public)
}
