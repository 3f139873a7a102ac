// SPDX-License-Identifier: GPL-2.0-only
//! The programs that run in a test VM.

use crate::error::{AtPath, Error, Result};
use crate::static_program;
use crate::work_tree::top;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Where the static programs are that go into the VM's initramfs.
pub struct Programs {
    /// The VM's init, which runs the scenarios.
    pub guest: PathBuf,
    /// `involfltctl`, as it is shipped.
    pub ctl: PathBuf,
    /// The agent in C, as a 64-bit and as a 32-bit program.
    pub c_agents: [PathBuf; 2],
}

impl Programs {
    /// Builds them.
    pub fn build() -> Result<Self> {
        Ok(Programs {
            guest: static_program::build(top(), "guest")?,
            ctl: static_program::build(top(), "involfltctl")?,
            c_agents: [c_agent("-m64")?, c_agent("-m32")?],
        })
    }

    /// All of them.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.guest, &self.ctl].into_iter().chain(&self.c_agents)
    }
}

/// The agent in C for a machine word, `-m32` or `-m64`.
fn c_agent(word: &str) -> Result<PathBuf> {
    let dir = top().join("target").join("c-agent");
    fs::create_dir_all(&dir).at_path(&dir)?;
    let (program, new) = (dir.join(format!("agent{word}")), dir.join(format!("agent{word}.{}", std::process::id())));
    let source = top().join("xtask/guest/agent/agent.c");
    let output = Command::new("gcc")
        .args([word, "-std=gnu11", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-Wno-stringop-truncation"])
        .arg("-o")
        .args([&new, &source])
        .output()
        .map_err(|error| Error::infra(format!("gcc: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::infra(format!("{} does not build with {word}: {}", source.display(), said.trim()))
            .note("run `cargo xtask build-matrix --setup`, which installs gcc-multilib"));
    }
    // Another process may have it open.
    fs::rename(&new, &program).at_path(&program)?;
    Ok(program)
}
