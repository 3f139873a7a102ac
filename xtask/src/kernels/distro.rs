// SPDX-License-Identifier: GPL-2.0-only
//! What is known of each distribution before its archive is asked: releases, pockets, where the archive is.

use super::release::UBUNTU_FLAVOURS;
use super::repositories::{
    ALMA, AMAZON, AZURE_LINUX, CENTOS_STREAM, LEAP, ORACLE, RHEL, ROCKY, RepositoryPath, SLES, TUMBLEWEED,
};
use crate::rpm_signature::Signers;
use std::path::Path;

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
        /// What its index is believed for.
        trust: Trust,
        /// Where releases are that have left the mirror; empty where none has.
        vault: &'static str,
        /// Paths below the mirror or the vault.
        repositories: &'static [RepositoryPath],
    },
}

/// What the index of an rpm-md repository is believed for. Whatever it is, each rpm needs a good signature of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// `repomd.xml` has a detached signature, `repomd.xml.asc`.
    Repomd,
    /// The vendor signs packages only, or not every repository: the index has to come by https.
    Tls,
}

/// How a family of rpm distributions names the packages of a kernel, and where it puts their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `kernel-FLAVOUR-devel`, in `/usr/src/linux-VERSION-obj/ARCH/FLAVOUR`.
    Suse,
    /// `kernel-devel`, in `/usr/src/kernels/RELEASE`.
    RedHat,
    /// `kernel-devel`, in `/usr/src/linux-headers-RELEASE`.
    Azure,
}

/// A release of a distribution.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// Code name, which is also its first suite.
    pub name: &'static str,
    /// Release whose build root and compiler are used.
    pub root: &'static str,
    /// Parts of its archive that are suites of their own: `bookworm-security`, `15-sp3-ltss`. Rolling suites have none.
    pub pockets: &'static [&'static str],
}

/// Parts of a release's archive that are added to the release while it is supported.
const POCKETS: [&str; 3] = ["updates", "security", "backports"];

/// The same of Ubuntu, with those that Ubuntu Pro adds afterwards, in an archive of its own.
const UBUNTU_POCKETS: [&str; 5] = [POCKETS[0], POCKETS[1], POCKETS[2], PRO_POCKETS[0], PRO_POCKETS[1]];
const PRO_POCKETS: [&str; 2] = ["infra-security", "infra-updates"];
/// That archive. (ubuntu-pro-client, `entitlements`.)
pub const PRO_MIRROR: &str = "https://esm.ubuntu.com/infra/ubuntu";
/// Its keys, as ubuntu-pro-client installs them.
pub const PRO_KEYRING: &str = "/usr/share/keyrings/ubuntu-pro-esm-infra.gpg";

const fn stable(name: &'static str) -> Release {
    Release { name, root: name, pockets: &POCKETS }
}

const fn ubuntu(name: &'static str) -> Release {
    Release { name, root: name, pockets: &UBUNTU_POCKETS }
}

