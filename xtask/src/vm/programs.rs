// SPDX-License-Identifier: GPL-2.0-only
//! The programs that run in a test VM.

use crate::error::Result;
use crate::static_program;
use crate::work_tree::top;
use std::path::PathBuf;

/// Where the static programs are that go into the VM's initramfs.
pub struct Programs {
    /// The VM's init, which runs the scenarios.
    pub guest: PathBuf,
    /// `involfltctl`, as it is shipped.
    pub ctl: PathBuf,
}

impl Programs {
    /// Builds them.
    pub fn build() -> Result<Self> {
        Ok(Programs {
            guest: static_program::build(top(), "guest")?,
            ctl: static_program::build(top(), "involfltctl")?,
        })
    }
}
