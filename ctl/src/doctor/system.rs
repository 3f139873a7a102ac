// SPDX-License-Identifier: GPL-2.0-only
//! The machine's files.

use std::fs;
use std::path::{Path, PathBuf};

/// A tree of files: this machine's, or a test's.
pub struct System {
    root: PathBuf,
}

impl System {
    /// The tree below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        System { root: root.into() }
    }

    /// Where an absolute path of the tree is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A path that was made by [`Self::path`], as the tree's programs see it.
    pub fn inside(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        Path::new("/").join(inside).display().to_string()
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// A file's text without surrounding white space, if it can be read.
    pub fn text(&self, path: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes(path)?).trim().to_string())
    }

    /// A file's bytes, if it can be read.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.path(path)).ok()
    }
}
