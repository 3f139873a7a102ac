// SPDX-License-Identifier: GPL-2.0-only
//! Builds the guest program.

use crate::error::{Error, Result};
use std::path::PathBuf;
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the guest program, statically linked; says where it is.
pub fn build() -> Result<PathBuf> {
    let root = crate::work_tree::top();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target_dir = root.join("target").join("guest");
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--release", "--package", "guest", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        // It would win over the flags above.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(root)
        .output()
        .map_err(|error| Error::infra(format!("cargo: {error}")))?;
    if output.status.success() {
        return Ok(target_dir.join(TARGET).join("release").join("guest"));
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
    Err(Error::infra(format!("the guest program does not build: {said}"))
        .note(format!("rustup target add {TARGET}; apt-get install libc6-dev")))
}
