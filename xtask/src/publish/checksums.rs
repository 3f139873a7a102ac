// SPDX-License-Identifier: GPL-2.0-only
//! `SHA256SUMS` over everything that is published, and its signature.

use crate::error::{AtPath, Result};
use crate::sign::ArchiveKey;
use crate::store::sha256_file;
use crate::tree;
use std::fs;
use std::path::Path;

/// The directories of `dist/` that are published.
const PUBLISHED: [&str; 4] = ["apt", "keys", "rpm", "sbom"];

/// Writes `dist/SHA256SUMS` and `dist/SHA256SUMS.asc`.
pub fn write(dist: &Path, key: &ArchiveKey) -> Result<()> {
    let mut text = String::new();
    for dir in PUBLISHED.iter().filter(|dir| dist.join(dir).is_dir()) {
        for file in tree::files(&dist.join(dir))? {
            let file = Path::new(dir).join(file);
            text.push_str(&format!("{}  {}\n", sha256_file(&dist.join(&file))?, file.display()));
        }
    }
    let sums = dist.join("SHA256SUMS");
    // The same sums keep their signature.
    if fs::read_to_string(&sums).is_ok_and(|old| old == text) && dist.join("SHA256SUMS.asc").exists() {
        return Ok(());
    }
    fs::write(&sums, text).at_path(&sums)?;
    key.detach_sign(&sums, &dist.join("SHA256SUMS.asc"))
}
