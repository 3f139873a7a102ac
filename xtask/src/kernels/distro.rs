// SPDX-License-Identifier: GPL-2.0-only
//! What is known of each distribution before its archive is asked: releases, pockets, where the archive is.

use super::release::UBUNTU_FLAVOURS;
use super::repositories::{ALMA, CENTOS_STREAM, LEAP, ORACLE, RHEL, ROCKY, RepositoryPath, SLES, TUMBLEWEED};

/// A distribution whose archive can be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Distro {
    /// Name in `kernels.yaml` and in the select language.
    pub name: &'static str,
    /// Releases, oldest first.
    pub releases: &'static [Release],
    /// Where the archive is when neither `kernels.yaml` nor the host's apt says.
    pub mirror: &'static str,
    /// What the archive is.
    pub archive: Archive,
    /// Keys that sign the archive.
    pub keyring: &'static str,
    /// The package, of the distribution itself, that installs the keyring.
    pub keyring_package: &'static str,
}

/// How an archive is read.
#[derive(Debug, PartialEq, Eq)]
pub enum Archive {
    /// By apt.
    Apt {
        /// The flavours there are; empty where each ends in its architecture.
        flavours: &'static [&'static str],
        /// Where the security archive is when neither `kernels.yaml` nor the host's apt says.
        security_mirror: &'static str,
    },
    /// As rpm-md repositories.
    RpmMd {
        /// Names and places of the kernel's packages.
        layout: Layout,
        /// Paths below the mirror.
        repositories: &'static [RepositoryPath],
    },
}

/// How a family of rpm distributions names the packages of a kernel, and where it puts their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `kernel-FLAVOUR-devel`, in `/usr/src/linux-VERSION-obj/ARCH/FLAVOUR`.
    Suse,
    /// `kernel-devel`, in `/usr/src/kernels/RELEASE`.
    RedHat,
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

/// Parts of a release's archive that are added to the release while it is supported.
const POCKETS: [&str; 3] = ["updates", "security", "backports"];

/// Parts that Ubuntu Pro adds afterwards, in an archive of its own.
const PRO_POCKETS: [&str; 2] = ["infra-security", "infra-updates"];
/// That archive. (ubuntu-pro-client, `entitlements`.)
pub const PRO_MIRROR: &str = "https://esm.ubuntu.com/infra/ubuntu";
/// Its keys, as ubuntu-pro-client installs them.
pub const PRO_KEYRING: &str = "/usr/share/keyrings/ubuntu-pro-esm-infra.gpg";

const fn stable(name: &'static str) -> Release {
    Release { name, root: name, pockets: true }
}

const fn rolling(name: &'static str) -> Release {
    Release { name, root: "sid", pockets: false }
}

/// A release that is a suite of its own, and has a build root of its own.
const fn single(name: &'static str) -> Release {
    Release { name, root: name, pockets: false }
}

const fn rpm_md(layout: Layout, repositories: &'static [RepositoryPath]) -> Archive {
    Archive::RpmMd { layout, repositories }
}

