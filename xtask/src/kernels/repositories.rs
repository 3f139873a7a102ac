// SPDX-License-Identifier: GPL-2.0-only
//! Where the repositories with the kernels of each rpm distribution are, below its mirror.
//!
//! Sources: the repository lists that SUSEConnect, subscription-manager and the distributions' own `.repo` files give.
//! What a site's own mirror has elsewhere is said by `repositories:` in `kernels.yaml`.

/// A repository of some releases and flavours.
#[derive(Debug, PartialEq, Eq)]
pub struct RepositoryPath {
    /// Beginnings of the releases that have it.
    releases: &'static [&'static str],
    /// Flavours whose kernels are in it.
    flavours: &'static [&'static str],
    /// Path; `RELEASE` stands for the release as the vendor writes it, `MAJOR` for the number before its dot.
    path: &'static str,
}

const fn path(
    releases: &'static [&'static str],
    flavours: &'static [&'static str],
    path: &'static str,
) -> RepositoryPath {
    RepositoryPath { releases, flavours, path }
}

const DEFAULT: &[&str] = &["default"];
const ANY: &[&str] = &[""];

/// SLES: what was released, and what came after.
pub const SLES: &[RepositoryPath] = &[
    path(&["15"], DEFAULT, "Products/SLE-Module-Basesystem/RELEASE/x86_64/product"),
    path(&["15"], DEFAULT, "Updates/SLE-Module-Basesystem/RELEASE/x86_64/update"),
    path(&["15"], &["azure"], "Products/SLE-Module-Public-Cloud/RELEASE/x86_64/product"),
    path(&["15"], &["azure"], "Updates/SLE-Module-Public-Cloud/RELEASE/x86_64/update"),
    path(&["15"], &["rt"], "Products/SLE-Module-RT/RELEASE/x86_64/product"),
    path(&["15"], &["rt"], "Updates/SLE-Module-RT/RELEASE/x86_64/update"),
    path(&["12"], &["default", "azure"], "Products/SLE-SERVER/RELEASE/x86_64/product"),
    path(&["12"], &["default", "azure"], "Updates/SLE-SERVER/RELEASE/x86_64/update"),
    path(&["16"], &["default", "azure", "rt"], "Products/SLES/RELEASE/x86_64/product"),
];
/// Leap, whose kernels are those of SLES.
pub const LEAP: &[RepositoryPath] =
    &[path(ANY, DEFAULT, "distribution/leap/RELEASE/repo/oss"), path(&["15"], DEFAULT, "update/leap/RELEASE/sle")];
/// Tumbleweed.
pub const TUMBLEWEED: &[RepositoryPath] = &[path(ANY, DEFAULT, "tumbleweed/repo/oss")];
/// RHEL: `kernel-devel` is in BaseOS of RHEL 8 and in AppStream from 9 on.
pub const RHEL: &[RepositoryPath] = &[
    path(&["8"], DEFAULT, "dist/rhelMAJOR/RELEASE/x86_64/baseos/os"),
    path(&["9", "10"], DEFAULT, "dist/rhelMAJOR/RELEASE/x86_64/appstream/os"),
    path(ANY, &["rt"], "dist/rhelMAJOR/RELEASE/x86_64/rt/os"),
];
/// CentOS Stream.
pub const CENTOS_STREAM: &[RepositoryPath] =
    &[path(ANY, DEFAULT, "RELEASE-stream/AppStream/x86_64/os"), path(ANY, &["rt"], "RELEASE-stream/RT/x86_64/os")];
/// AlmaLinux.
pub const ALMA: &[RepositoryPath] =
    &[path(&["8"], DEFAULT, "RELEASE/BaseOS/x86_64/os"), path(&["9", "10"], DEFAULT, "RELEASE/AppStream/x86_64/os")];
/// Rocky Linux.
pub const ROCKY: &[RepositoryPath] =
    &[path(&["8"], DEFAULT, "RELEASE/BaseOS/x86_64/os"), path(&["9", "10"], DEFAULT, "RELEASE/AppStream/x86_64/os")];
/// Oracle Linux's own kernel.
pub const ORACLE: &[RepositoryPath] = &[
    path(&["8", "9"], &["uek"], "repo/OracleLinux/OLRELEASE/UEKR7/x86_64"),
    path(&["10"], &["uek"], "repo/OracleLinux/OL10/UEKR8/x86_64"),
];

/// Paths of the repositories that have a release's kernels of one flavour.
pub fn paths(repositories: &[RepositoryPath], release: &str, flavour: &str) -> Vec<String> {
    let has = |one: &&RepositoryPath| {
        one.releases.iter().any(|start| release.starts_with(start)) && one.flavours.contains(&flavour)
    };
    repositories.iter().filter(has).map(|one| fill(one.path, release)).collect()
}

/// Puts a release into a path: SUSE writes `15-SP5`.
pub fn fill(path: &str, release: &str) -> String {
    let major = release.split(['.', '-']).next().unwrap_or(release);
    path.replace("MAJOR", major).replace("RELEASE", &release.to_ascii_uppercase())
}

/// The flavours that a release's repositories are known to have.
pub fn flavours(repositories: &[RepositoryPath], release: &str) -> Vec<&'static str> {
    let of = repositories.iter().filter(|one| one.releases.iter().any(|start| release.starts_with(start)));
    let mut flavours: Vec<_> = of.flat_map(|one| one.flavours.iter().copied()).collect();
    flavours.sort_unstable();
    flavours.dedup();
    flavours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_written_as_its_vendor_does() {
        assert_eq!(
            paths(SLES, "15-sp5", "azure"),
            [
                "Products/SLE-Module-Public-Cloud/15-SP5/x86_64/product",
                "Updates/SLE-Module-Public-Cloud/15-SP5/x86_64/update"
            ]
        );
        assert_eq!(paths(RHEL, "9.2", "default"), ["dist/rhel9/9.2/x86_64/appstream/os"]);
        assert_eq!(paths(RHEL, "8.10", "default"), ["dist/rhel8/8.10/x86_64/baseos/os"]);
        assert_eq!(paths(TUMBLEWEED, "tumbleweed", "default"), ["tumbleweed/repo/oss"]);
        assert_eq!(flavours(SLES, "15-sp5"), ["azure", "default", "rt"]);
    }
}
