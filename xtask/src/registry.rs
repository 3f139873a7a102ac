// SPDX-License-Identifier: GPL-2.0-only
//! Base images from a container registry.

use crate::container::privileged;
use crate::error::{AtPath, Error, Result};
use std::path::Path;

/// Seconds that a pull may take: where a firewall drops packets, nothing else would end it.
const PATIENCE: &str = "180";

/// The files of `image`, as a tar archive at `to`; `false` where no engine can pull it.
///
/// Mirrors and credentials are the engine's own configuration; `registries` is a `registries.conf` in place of podman's.
/// Fails when an image that was pulled cannot be written to `to`.
pub fn export(image: &str, to: &Path, registries: Option<&Path>) -> Result<bool> {
    let pulls = |engine: &&&str| {
        let mut pull = privileged("env");
        pull.args(registries.map(|file| format!("CONTAINERS_REGISTRIES_CONF={}", file.display())));
        pull.args(["timeout", PATIENCE, **engine, "pull", "--quiet", image]);
        pull.output().is_ok_and(|output| output.status.success())
    };
    let Some(engine) = ["podman", "docker"].iter().find(pulls) else { return Ok(false) };
    // Only a container's files can be exported; this one is never started.
    let container = said(engine, &["create", image, "true"])?;
    let exported = said(engine, &["export", "--output", &to.to_string_lossy(), &container]);
    said(engine, &["rm", &container])?;
    exported.map(|_| true)
}

fn said(engine: &str, arguments: &[&str]) -> Result<String> {
    let output = privileged(engine).args(arguments).output().at_path(engine)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_string());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_string();
    Err(Error::infra(format!("{engine} {}: {words}", arguments.join(" "))))
}
