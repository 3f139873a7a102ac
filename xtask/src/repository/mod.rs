// SPDX-License-Identifier: GPL-2.0-only
//! Signed repositories of signed packages, made by the distributions' own tools.

mod apt;
mod rpm;

pub use apt::{Suite, write as apt};
pub use rpm::write as rpm;

use crate::error::{AtPath, Error, Result};
use crate::store::sha256_file;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Names the way that files are laid out in: repositories that the store has of another one are not taken.
pub const LAYOUT: &str = "a package's directory is named after its hash";

/// How much of a package's SHA-256 is in its path, in hexadecimal digits.
const DIGITS: usize = 16;

/// Copies a package to a place below `pool` that only its own bytes have: one that was signed or built anew stands beside the
/// one before, and whoever has an older index still gets what is in it.
fn add(package: &Path, pool: &Path) -> Result<()> {
    let dir = pool.join(&sha256_file(package)?[..DIGITS]);
    fs::create_dir_all(&dir).at_path(&dir)?;
    fs::copy(package, dir.join(package.file_name().unwrap_or_default())).map(drop).at_path(package)
}

/// Whether a published file never changes, as its path has its SHA-256 in it: packages, and indices that others name.
pub fn is_immutable(path: &str, sha256: &str) -> bool {
    path.contains(&sha256[..DIGITS.min(sha256.len())]) && !sha256.is_empty()
}

/// The output of a tool.
fn said(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").output().at_path(&program)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::infra(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
