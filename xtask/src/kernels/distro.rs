// SPDX-License-Identifier: GPL-2.0-only
//! What is known of each distribution before its archive is asked: releases, pockets, where the archive is.

/// A distribution whose archive can be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Distro {
    /// Name in `kernels.yaml` and in the select language.
    pub name: &'static str,
    /// Releases, oldest first.
    pub releases: &'static [Release],
    /// Where the archive is when neither `kernels.yaml` nor the host's apt says.
    pub mirror: &'static str,
    /// The same, for the security archive.
    pub security_mirror: &'static str,
    /// Keys that sign the archive.
    pub keyring: &'static str,
    /// The package that installs the keyring.
    pub keyring_package: &'static str,
}

/// A release of a distribution.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// Code name, which is also its first suite.
    pub name: &'static str,
    /// Release whose build root and compiler are used.
    pub root: &'static str,
    /// Whether there are suites for pockets (`bookworm-security`); rolling suites have none.
    pub pockets: bool,
}

/// A part of a release's archive that is added to the release while it is supported.
pub const POCKETS: [&str; 3] = ["updates", "security", "backports"];

const fn stable(name: &'static str) -> Release {
    Release { name, root: name, pockets: true }
}

const fn rolling(name: &'static str) -> Release {
    Release { name, root: "sid", pockets: false }
}

/// Every distribution.
pub const DISTROS: &[Distro] = &[Distro {
    name: "debian",
    releases: &[
        stable("buster"),
        stable("bullseye"),
        stable("bookworm"),
        stable("trixie"),
        stable("forky"),
        stable("duke"),
        rolling("sid"),
        rolling("experimental"),
    ],
    mirror: "http://deb.debian.org/debian",
    security_mirror: "http://deb.debian.org/debian-security",
    keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
    keyring_package: "debian-archive-keyring",
}];

/// Architectures, by Debian's names.
pub const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

impl Distro {
    /// The distribution of that name.
    pub fn find(name: &str) -> Option<&'static Distro> {
        DISTROS.iter().find(|distro| distro.name == name)
    }

    /// The release that a suite belongs to: `trixie` for `trixie` and `trixie-backports`.
    pub fn release_of(&self, suite: &str) -> Option<&'static Release> {
        let releases = DISTROS.iter().find(|distro| distro.name == self.name)?.releases;
        releases.iter().find(|release| {
            let pocket = suite.strip_prefix(release.name).and_then(|rest| rest.strip_prefix('-'));
            suite == release.name || (release.pockets && pocket.is_some_and(|pocket| POCKETS.contains(&pocket)))
        })
    }
}

/// Whether a suite lives in the security archive.
pub fn is_security(suite: &str) -> bool {
    suite.ends_with("-security")
}
