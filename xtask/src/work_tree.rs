// SPDX-License-Identifier: GPL-2.0-only
//! Where the work tree is.

use std::path::{Path, PathBuf};

/// The top of the work tree, absolute: for programs that are started in it.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the work tree")
}

/// The top of the work tree, relative to the current directory where that is inside of it: for names that users read.
/// Empty at the top itself, so that `join` gives a plain name.
pub fn relative() -> PathBuf {
    let here = std::env::current_dir().ok();
    match here.as_deref().and_then(|here| top().strip_prefix(here).ok()) {
        Some(relative) => relative.to_path_buf(),
        None => top().to_path_buf(),
    }
}
