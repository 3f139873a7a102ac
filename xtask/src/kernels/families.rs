// SPDX-License-Identifier: GPL-2.0-only
//! Every family of distributions that kernels are meant to come from: where, in which packages, and what access it takes.

use super::Distro;
use serde::Serialize;

/// A family, as data.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Family {
    /// Name in the select language.
    pub name: &'static str,
    /// Packages with headers and build system; `FLAVOUR` and `RELEASE` stand for the kernel's.
    pub packages: &'static [&'static str],
    /// Where these put the kernel's build directory.
    pub kdir: &'static str,
    /// What reading the archive takes.
    pub access: &'static str,
    /// Public container images to build in, of releases that begin so; `RELEASE` stands for the release with a dot before the
    /// service pack, `MAJOR` for what is before its dot.
    pub images: &'static [(&'static str, &'static str)],
}

impl Family {
    /// Its releases, oldest first.
    pub fn releases(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.distro().releases.iter().map(|release| release.name)
    }

    /// The image of a release.
    pub fn image_of(&self, release: &str) -> Option<String> {
        let (_, image) = self.images.iter().find(|(start, _)| release.starts_with(start))?;
        let release = release.replace("-sp", ".");
        let major = release.split('.').next().unwrap_or_default();
        Some(image.replace("RELEASE", &release).replace("MAJOR", major))
    }

    /// How its archive is read.
    pub fn distro(&self) -> &'static Distro {
        Distro::find(self.name).expect("every family is a distribution that is resolved")
    }
}

const SUSE: [&str; 1] = ["kernel-FLAVOUR-devel"];
const SUSE_KDIR: &str = "/usr/src/linux-VERSION-obj/ARCH/FLAVOUR";
const RED_HAT: [&str; 1] = ["kernel-devel"];
const RED_HAT_KDIR: &str = "/usr/src/kernels/RELEASE";
const HEADERS_KDIR: &str = "/usr/src/linux-headers-RELEASE";

