// SPDX-License-Identifier: GPL-2.0-only
//! Directories that are replaced as a whole.

use crate::error::{AtPath, Error, Result};
use crate::store::remove;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Puts a copy of a directory in the place of another one: a reader sees the old one or the new one.
pub fn replace(from: &Path, to: &Path) -> Result<()> {
    let (new, old) = (to.with_added_extension("new"), to.with_added_extension("old"));
    remove(&new)?;
    remove(&old)?;
    let output = Command::new("cp").args(["-R", "--preserve=timestamps"]).arg(from).arg(&new).output().at_path("cp")?;
    if !output.status.success() {
        return Err(Error::infra(format!("cp: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    if to.exists() {
        fs::rename(to, &old).at_path(to)?;
    }
    fs::rename(&new, to).at_path(to)?;
    remove(&old)
}

/// Every file below a directory, sorted, by its path from there. A symbolic link is a file, wherever it leads.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).at_path(dir)? {
        let entry = entry.at_path(dir)?;
        let (path, name) = (entry.path(), PathBuf::from(entry.file_name()));
        match entry.file_type().at_path(&path)?.is_dir() {
            true => found.extend(files(&path)?.into_iter().map(|below| name.join(below))),
            false => found.push(name),
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_gone() {
        let top = std::env::temp_dir().join(format!("involflt-tree-{}", std::process::id()));
        for (dir, file) in [("from/sub", "new"), ("to-6.1.0-1", "old"), ("to-6.1.new", "other")] {
            fs::create_dir_all(top.join(dir)).unwrap();
            fs::write(top.join(dir).join(file), "").unwrap();
        }
        replace(&top.join("from"), &top.join("to-6.1.0-1")).unwrap();
        let left = ["from/sub/new", "to-6.1.0-1/sub/new", "to-6.1.new/other"].map(PathBuf::from);
        assert_eq!(files(&top).unwrap(), left);
        fs::remove_dir_all(&top).unwrap();
    }
}
