// SPDX-License-Identifier: GPL-2.0-only
//! The src.rpm, made by rpmbuild, and the files of an OBS package: the spec, `_service` and `_multibuild` beside the tarball.

use super::run;
use crate::error::{AtPath, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Files of an OBS package, which lie beside the tarball.
const OBS: &[&str] = &["involflt.spec", "_service", "_multibuild"];

/// Makes both in `out`, where the tarball is already.
pub fn make(rendered: &[(String, Vec<u8>)], out: &Path) -> Result<()> {
    for (name, text) in rendered.iter().filter(|(name, _)| OBS.contains(&name.as_str())) {
        fs::write(out.join(name), text).at_path(out.join(name))?;
    }
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.current_dir(out).args(["-bs", "--quiet", "--nodeps"]);
    // The package holds the spec as rpm read it, with the directories in it: relative ones are the same everywhere.
    // Where the macros are not those of SUSE or Red Hat, the spec still has to be read.
    let defines = [
        "_sourcedir .",
        "_srcrpmdir .",
        "_topdir rpmbuild",
        "_buildhost involflt",
        "use_source_date_epoch_as_buildtime 1",
        "clamp_mtime_to_source_date_epoch 1",
        "kernel_module_package %{nil}",
        "kernel_module_package_buildreqs make",
    ];
    for define in defines {
        rpmbuild.args(["--define", define]);
    }
    run(rpmbuild.arg("involflt.spec"))?;
    crate::store::remove(&out.join("rpmbuild"))
}
