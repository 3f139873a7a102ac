// SPDX-License-Identifier: GPL-2.0-only
//! Where the repositories with the kernels of each rpm distribution are, below its mirror.
//!
//! Sources: the repository lists that SUSEConnect, subscription-manager and the distributions' own `.repo` files give.
//! What a site's own mirror has elsewhere is said by `repositories:` in `kernels.yaml`.

/// A repository of some releases and flavours.
#[derive(Debug, PartialEq, Eq)]
pub struct RepositoryPath {
    /// Below which of the vendor's servers it is.
    server: Server,
    /// The part of a release's archive that it is, as in `pockets:`; empty for the release itself.
    pocket: &'static str,
    /// Releases that have it; `15*` are those whose names begin so.
    releases: &'static [&'static str],
    /// Flavours whose kernels are in it.
    flavours: &'static [&'static str],
    /// Path, perhaps behind `mirrorlist+`; `RELEASE` stands for the release as the vendor writes it, `MAJOR` for the number
    /// before its dot.
    path: &'static str,
}

/// A vendor's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The mirrors.
    Main,
    /// Where releases go when they leave the mirrors.
    Vault,
}

const fn path(
    releases: &'static [&'static str],
    flavours: &'static [&'static str],
    path: &'static str,
) -> RepositoryPath {
    RepositoryPath { server: Server::Main, pocket: "", releases, flavours, path }
}

const fn vault(releases: &'static [&'static str], path: &'static str) -> RepositoryPath {
    RepositoryPath { server: Server::Vault, pocket: "", releases, flavours: DEFAULT, path }
}