/// Every family, by the name of its vendor.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "debian",
        packages: &["linux-headers-RELEASE", "linux-headers-VERSION-common", "linux-kbuild-VERSION"],
        kdir: HEADERS_KDIR,
        access: "public",
        images: &[("", "docker.io/library/debian:RELEASE")],
    },
    Family {
        name: "ubuntu",
        packages: &["linux-headers-RELEASE", "linux-headers-VERSION (linux-azure-headers-VERSION and the like)"],
        kdir: HEADERS_KDIR,
        access: "public; after standard support an Ubuntu Pro token, `pockets: [infra-security, infra-updates]`",
        images: &[("", "docker.io/library/ubuntu:RELEASE")],
    },
    Family {
        name: "sles",
        packages: &SUSE,
        kdir: SUSE_KDIR,
        access: "SUSE Customer Center credentials; after general support those of an LTSS subscription, `pockets: [ltss]`",
        images: &[
            ("12-sp3", "registry.suse.com/suse/sles12sp3"),
            ("12-sp4", "registry.suse.com/suse/sles12sp4"),
            ("12-sp5", "registry.suse.com/suse/sles12sp5"),
            // Before the images for building modules there were those of the distribution alone.
            ("15-sp1", "registry.suse.com/suse/sle15:RELEASE"),
            ("15-sp4", "registry.suse.com/suse/sle15:RELEASE"),
            ("15-sp2", "registry.suse.com/suse/sle15:RELEASE"),
            ("15-sp3", "registry.suse.com/suse/sle15:RELEASE"),
            ("15-sp", "registry.suse.com/bci/bci-sle15-kernel-module-devel:RELEASE"),
            ("15", "registry.suse.com/suse/sle15:15.0"),
            ("16", "registry.suse.com/bci/bci-sle16-kernel-module-devel:RELEASE"),
        ],
    },
    Family {
        name: "opensuse-leap",
        packages: &SUSE,
        kdir: SUSE_KDIR,
        access: "public",
        images: &[("", "registry.opensuse.org/opensuse/leap:RELEASE")],
    },
    Family {
        name: "opensuse-tumbleweed",
        packages: &SUSE,
        kdir: SUSE_KDIR,
        access: "public",
        images: &[("", "registry.opensuse.org/opensuse/tumbleweed")],
    },
    Family {
        name: "rhel",
        packages: &RED_HAT,
        kdir: RED_HAT_KDIR,
        access: "a subscription's RHSM client certificate; for a minor's updates after its six months one of EUS, of SAP's Update \
                 Services or of AUS: `pockets: [eus]`, `[e4s]`, `[aus]`",
        images: &[
            ("9.0", "registry.access.redhat.com/ubi9/ubi:9.0.0"),
            ("", "registry.access.redhat.com/ubiMAJOR/ubi:RELEASE"),
        ],
    },
    Family {
        name: "centos-stream",
        packages: &RED_HAT,
        kdir: RED_HAT_KDIR,
        access: "public",
        images: &[("", "quay.io/centos/centos:streamRELEASE")],
    },
    Family {
        name: "alma",
        packages: &RED_HAT,
        kdir: RED_HAT_KDIR,
        access: "public; minors before the newest in vault.almalinux.org",
        images: &[("", "docker.io/library/almalinux:RELEASE")],
    },
    Family {
        name: "rocky",
        packages: &RED_HAT,
        kdir: RED_HAT_KDIR,
        access: "public; minors before the newest in the vault of dl.rockylinux.org",
        images: &[("", "docker.io/rockylinux/rockylinux:RELEASE")],
    },
    Family {
        name: "oracle",
        packages: &["kernel-uek-devel", "kernel-devel"],
        kdir: RED_HAT_KDIR,
        access: "public (yum.oracle.com)",
        images: &[("", "docker.io/library/oraclelinux:RELEASE")],
    },
    Family {
        name: "amazon",
        packages: &RED_HAT,
        kdir: RED_HAT_KDIR,
        access: "public, through its mirror list",
        images: &[("", "public.ecr.aws/amazonlinux/amazonlinux:RELEASE")],
    },
    Family {
        name: "azure-linux",
        packages: &RED_HAT,
        kdir: "/usr/src/linux-headers-RELEASE",
        access: "public (packages.microsoft.com)",
        images: &[("", "mcr.microsoft.com/azurelinux/base/core:RELEASE.0")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::DISTROS;

    #[test]
    fn every_family_is_resolved() {
        let names: Vec<_> = FAMILIES.iter().map(|family| family.distro().name).collect();
        assert_eq!(names, DISTROS.iter().map(|distro| distro.name).collect::<Vec<_>>());
    }

    #[test]
    fn the_image_of_a_release_is_named_as_its_vendor_does() {
        let image = |family: &str, release: &str| {
            FAMILIES.iter().find(|one| one.name == family).unwrap().image_of(release).unwrap()
        };
        assert_eq!(image("sles", "12-sp5"), "registry.suse.com/suse/sles12sp5");
        assert_eq!(image("sles", "15"), "registry.suse.com/suse/sle15:15.0");
        assert_eq!(image("sles", "15-sp2"), "registry.suse.com/suse/sle15:15.2");
        assert_eq!(image("sles", "15-sp6"), "registry.suse.com/bci/bci-sle15-kernel-module-devel:15.6");
        assert_eq!(image("sles", "16.0"), "registry.suse.com/bci/bci-sle16-kernel-module-devel:16.0");
        assert_eq!(image("rhel", "8.10"), "registry.access.redhat.com/ubi8/ubi:8.10");
        assert_eq!(image("azure-linux", "3"), "mcr.microsoft.com/azurelinux/base/core:3.0");
        let all = FAMILIES.iter().all(|family| family.releases().all(|release| family.image_of(release).is_some()));
        assert!(all);
    }

    #[test]
    fn every_family_whose_kernels_are_known_by_name_is_declared() {
        for line in include_str!("testdata/kernel-releases.tsv").lines().filter(|line| !line.starts_with('#')) {
            let name = line.split('\t').next().unwrap();
            assert!(FAMILIES.iter().any(|family| family.name == name), "{name}");
        }
    }
}
