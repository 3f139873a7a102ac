// SPDX-License-Identifier: GPL-2.0-only
//! What a machine that is off has kept of its changes: the bitmap file in the image of its ext4 file system.

use crate::error::{Error, Result};
use guest::extents::Extents;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What the bitmap file at `path` in the image's file system says has changed. `tool` is an `involfltctl` that runs here.
///
/// Fails with the kind [`crate::error::Kind::Kernel`] where there is none, or its bits are not true.
pub fn changes(image: &Path, path: &str, tool: &Path) -> Result<Extents> {
    let file = image.with_extension("bitmap");
    checked(Command::new("debugfs").arg("-R").arg(format!("dump {path} {}", file.display())).arg(image))?;
    let said = checked(Command::new(tool).args(["bitmap", "dump", "--json"]).arg(&file))?;
    let said: Value = serde_json::from_slice(&said).map_err(|error| Error::kernel(format!("bitmap dump: {error}")))?;
    let mut extents = Extents::default();
    for extent in said["extents"].as_array().into_iter().flatten() {
        let number = |name: &str| extent[name].as_u64().unwrap_or(0);
        extents.insert(number("offset"), number("bytes"));
    }
    Ok(extents)
}

/// What a program prints that does what it is asked for.
pub fn checked(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Error::infra(format!("{program}: {error}")))?;
    let said = || [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(Error::kernel(format!("{program}: {}", said().trim()))),
    }
}