/// What a further subscription opens, for releases whose general support has ended.
const fn pocket(pocket: &'static str, releases: &'static [&'static str], path: &'static str) -> RepositoryPath {
    RepositoryPath { server: Server::Main, pocket, releases, flavours: DEFAULT, path }
}

const DEFAULT: &[&str] = &["default"];
const RT: &[&str] = &["rt"];
const UEK: &[&str] = &["uek"];
const ANY: &[&str] = &["*"];

/// Service packs of SLES 15 with Real Time, which the first release had not.
const RT_15: &[&str] = &["15-sp1", "15-sp2", "15-sp3", "15-sp4", "15-sp5", "15-sp6", "15-sp7"];
const RT_12: &[&str] = &["12-sp3", "12-sp4", "12-sp5"];

/// SLES: what was released, and what came after. Real Time is a product of its own for SLES 12 and a module of SLES 15.
pub const SLES: &[RepositoryPath] = &[
    path(&["15*"], DEFAULT, "Products/SLE-Module-Basesystem/RELEASE/x86_64/product"),
    path(&["15*"], DEFAULT, "Updates/SLE-Module-Basesystem/RELEASE/x86_64/update"),
    path(&["15*"], &["azure"], "Products/SLE-Module-Public-Cloud/RELEASE/x86_64/product"),
    path(&["15*"], &["azure"], "Updates/SLE-Module-Public-Cloud/RELEASE/x86_64/update"),
    path(RT_15, RT, "Products/SLE-Module-RT/RELEASE/x86_64/product"),
    path(RT_15, RT, "Updates/SLE-Module-RT/RELEASE/x86_64/update"),
    path(&["12*"], &["default", "azure"], "Products/SLE-SERVER/RELEASE/x86_64/product"),
    path(&["12*"], &["default", "azure"], "Updates/SLE-SERVER/RELEASE/x86_64/update"),
    path(RT_12, RT, "Products/SLE-RT/RELEASE/x86_64/product"),
    path(RT_12, RT, "Updates/SLE-RT/RELEASE/x86_64/update"),
    path(&["16*"], &["default", "azure", "rt"], "Products/SLE-Product-SLES/RELEASE/x86_64/product"),
    pocket("ltss", &["15*"], "Updates/SLE-Product-SLES/RELEASE-LTSS/x86_64/update"),
    pocket("ltss", &["12*"], "Updates/SLE-SERVER/RELEASE-LTSS/x86_64/update"),
];
/// Leap, whose kernels are those of SLES.
pub const LEAP: &[RepositoryPath] =
    &[path(ANY, DEFAULT, "distribution/leap/RELEASE/repo/oss"), path(&["15*"], DEFAULT, "update/leap/RELEASE/sle")];
/// Tumbleweed.
pub const TUMBLEWEED: &[RepositoryPath] = &[path(ANY, DEFAULT, "tumbleweed/repo/oss")];
/// RHEL: `kernel-devel` is in BaseOS of RHEL 8 and in AppStream from 9 on. The real-time kernel is named after the kernel that it
/// is built with from 9.3 on.
pub const RHEL: &[RepositoryPath] = &[
    path(&["8.*"], DEFAULT, "dist/rhelMAJOR/RELEASE/x86_64/baseos/os"),
    path(&["9.*", "10.*"], DEFAULT, "dist/rhelMAJOR/RELEASE/x86_64/appstream/os"),
    path(&["9.3", "9.4", "9.5", "9.6", "9.7", "9.8", "10.*"], RT, "dist/rhelMAJOR/RELEASE/x86_64/rt/os"),
    pocket("eus", &["8.*"], "eus/rhelMAJOR/RELEASE/x86_64/baseos/os"),
    pocket("eus", &["9.*", "10.*"], "eus/rhelMAJOR/RELEASE/x86_64/appstream/os"),
    pocket("e4s", &["8.*"], "e4s/rhelMAJOR/RELEASE/x86_64/baseos/os"),
    pocket("e4s", &["9.*", "10.*"], "e4s/rhelMAJOR/RELEASE/x86_64/appstream/os"),
    pocket("aus", &["8.*"], "aus/rhelMAJOR/RELEASE/x86_64/baseos/os"),
];
/// CentOS Stream.
pub const CENTOS_STREAM: &[RepositoryPath] =
    &[path(ANY, DEFAULT, "RELEASE-stream/AppStream/x86_64/os"), path(ANY, RT, "RELEASE-stream/RT/x86_64/os")];
/// AlmaLinux: the mirrors have the newest minor of each major, under the major's number.
pub const ALMA: &[RepositoryPath] = &[
    path(&["8"], DEFAULT, "RELEASE/BaseOS/x86_64/os"),
    path(&["9", "10"], DEFAULT, "RELEASE/AppStream/x86_64/os"),
    vault(&["8.*"], "RELEASE/BaseOS/x86_64/os"),
    vault(&["9.*", "10.*"], "RELEASE/AppStream/x86_64/os"),
];
/// Rocky Linux, with the layout of AlmaLinux.
pub const ROCKY: &[RepositoryPath] = ALMA;
/// Oracle Linux: its own kernel, and the one that is Red Hat's.
pub const ORACLE: &[RepositoryPath] = &[
    path(&["8"], DEFAULT, "repo/OracleLinux/OLRELEASE/baseos/latest/x86_64"),
    path(&["9", "10"], DEFAULT, "repo/OracleLinux/OLRELEASE/appstream/x86_64"),
    path(&["8"], UEK, "repo/OracleLinux/OLRELEASE/UEKR6/x86_64"),
    path(&["8", "9"], UEK, "repo/OracleLinux/OLRELEASE/UEKR7/x86_64"),
    path(&["9", "10"], UEK, "repo/OracleLinux/OLRELEASE/UEKR8/x86_64"),
];
/// Amazon Linux, whose repositories have no names but through their mirror lists.
pub const AMAZON: &[RepositoryPath] =
    &[path(ANY, DEFAULT, "mirrorlist+alRELEASE/core/mirrors/latest/x86_64/mirror.list")];
/// Azure Linux.
pub const AZURE_LINUX: &[RepositoryPath] = &[path(ANY, DEFAULT, "azurelinux/RELEASE.0/prod/base/x86_64")];

/// Servers and paths of the repositories that have the kernels of one flavour, of a release or of a pocket of it.
pub fn paths(repositories: &[RepositoryPath], release: &str, pocket: &str, flavour: &str) -> Vec<(Server, String)> {
    let has = |one: &&RepositoryPath| one.pocket == pocket && one.is_of(release) && one.flavours.contains(&flavour);
    repositories.iter().filter(has).map(|one| (one.server, fill(one.path, release))).collect()
}

/// Puts a release into a path: SUSE writes `15-SP5`.
pub fn fill(path: &str, release: &str) -> String {
    let major = release.split(['.', '-']).next().unwrap_or(release);
    path.replace("MAJOR", major).replace("RELEASE", &release.to_ascii_uppercase())
}

/// The flavours that a release's repositories are known to have.
pub fn flavours(repositories: &[RepositoryPath], release: &str) -> Vec<&'static str> {
    let of = repositories.iter().filter(|one| one.is_of(release));
    let mut flavours: Vec<_> = of.flat_map(|one| one.flavours.iter().copied()).collect();
    flavours.sort_unstable();
    flavours.dedup();
    flavours
}

impl RepositoryPath {
    fn is_of(&self, release: &str) -> bool {
        self.releases.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => release.starts_with(start),
            None => *known == release,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_written_as_its_vendor_does() {
        let of = |repositories, release, pocket, flavour| paths(repositories, release, pocket, flavour);
        let main = |path: &str| vec![(Server::Main, path.to_string())];
        assert_eq!(
            of(SLES, "15-sp5", "", "azure"),
            [
                main("Products/SLE-Module-Public-Cloud/15-SP5/x86_64/product"),
                main("Updates/SLE-Module-Public-Cloud/15-SP5/x86_64/update")
            ]
            .concat()
        );
        assert_eq!(of(RHEL, "8.10", "", "default"), main("dist/rhel8/8.10/x86_64/baseos/os"));
        assert_eq!(of(RHEL, "9.2", "eus", "default"), main("eus/rhel9/9.2/x86_64/appstream/os"));
        assert_eq!(of(ALMA, "9.2", "", "default"), [(Server::Vault, "9.2/AppStream/x86_64/os".to_string())]);
        assert_eq!(of(ALMA, "9", "", "default"), main("9/AppStream/x86_64/os"));
        assert_eq!(flavours(SLES, "15-sp5"), ["azure", "default", "rt"]);
    }
}