/// Every distribution, in the order of [`super::FAMILIES`].
pub const DISTROS: &[Distro] = &[
    Distro {
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
        archive: Archive::Apt { flavours: &[], security_mirror: "http://deb.debian.org/debian-security" },
        keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
        keyring_package: "debian-archive-keyring",
    },
    Distro {
        name: "ubuntu",
        releases: &[
            stable("xenial"),
            stable("bionic"),
            stable("focal"),
            stable("jammy"),
            stable("noble"),
            stable("questing"),
            stable("resolute"),
        ],
        mirror: "http://archive.ubuntu.com/ubuntu",
        // It has the security suites as well, and with them all packages of a kernel.
        archive: Archive::Apt { flavours: &UBUNTU_FLAVOURS, security_mirror: "http://archive.ubuntu.com/ubuntu" },
        keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        keyring_package: "ubuntu-keyring",
    },
    Distro {
        name: "sles",
        releases: &[
            single("12-sp3"),
            single("12-sp4"),
            single("12-sp5"),
            single("15"),
            single("15-sp1"),
            single("15-sp2"),
            single("15-sp3"),
            single("15-sp4"),
            single("15-sp5"),
            single("15-sp6"),
            single("15-sp7"),
            single("16.0"),
        ],
        mirror: "https://updates.suse.com/SUSE",
        archive: rpm_md(Layout::Suse, SLES),
        keyring: "/usr/lib/rpm/gnupg/keys/suse-build-key.asc",
        keyring_package: "suse-build-key",
    },
    Distro {
        name: "opensuse-leap",
        releases: &[single("15.5"), single("15.6"), single("16.0")],
        mirror: "https://download.opensuse.org",
        archive: rpm_md(Layout::Suse, LEAP),
        keyring: "/usr/lib/rpm/gnupg/keys/openSUSE.asc",
        keyring_package: "openSUSE-build-key",
    },
    Distro {
        name: "opensuse-tumbleweed",
        releases: &[single("tumbleweed")],
        mirror: "https://download.opensuse.org",
        archive: rpm_md(Layout::Suse, TUMBLEWEED),
        keyring: "/usr/lib/rpm/gnupg/keys/openSUSE.asc",
        keyring_package: "openSUSE-build-key",
    },
    Distro {
        name: "rhel",
        releases: &[
            single("8.4"),
            single("8.5"),
            single("8.6"),
            single("8.7"),
            single("8.8"),
            single("8.9"),
            single("8.10"),
            single("9.0"),
            single("9.1"),
            single("9.2"),
            single("9.3"),
            single("9.4"),
            single("9.5"),
            single("9.6"),
            single("9.7"),
            single("10.0"),
            single("10.1"),
        ],
        mirror: "https://cdn.redhat.com/content",
        archive: rpm_md(Layout::RedHat, RHEL),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-redhat-release",
        keyring_package: "redhat-release",
    },
    Distro {
        name: "centos-stream",
        releases: &[single("9"), single("10")],
        mirror: "https://mirror.stream.centos.org",
        archive: rpm_md(Layout::RedHat, CENTOS_STREAM),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-centosofficial",
        keyring_package: "centos-gpg-keys",
    },
    Distro {
        name: "alma",
        releases: &[single("8"), single("9"), single("10")],
        mirror: "https://repo.almalinux.org/almalinux",
        archive: rpm_md(Layout::RedHat, ALMA),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-AlmaLinux",
        keyring_package: "almalinux-gpg-keys",
    },
    Distro {
        name: "rocky",
        releases: &[single("8"), single("9"), single("10")],
        mirror: "https://dl.rockylinux.org/pub/rocky",
        archive: rpm_md(Layout::RedHat, ROCKY),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-Rocky",
        keyring_package: "rocky-gpg-keys",
    },
    Distro {
        name: "oracle",
        releases: &[single("8"), single("9"), single("10")],
        mirror: "https://yum.oracle.com",
        archive: rpm_md(Layout::RedHat, ORACLE),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-oracle",
        keyring_package: "oraclelinux-release",
    },
];

/// Architectures, by Debian's names.
pub const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

impl Distro {
    /// The public security archive; empty where there is none.
    pub fn security_mirror(&self) -> &'static str {
        match self.archive {
            Archive::Apt { security_mirror, .. } => security_mirror,
            Archive::RpmMd { .. } => "",
        }
    }

    /// Names and places of the packages of its kernels, where these are rpms.
    pub fn layout(&self) -> Option<Layout> {
        match self.archive {
            Archive::Apt { .. } => None,
            Archive::RpmMd { layout, .. } => Some(layout),
        }
    }

    /// The distribution of that name.
    pub fn find(name: &str) -> Option<&'static Distro> {
        DISTROS.iter().find(|distro| distro.name == name)
    }

    /// The release that a suite belongs to: `trixie` for `trixie` and `trixie-backports`.
    pub fn release_of(&self, suite: &str) -> Option<&'static Release> {
        let releases = DISTROS.iter().find(|distro| distro.name == self.name)?.releases;
        releases.iter().find(|release| {
            let pocket = suite.strip_prefix(release.name).and_then(|rest| rest.strip_prefix('-'));
            suite == release.name || (release.pockets && pocket.is_some_and(|pocket| self.pockets().contains(&pocket)))
        })
    }

    /// Parts of its archives, apart from the releases themselves.
    pub fn pockets(&self) -> Vec<&'static str> {
        let pro = if self.name == "ubuntu" { &PRO_POCKETS[..] } else { &[] };
        [&POCKETS, pro].concat()
    }
}

/// Whether a suite lives in the security archive.
pub fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") && !is_pro(suite)
}

/// Whether a suite lives in the archive of Ubuntu Pro.
pub fn is_pro(suite: &str) -> bool {
    PRO_POCKETS.iter().any(|pocket| suite.ends_with(&format!("-{pocket}")))
}