/// One that a vendor goes on supporting for those who subscribe to it.
const fn long(name: &'static str, pockets: &'static [&'static str]) -> Release {
    Release { name, root: name, pockets }
}

const fn rolling(name: &'static str) -> Release {
    Release { name, root: "sid", pockets: &[] }
}

/// A release that is a suite of its own, and has a build root of its own.
const fn single(name: &'static str) -> Release {
    Release { name, root: name, pockets: &[] }
}

/// SUSE signs every repository.
const fn suse(repositories: &'static [RepositoryPath]) -> Archive {
    Archive::RpmMd { layout: Layout::Suse, trust: Trust::Repomd, vault: "", repositories }
}

/// Red Hat's CDN has no signature of any `repomd.xml`, and its rebuilds' `.repo` files ask for none.
const fn red_hat(vault: &'static str, repositories: &'static [RepositoryPath]) -> Archive {
    Archive::RpmMd { layout: Layout::RedHat, trust: Trust::Tls, vault, repositories }
}

/// Releases with long term support, which goes on where general support ends.
const LTSS: &[&str] = &["ltss"];

/// Releases of Red Hat's rebuilds: a major is the newest minor of it, the others are in the vault.
const REBUILDS: &[Release] = &[
    single("8"),
    single("8.4"),
    single("8.5"),
    single("8.6"),
    single("8.7"),
    single("8.8"),
    single("8.9"),
    single("9"),
    single("9.0"),
    single("9.1"),
    single("9.2"),
    single("9.3"),
    single("9.4"),
    single("9.5"),
    single("9.6"),
    single("9.7"),
    single("10"),
    single("10.0"),
    single("10.1"),
];

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
            ubuntu("xenial"),
            ubuntu("bionic"),
            ubuntu("focal"),
            ubuntu("jammy"),
            ubuntu("noble"),
            ubuntu("questing"),
            ubuntu("resolute"),
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
            long("12-sp3", LTSS),
            long("12-sp4", LTSS),
            long("12-sp5", LTSS),
            long("15", LTSS),
            long("15-sp1", LTSS),
            long("15-sp2", LTSS),
            long("15-sp3", LTSS),
            long("15-sp4", LTSS),
            long("15-sp5", LTSS),
            long("15-sp6", LTSS),
            single("15-sp7"),
            single("16.0"),
        ],
        mirror: "https://updates.suse.com/SUSE",
        archive: suse(SLES),
        keyring: "/usr/lib/rpm/gnupg/keys/suse-build-key.asc",
        keyring_package: "suse-build-key",
    },
    Distro {
        name: "opensuse-leap",
        releases: &[single("15.5"), single("15.6"), single("16.0")],
        mirror: "https://download.opensuse.org",
        archive: suse(LEAP),
        keyring: "/usr/lib/rpm/gnupg/keys/openSUSE.asc",
        keyring_package: "openSUSE-build-key",
    },
    Distro {
        name: "opensuse-tumbleweed",
        releases: &[single("tumbleweed")],
        mirror: "https://download.opensuse.org",
        archive: suse(TUMBLEWEED),
        keyring: "/usr/lib/rpm/gnupg/keys/openSUSE.asc",
        keyring_package: "openSUSE-build-key",
    },
    Distro {
        name: "rhel",
        releases: &[
            long("8.0", &["e4s"]),
            long("8.1", &["eus", "e4s"]),
            long("8.2", &["eus", "e4s", "aus"]),
            single("8.3"),
            long("8.4", &["eus", "e4s", "aus"]),
            single("8.5"),
            long("8.6", &["eus", "e4s", "aus"]),
            single("8.7"),
            long("8.8", &["eus", "e4s"]),
            single("8.9"),
            single("8.10"),
            long("9.0", &["eus", "e4s"]),
            single("9.1"),
            long("9.2", &["eus", "e4s"]),
            single("9.3"),
            long("9.4", &["eus", "e4s"]),
            single("9.5"),
            long("9.6", &["eus", "e4s"]),
            single("9.7"),
            long("9.8", &["eus", "e4s"]),
            long("10.0", &["eus", "e4s"]),
            single("10.1"),
            long("10.2", &["eus", "e4s"]),
        ],
        mirror: "https://cdn.redhat.com/content",
        archive: red_hat("", RHEL),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-redhat-release",
        keyring_package: "redhat-release",
    },
    Distro {
        name: "centos-stream",
        releases: &[single("9"), single("10")],
        mirror: "https://mirror.stream.centos.org",
        archive: red_hat("", CENTOS_STREAM),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-centosofficial",
        keyring_package: "centos-gpg-keys",
    },
    Distro {
        name: "alma",
        releases: REBUILDS,
        mirror: "https://repo.almalinux.org/almalinux",
        archive: red_hat("https://vault.almalinux.org", ALMA),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-AlmaLinux",
        keyring_package: "almalinux-gpg-keys",
    },
    Distro {
        name: "rocky",
        releases: REBUILDS,
        mirror: "https://dl.rockylinux.org/pub/rocky",
        archive: red_hat("https://dl.rockylinux.org/vault/rocky", ROCKY),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-Rocky",
        keyring_package: "rocky-gpg-keys",
    },
    Distro {
        name: "oracle",
        releases: &[single("8"), single("9"), single("10")],
        mirror: "https://yum.oracle.com",
        archive: red_hat("", ORACLE),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-oracle",
        keyring_package: "oraclelinux-release",
    },
    Distro {
        name: "amazon",
        releases: &[single("2023")],
        mirror: "https://cdn.amazonlinux.com",
        archive: red_hat("", AMAZON),
        keyring: "/etc/pki/rpm-gpg/RPM-GPG-KEY-amazon-linux-2023",
        keyring_package: "system-release",
    },
    Distro {
        name: "azure-linux",
        releases: &[single("3")],
        mirror: "https://packages.microsoft.com",
        archive: Archive::RpmMd { layout: Layout::Azure, trust: Trust::Repomd, vault: "", repositories: AZURE_LINUX },
        keyring: "/etc/pki/rpm-gpg/MICROSOFT-RPM-GPG-KEY",
        keyring_package: "azurelinux-repos-shared",
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

    /// What its archive's index is.
    pub fn index(&self) -> &'static str {
        match self.archive {
            Archive::Apt { .. } => "apt",
            Archive::RpmMd { .. } => "rpm-md",
        }
    }

    /// What its archive is believed for, in the words of a listing.
    pub fn trust(&self) -> &'static str {
        match self.archive {
            Archive::Apt { .. } => "InRelease signed, and by it each package's checksum",
            Archive::RpmMd { trust: Trust::Repomd, .. } => "repomd.xml signed, and each rpm's own signature",
            Archive::RpmMd { trust: Trust::Tls, .. } => "TLS, and each rpm's own signature",
        }
    }

    /// Names and places of the packages of its kernels, where these are rpms.
    pub fn layout(&self) -> Option<Layout> {
        match self.archive {
            Archive::Apt { .. } => None,
            Archive::RpmMd { layout, .. } => Some(layout),
        }
    }

    /// Who signs its rpms: the keys of `keyring`, or the vendor's own. Debs have no signature of their own.
    pub fn signers<'a>(&self, keyring: Option<&'a Path>) -> Option<Signers<'a>> {
        let (own, keyring_package) = (Path::new(self.keyring), self.keyring_package);
        self.layout().map(|_| Signers { keyring: keyring.unwrap_or(own), keyring_package })
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
            suite == release.name || pocket.is_some_and(|pocket| release.pockets.contains(&pocket))
        })
    }

    /// Parts of its archives, apart from the releases themselves.
    pub fn pockets(&self) -> Vec<&'static str> {
        // Selectors name the first of these where they say nothing, whatever their distribution has.
        let mut pockets = POCKETS.to_vec();
        for pocket in self.releases.iter().flat_map(|release| release.pockets) {
            if !pockets.contains(pocket) {
                pockets.push(pocket);
            }
        }
        pockets
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
