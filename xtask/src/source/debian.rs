// SPDX-License-Identifier: GPL-2.0-only
//! The Debian source package: `.dsc`, the tarball as the original, and `debian.tar.xz`, made by dpkg-source.

use super::run;
use crate::error::{AtPath, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// What `dpkg-source` is given besides the rendered files: those that all packages share.
const SHARED: &[&str] = &["changelog", "copyright"];

/// Makes the package in `out`. `tree` is what the tarball was made of, and gets a directory `debian`.
pub fn make(tree: &Path, tarball: &Path, rendered: &[(String, Vec<u8>)], out: &Path) -> Result<()> {
    for (name, text) in rendered {
        let path = match name.as_str() {
            name if SHARED.contains(&name) => tree.join("debian").join(name),
            name if name.starts_with("debian/") => tree.join(name),
            _ => continue,
        };
        fs::create_dir_all(path.parent().unwrap_or(tree)).at_path(&path)?;
        fs::write(&path, text).at_path(&path)?;
        let mode = if name == "debian/rules" { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).at_path(&path)?;
    }
    let original = out.join(format!("involflt_{}.orig.tar.xz", env!("CARGO_PKG_VERSION")));
    fs::copy(tarball, &original).at_path(&original)?;
    run(Command::new("dpkg-source").arg("--build").arg(fs::canonicalize(tree).at_path(tree)?).current_dir(out))
}
