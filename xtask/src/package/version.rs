// SPDX-License-Identifier: GPL-2.0-only
//! Versions of packages, so that a newer driver, a rebuild, a newer kernel and a newer distribution each count as newer.
//!
//! Debian: `0.1.0-1~deb12+k6.1.176.1` is driver, packaging revision, release, kernel package. A release's number goes
//! behind a tilde, as Debian's own stable updates have it: a newer release is newer, and none (sid) is the newest.
//! RPM: version `0.1.0_k6.1.176.1`, as SUSE's module packages have it, and release `1`.

use crate::lock::{LockedKernel, Role};

/// The driver's version.
pub const DRIVER: &str = env!("CARGO_PKG_VERSION");
/// Counted up when packages are made anew from the same driver.
pub const REVISION: &str = "1";

/// Version of a Debian package that is the same for every release.
pub fn deb() -> String {
    format!("{DRIVER}-{REVISION}")
}

/// Version of a Debian package with modules for kernels up to `kernel`, a kernel package's version.
pub fn deb_modules(release: &str, kernel: &str) -> String {
    format!("{}{}+k{}", deb(), release_part(release), flat(kernel))
}

/// Version of an RPM with a module for a kernel package's version.
pub fn rpm_module(kernel: &str) -> String {
    format!("{DRIVER}_k{}", flat(kernel))
}

/// The version of the package that a kernel's headers come in.
pub fn of_kernel(kernel: &LockedKernel) -> &str {
    let headers = kernel.packages.iter().find(|package| package.role == Role::Kdir);
    headers.map_or(kernel.kernel.as_str(), |package| package.version.as_str())
}

/// A hyphen in a version ends the upstream part, so those of the kernel become dots.
fn flat(kernel: &str) -> String {
    kernel.replace('-', ".")
}

fn release_part(release: &str) -> &'static str {
    match release {
        "bullseye" => "~deb11",
        "bookworm" => "~deb12",
        "trixie" => "~deb13",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn older(one: &str, other: &str) {
        let status = Command::new("dpkg").args(["--compare-versions", one, "lt", other]).status().unwrap();
        assert!(status.success(), "{one} is not older than {other}");
    }

    #[test]
    fn newer_kernels_releases_rebuilds_and_drivers_are_newer() {
        let bookworm = deb_modules("bookworm", "6.1.176-1");
        assert_eq!(bookworm, format!("{DRIVER}-1~deb12+k6.1.176.1"));
        older(&bookworm, &deb_modules("bookworm", "6.1.180-1"));
        older(&bookworm, &deb_modules("bookworm", "6.12.117-1~bpo12+1"));
        older(&deb_modules("bookworm", "6.12.117-1~bpo12+1"), &deb_modules("trixie", "6.12.117-1"));
        older(&deb_modules("bookworm", "7.9-1"), &deb_modules("sid", "6.12.1-1"));
        older(&deb_modules("sid", "7.2.13-1"), "0.1.0-2~deb11+k5.10.1.1");
        older("0.1.0-9+k9", "0.2.0-1~deb11+k5");
    }

    #[test]
    fn no_version_has_a_second_hyphen() {
        assert_eq!(deb_modules("trixie", "7.3.4-1~bpo13+1").matches('-').count(), 1);
        assert!(!rpm_module("6.1.176-1").contains('-'));
    }
}
