// SPDX-License-Identifier: GPL-2.0-only
//! The files of `involflt-dkms`: the driver's source with the prebuilt Rust object, and what calls DKMS.

use crate::build::Farm;
use crate::error::{AtPath, Error, Result};
use crate::lock::LockedKernel;
use crate::store::remove;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

/// The driver's version, which DKMS has in the names of its directories.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const CONF: &str = include_str!("../../dkms/dkms.conf.in");
const PROGRAM: &str = include_str!("../../dkms/involflt-dkms");
const HOOK: &str = include_str!("../../dkms/kernel-hook");

/// Programs: what is in them, and where they are installed.
const PROGRAMS: &[(&str, &str)] = &[
    (PROGRAM, "usr/lib/involflt/involflt-dkms"),
    (HOOK, "etc/kernel/postinst.d/dkms-involflt"),
    (HOOK, "etc/kernel/header_postinst.d/dkms-involflt"),
];

/// Writes below `out` the files of the package as they are installed, with fixed times and modes:
///
/// - `usr/src/involflt-<version>/`: what DKMS builds, with `involflt_core.o_shipped` and its checksum;
/// - `usr/lib/involflt/involflt-dkms`: builds and removes, for maintainer scripts;
/// - `etc/kernel/{postinst.d,header_postinst.d}/dkms-involflt`: Debian's kernel hooks, and of no use elsewhere.
///
/// The Rust object is made where the store has none, for which `any` kernel of the distribution tells the archive.
pub fn stage(farm: &Farm<'_>, any: &LockedKernel, out: &Path, said: &dyn Fn(&str)) -> Result<()> {
    remove(out)?;
    let source = out.join(format!("usr/src/involflt-{VERSION}"));
    farm.write_shipped(any, &source, said)?;
    write(&source.join("dkms.conf"), &rendered(CONF)?)?;
    for (template, to) in PROGRAMS {
        write(&out.join(to), &rendered(template)?)?;
    }
    fix(out, out)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).at_path(parent)?;
    }
    fs::write(path, text).at_path(path)
}

/// A variable that a template names and nobody sets is an error.
fn rendered(template: &str) -> Result<String> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment
        .render_str(template, minijinja::context! { version => VERSION })
        .map_err(|error| Error::input(format!("dkms/: {error:#}")))
}

/// Gives everything below `path` the modes of a package and the time 0, children first.
fn fix(path: &Path, out: &Path) -> Result<()> {
    let directory = path.is_dir();
    if directory {
        for entry in fs::read_dir(path).at_path(path)? {
            fix(&entry.at_path(path)?.path(), out)?;
        }
    }
    let program = PROGRAMS.iter().any(|(_, to)| out.join(to) == path);
    let mode = if directory || program { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode)).at_path(path)?;
    let epoch = SystemTime::UNIX_EPOCH;
    let times = FileTimes::new().set_accessed(epoch).set_modified(epoch);
    File::open(path).and_then(|file| file.set_times(times)).at_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_shell_variables_are_left_alone() {
        let conf = rendered(CONF).unwrap();
        assert!(conf.contains(&format!("PACKAGE_VERSION=\"{VERSION}\"\n")), "{conf}");
        assert!(conf.contains("${INVOLFLT_REBUILD_RUST:-0}"), "{conf}");
        assert!(rendered(PROGRAM).unwrap().contains(&format!("\nversion=\"{VERSION}\"\n")));
    }
}
