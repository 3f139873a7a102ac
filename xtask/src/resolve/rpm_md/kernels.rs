// SPDX-License-Identifier: GPL-2.0-only
//! The kernels of an rpm-md repository: which packages belong to one, by the names that each family gives them.

use super::Package;
use crate::kernels::Layout;
use crate::lock::{LockedPackage, Role};
use crate::resolve::candidate::{Candidate, Found, Incomplete};

/// Where kernels are looked for.
pub struct Place<'a> {
    /// Names of packages.
    pub layout: Layout,
    /// `15-sp5`.
    pub suite: &'a str,
    /// Base URL.
    pub archive: &'a str,
    /// `default`.
    pub flavour: &'a str,
}

/// Names of the packages of a flavour.
struct Names {
    /// Headers and configuration of one kernel.
    devel: String,
    /// Headers that the flavours of an architecture share; Red Hat has none.
    common: Option<String>,
    /// The kernel itself.
    image: String,
}

impl Names {
    fn of(layout: Layout, flavour: &str) -> Names {
        match (layout, flavour) {
            (Layout::Suse, "default") => Self::suse(flavour, "kernel-devel"),
            (Layout::Suse, _) => Self::suse(flavour, &format!("kernel-devel-{flavour}")),
            (Layout::RedHat | Layout::Azure, "default") => {
                Names { devel: "kernel-devel".into(), common: None, image: "kernel-core".into() }
            }
            (Layout::RedHat, "uek") => {
                Names { devel: "kernel-uek-devel".into(), common: None, image: "kernel-uek-core".into() }
            }
            (Layout::RedHat | Layout::Azure, _) => Names {
                devel: format!("kernel-{flavour}-devel"),
                common: None,
                image: format!("kernel-{flavour}-core"),
            },
        }
    }

    fn suse(flavour: &str, common: &str) -> Names {
        Names {
            devel: format!("kernel-{flavour}-devel"),
            common: Some(common.into()),
            image: format!("kernel-{flavour}"),
        }
    }
}

/// Whether a package can be a part of a kernel of any flavour.
pub fn is_kernel_package(name: &str) -> bool {
    name.starts_with("kernel-")
}

/// Finds the kernels of one flavour.
pub fn find(place: &Place<'_>, packages: &[Package]) -> Found {
    let names = Names::of(place.layout, place.flavour);
    let mut found = Found::default();
    for devel in packages.iter().filter(|package| package.name == names.devel && package.arch == "x86_64") {
        let kernel = kernel_release(place, devel);
        let same = |name: &str| {
            let same = |other: &&Package| {
                other.name == name && (&other.version, &other.release) == (&devel.version, &devel.release)
            };
            packages.iter().find(same)
        };
        let version = format!("{}-{}", devel.version, devel.release);
        let mut parts = vec![locked(Role::Kdir, devel)];
        if let Some(common) = &names.common {
            let Some(package) = same(common) else {
                found.incomplete.push(Incomplete {
                    suite: place.suite.into(),
                    flavour: place.flavour.into(),
                    kernel,
                    version,
                    source_name: "linux".into(),
                    missing: common.clone(),
                });
                continue;
            };
            parts.push(locked(Role::Kdir, package));
        }
        // A build does not need it, so a repository without it is none the worse.
        parts.extend(same(&names.image).map(|image| locked(Role::Image, image)));
        found.kernels.push(Candidate {
            suite: place.suite.into(),
            archive: place.archive.into(),
            flavour: place.flavour.into(),
            kernel,
            version,
            source_name: "linux".into(),
            packages: parts,
            source: None,
            compiler: None,
        });
    }
    found
}

/// As `uname -r` prints it. SUSE counts rebuilds at the end of a package's release, and provides the package also
/// without that count, which is what the kernel is called; Red Hat provides `kernel-devel-uname-r`.
fn kernel_release(place: &Place<'_>, devel: &Package) -> String {
    let Package { name, version, release, provides, .. } = devel;
    match place.layout {
        Layout::Suse => {
            let own = provides.iter().filter(|(provided, _)| provided == name).map(|(_, version)| version.as_str());
            let full = format!("{version}-{release}");
            let short = own.filter(|version| full.starts_with(version)).min_by_key(|version| version.len());
            format!("{}-{}", short.unwrap_or(&full), place.flavour)
        }
        Layout::Azure => format!("{version}-{release}"),
        Layout::RedHat => {
            let uname = provides.iter().find(|(provided, _)| *provided == format!("{name}-uname-r"));
            uname.map_or_else(|| format!("{version}-{release}.{}", devel.arch), |(_, version)| version.clone())
        }
    }
}

fn locked(role: Role, package: &Package) -> LockedPackage {
    LockedPackage {
        role,
        name: package.name.clone(),
        version: format!("{}-{}", package.version, package.release),
        path: package.path.clone(),
        size: package.size,
        sha256: package.sha256.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, arch: &str, release: &str, provides: &[(&str, &str)]) -> Package {
        Package {
            name: name.into(),
            arch: arch.into(),
            version: "5.14.21".into(),
            release: release.into(),
            path: format!("{arch}/{name}.rpm"),
            size: 1,
            sha256: "00".into(),
            provides: provides.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect(),
        }
    }

    fn place(layout: Layout, flavour: &str) -> Place<'_> {
        Place { layout, suite: "15-sp5", archive: "http://a", flavour }
    }

    #[test]
    fn a_rebuild_of_suse_has_the_name_of_its_kernel() {
        let own = ("kernel-default-devel", "5.14.21-150500.55.88.1");
        let short = ("kernel-default-devel", "5.14.21-150500.55.88");
        let devel = package("kernel-default-devel", "x86_64", "150500.55.88.1", &[own, short]);
        let common = package("kernel-devel", "noarch", "150500.55.88.1", &[]);
        let found = find(&place(Layout::Suse, "default"), &[devel.clone(), common]);
        assert_eq!(found.kernels[0].kernel, "5.14.21-150500.55.88-default");
        assert_eq!(found.kernels[0].packages.len(), 2);
        let alone = find(&place(Layout::Suse, "default"), &[devel]);
        assert_eq!(alone.incomplete[0].missing, "kernel-devel");
    }

    #[test]
    fn red_hats_kernel_is_named_by_what_its_headers_provide() {
        let uname = ("kernel-devel-uname-r", "5.14.0-284.86.1.el9_2.x86_64");
        let devel = package("kernel-devel", "x86_64", "284.86.1.el9_2", &[uname]);
        let other = package("kernel-rt-devel", "x86_64", "284.86.1.el9_2", &[]);
        let found = find(&place(Layout::RedHat, "default"), &[devel, other]);
        let names: Vec<&str> = found.kernels.iter().map(|kernel| kernel.kernel.as_str()).collect();
        assert_eq!(names, ["5.14.0-284.86.1.el9_2.x86_64"]);
    }
}
