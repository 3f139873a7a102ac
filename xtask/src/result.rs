// SPDX-License-Identifier: GPL-2.0-only
//! The result of one kernel: a row of `dist/matrix.json` (schema: `docs/matrix-json.md`).

use crate::lock::{LockedKernel, Platform};
use serde::{Deserialize, Serialize};

/// How one step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Done, and good.
    Passed,
    /// Done, and bad: `error` of the row says why.
    Failed,
    /// Not done, because a step before it failed or the run was told not to.
    Skipped,
}

/// How a kernel stands, all steps together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Built, checked and booted.
    Good,
    /// One of these failed.
    Failed,
    /// One of these was not done.
    Unfinished,
}

/// What one disk's judge found; counts are of 4 KiB blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskVerdict {
    /// `virtio-blk`, `virtio-scsi`, `nvme`, `dm-linear`.
    pub disk: String,
    /// Blocks whose bytes differ between the image before and after.
    pub changed: u64,
    /// Blocks that the driver reported.
    pub reported: u64,
    /// Changed blocks that were not reported. Must be 0.
    pub missed: u64,
}

/// One kernel's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Kernel id (`LockedKernel::id`).
    pub id: String,
    /// Distribution.
    pub distro: String,
    /// Release of the build root.
    pub release: String,
    /// Suite the packages came from.
    pub suite: String,
    /// Flavour.
    pub flavour: String,
    /// Kernel release.
    pub kernel: String,
    /// How the module was built.
    pub platform: Platform,
    /// Compile and link.
    pub built: Status,
    /// The checks after the link.
    pub checked: Status,
    /// The VM run, with all its scenarios.
    pub booted: Status,
    /// One per disk of the VM run.
    pub disks: Vec<DiskVerdict>,
    /// Warnings that did not fail the row (objtool, for example).
    pub warnings: Vec<String>,
    /// First error line, where a step failed.
    pub error: Option<String>,
    /// `involflt.ko`, relative to `dist/`.
    pub module: Option<String>,
    /// SHA-256 of the module.
    pub module_sha256: Option<String>,
    /// Build log, relative to `dist/`.
    pub build_log: Option<String>,
    /// Serial console log of the VM run, relative to `dist/`.
    pub vm_log: Option<String>,
    /// Time of the build, in milliseconds; 0 when the result came from the store.
    pub build_millis: u64,
    /// Time of the VM run, in milliseconds; 0 when the result came from the store.
    pub vm_millis: u64,
}

/// What was asked for and could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// A kernel's id, or suites of which nothing is known, as `--select` has them: `sles:15-sp5`.
    pub id: String,
    /// Why.
    pub error: String,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// One row for each kernel.
    pub rows: Vec<Row>,
    /// What could not be resolved, by id.
    pub left_out: Vec<LeftOut>,
}

impl Row {
    /// A row on which nothing has been done yet.
    pub fn new(kernel: &LockedKernel) -> Self {
        Row {
            id: kernel.id(),
            distro: kernel.distro.clone(),
            release: kernel.release.clone(),
            suite: kernel.suite.clone(),
            flavour: kernel.flavour.clone(),
            kernel: kernel.kernel.clone(),
            platform: kernel.platform,
            built: Status::Skipped,
            checked: Status::Skipped,
            booted: Status::Skipped,
            disks: Vec::new(),
            warnings: Vec::new(),
            error: None,
            module: None,
            module_sha256: None,
            build_log: None,
            vm_log: None,
            build_millis: 0,
            vm_millis: 0,
        }
    }

    /// How it stands.
    pub fn state(&self) -> State {
        match [self.built, self.checked, self.booted] {
            _ if self.failed() => State::Failed,
            [Status::Passed, Status::Passed, Status::Passed] => State::Good,
            _ => State::Unfinished,
        }
    }

    /// Blocks missed over all disks, or `None` where the VM run did not come to a verdict.
    pub fn missed(&self) -> Option<u64> {
        (!self.disks.is_empty()).then(|| self.disks.iter().map(|disk| disk.missed).sum())
    }

    /// The platform in one word, as `matrix.json` has it.
    pub fn platform_name(&self) -> &'static str {
        match self.platform {
            Platform::Rfl => "rfl",
            Platform::Cglue => "cglue",
        }
    }

    /// Whether any step failed.
    pub fn failed(&self) -> bool {
        [self.built, self.checked, self.booted].contains(&Status::Failed)
    }
}
