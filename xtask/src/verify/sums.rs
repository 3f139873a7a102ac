// SPDX-License-Identifier: GPL-2.0-only
//! `SHA256SUMS` and its signature: everything published is in it, and nothing else is there.

use super::{Checker, inside};
use crate::error::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The directories that are published.
const PUBLISHED: [&str; 4] = ["apt", "keys", "rpm", "sbom"];

impl Checker<'_> {
    /// Checks the list against the files that are there.
    pub(super) fn sums(&self, files: &[PathBuf]) -> Result<()> {
        let list = Path::new("SHA256SUMS");
        self.signature(list, Path::new("SHA256SUMS.asc"))?;
        let Some(text) = self.text(list) else { return Ok(()) };
        let mut listed = BTreeSet::new();
        for line in text.lines() {
            match line.split_once("  ").and_then(|(hash, file)| Some((hash, inside(file)?))) {
                Some((hash, file)) => {
                    self.hash(file, hash, list)?;
                    listed.insert(file);
                }
                None => self.found(list, format!("no line of hashes: {line}")),
            }
        }
        for file in files {
            let published = PUBLISHED.iter().any(|dir| file.starts_with(dir));
            if published && !listed.contains(file.as_path()) {
                self.found(file, "SHA256SUMS does not list it");
            }
        }
        Ok(())
    }
}
