// SPDX-License-Identifier: GPL-2.0-only
//! `kernels.lock`: what the selectors of `kernels.yaml` resolved to.

use crate::kernels::Distro;
use crate::store::Origin;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a kernel is met: with its own Rust support, or through the C glue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Rust-for-Linux: the kernel's own `kernel` crate.
    Rfl,
    /// The prebuilt Rust object and the C glue.
    Cglue,
}

/// What a package is to the build of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Part of the KDIR: headers, common headers, kbuild tools.
    Kdir,
    /// The kernel image and its modules, booted by `cargo xtask vm`.
    Image,
    /// The kernel's source, from which Rust metadata is regenerated; only for [`Platform::Rfl`].
    Source,
}

/// One package of a kernel, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// What the build needs it for.
    pub role: Role,
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// Path below the archive's base URL (`Filename:` of the index).
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// One kernel to build for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedKernel {
    /// Distribution, as in `kernels.yaml`: `debian`.
    pub distro: String,
    /// Release whose build root and compiler are used: `trixie`, also for `trixie-backports`.
    pub release: String,
    /// The suite the packages came from: `trixie-backports`, `bookworm-security`.
    pub suite: String,
    /// Debian architecture name: `amd64`.
    pub arch: String,
    /// Flavour: `amd64`, `cloud-amd64`, `rt-amd64`.
    pub flavour: String,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// Base URL of the archive that `path` of each package is below; of rpm distributions also several, or a mirror list:
    /// see [`crate::mirrors::each`].
    pub archive: String,
    /// Debian release whose compiler builds it in place of the distribution's own image; `kernels.yaml` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_root: Option<String>,
    /// File with the keys that sign its rpms, where `kernels.yaml` names one in place of the distribution's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<PathBuf>,
    /// SLES: the service pack that the KDIR's own configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_pack: Option<u32>,
    /// Compiler command that built the kernel: `gcc-12`.
    pub compiler: String,
    /// `CONFIG_CC_VERSION_TEXT` of the kernel.
    pub compiler_version: String,
    /// `CONFIG_RUSTC_VERSION_TEXT` where the kernel has `CONFIG_RUST=y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rustc: Option<String>,
    /// Whether the kernel has `CONFIG_MODVERSIONS=y`.
    pub modversions: bool,
    /// How the module will be built.
    pub platform: Platform,
    /// Every package that the build and the boot need.
    pub packages: Vec<LockedPackage>,
}

impl LockedKernel {
    /// The kernel's unique name in reports and directories: `debian-bookworm-6.1.0-49-amd64`.
    pub fn id(&self) -> String {
        format!("{}-{}-{}", self.distro, self.release, self.kernel)
    }

    /// Where its packages come from.
    pub fn origin(&self) -> Origin<'_> {
        let distro = Distro::find(&self.distro);
        let signers = distro.and_then(|distro| distro.signers(self.keyring.as_deref()));
        Origin { archive: &self.archive, signers }
    }
}

/// The whole lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Format of this file; 1.
    pub format: u32,
    /// Sorted by distro, release, suite, kernel.
    pub kernels: Vec<LockedKernel>,
}
