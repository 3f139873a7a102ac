// SPDX-License-Identifier: GPL-2.0-only
//! Files of older generations, which `cargo xtask publish` keeps for those who have an older index.

use super::{Checker, inside};
use crate::error::{AtPath, Result};
use crate::store::sha256_file;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

impl Checker<'_> {
    /// Takes out of `files` what the newest list does not have, and an older list, signed too, has with these very bytes.
    pub(super) fn without_older(&self, mut files: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
        let newest = listed(&self.dist.join("SHA256SUMS"))?;
        let mut older = BTreeSet::new();
        for list in files.iter().filter(|file| file.starts_with("generations") && file.ends_with("SHA256SUMS")) {
            self.signature(list, &list.with_extension("asc"))?;
            older.extend(listed(&self.dist.join(list))?);
        }
        let current: BTreeSet<&PathBuf> = newest.iter().map(|(_, file)| file).collect();
        let mut found = BTreeSet::new();
        for (sha256, file) in older.iter().filter(|(_, file)| !current.contains(file)) {
            let path = self.dist.join(file);
            if path.is_file() && sha256_file(&path)? == *sha256 {
                found.insert(file.clone());
            }
        }
        files.retain(|file| !found.contains(file));
        Ok(files)
    }
}

/// The lines of a list that name files below the checked directory; none where there is no list, which others tell of.
fn listed(list: &Path) -> Result<BTreeSet<(String, PathBuf)>> {
    if !list.is_file() {
        return Ok(BTreeSet::new());
    }
    let text = fs::read_to_string(list).at_path(list)?;
    let line =
        |line: &str| line.split_once("  ").and_then(|(sha256, file)| Some((sha256.into(), inside(file)?.into())));
    Ok(text.lines().filter_map(line).collect())
}
