// SPDX-License-Identifier: GPL-2.0-only
//! Builds a program of the workspace as one static file for any x86-64 Linux.
//!
//! The same bytes come out wherever the work tree and cargo's home are: paths are remapped, and no date goes in.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "static";

/// Builds a package's program of the work tree `top`, below its `target/static`; says where it is.
pub fn build(top: &Path, package: &str) -> Result<PathBuf> {
    let target_dir = top.join("target").join("static");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--profile", PROFILE, "--package", package, "--target", TARGET])
        .arg("--target-dir")
        .arg(&target_dir)
        // It wins over all other ways to give flags.
        .env("CARGO_ENCODED_RUSTFLAGS", flags(top)?)
        .env("SOURCE_DATE_EPOCH", "0")
        .current_dir(top)
        .output()
        .map_err(|error| Error::infra(format!("cargo: {error}")))?;
    if output.status.success() {
        return Ok(target_dir.join(TARGET).join(PROFILE).join(package));
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
    Err(Error::infra(format!("the program {package} does not build: {said}"))
        .note(format!("rustup target add {TARGET}; apt-get install libc6-dev")))
}

/// Flags with separators of their own, so that a path may have a space in it.
fn flags(top: &Path) -> Result<OsString> {
    let mut flags = OsString::from("-Ctarget-feature=+crt-static");
    // Of several that match, the last one counts.
    for (from, to) in [(cargo_home()?.as_path(), "/cargo"), (top, "/involflt")] {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    cargo_home.ok_or_else(|| Error::infra("neither CARGO_HOME nor HOME is set").note("set HOME"))
}
