// SPDX-License-Identifier: GPL-2.0-only
//! The tarball: the driver's source with its Rust part compiled, and what a reader needs.

use super::run;
use crate::build::Farm;
use crate::error::{AtPath, Result};
use crate::lock::LockedKernel;
use crate::package::DATE;
use crate::work_tree;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The directory that everything in the tarball is in.
pub const NAME: &str = concat!("involflt-", env!("CARGO_PKG_VERSION"));
/// The tarball's file name.
pub const TARBALL: &str = concat!("involflt-", env!("CARGO_PKG_VERSION"), ".tar.xz");

/// What goes with the source. No crates: the driver has no dependencies, and nothing else is built from the tarball.
const DOCS: &[&str] = &["LICENSE", "README.md", "docs/abi.md", "docs/design.md", "docs/dkms.md", "docs/source.md"];

/// Writes the tarball's files below `to`.
pub fn stage(farm: &Farm<'_>, any: &LockedKernel, to: &Path, said: &dyn Fn(&str)) -> Result<()> {
    farm.write_shipped(any, &to.join("module"), said)?;
    for name in DOCS {
        let (from, to) = (work_tree::top().join(name), to.join(name));
        fs::create_dir_all(to.parent().unwrap_or(&to)).at_path(&to)?;
        fs::copy(&from, &to).at_path(&from)?;
    }
    Ok(())
}

/// Packs a directory under its own name. Owners, modes, times and the order of files are always the same; so is what xz
/// makes of it, in one thread.
pub fn pack(tree: &Path, to: &Path) -> Result<()> {
    let plain = to.with_extension("");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--mode=u=rwX,go=rX", &format!("--mtime=@{DATE}")]).arg("--file").arg(&plain);
    tar.arg("--directory").arg(tree.parent().unwrap_or(tree)).arg(tree.file_name().unwrap_or_default());
    run(&mut tar)?;
    run(Command::new("xz").args(["-6", "--threads=1", "--force"]).arg(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn modes_and_times_of_a_work_tree_do_not_show() {
        let top = std::env::temp_dir().join(format!("involflt-tarball-{}", std::process::id()));
        for (side, mode) in [("one", 0o600), ("two", 0o664)] {
            let file = top.join(side).join("tree/file");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "text").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            pack(&top.join(side).join("tree"), &top.join(side).join("out.tar.xz")).unwrap();
        }
        let read = |side: &str| fs::read(top.join(side).join("out.tar.xz")).unwrap();
        assert_eq!(read("one"), read("two"));
        let listed = Command::new("tar").arg("-tvf").arg(top.join("one/out.tar.xz")).output().unwrap();
        fs::remove_dir_all(&top).unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("-rw-r--r-- 0/0") && listed.contains("tree/file"), "{listed}");
    }
}
