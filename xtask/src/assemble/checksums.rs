// SPDX-License-Identifier: GPL-2.0-only
//! `SHA256SUMS` over everything that is published, and its signature.

use crate::error::{AtPath, Result};
use crate::sign::ArchiveKey;
use crate::store::{self, Store, sha256_file};
use crate::tree;
use std::fs;
use std::path::Path;

/// The directories of `dist/` that are published.
const PUBLISHED: [&str; 4] = ["apt", "keys", "rpm", "sbom"];

/// Writes `dist/SHA256SUMS` and `dist/SHA256SUMS.asc`. The same sums have the same signature in every `dist/`: the store keeps it.
pub fn write(dist: &Path, key: &ArchiveKey, store: &Store) -> Result<()> {
    let mut text = String::new();
    for dir in PUBLISHED.iter().filter(|dir| dist.join(dir).is_dir()) {
        for file in tree::files(&dist.join(dir))? {
            let file = Path::new(dir).join(file);
            text.push_str(&format!("{}  {}\n", sha256_file(&dist.join(&file))?, file.display()));
        }
    }
    let sums = dist.join("SHA256SUMS");
    fs::write(&sums, &text).at_path(&sums)?;
    let id = store::key([text.as_str(), key.fingerprint()]);
    let signature = store.entry("signatures", &id, |partial| key.detach_sign(&sums, partial))?;
    let to = dist.join("SHA256SUMS.asc");
    fs::copy(&signature, &to).at_path(&to).map(|_| ())
}
