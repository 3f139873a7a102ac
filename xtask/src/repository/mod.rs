// SPDX-License-Identifier: GPL-2.0-only
//! Signed repositories of signed packages, made by the distributions' own tools.

mod apt;
mod rpm;

pub use apt::{Suite, write as apt};
pub use rpm::write as rpm;

use crate::error::{AtPath, Error, Result};
use std::process::Command;

/// The output of a tool.
fn said(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").output().at_path(&program)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::infra(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
