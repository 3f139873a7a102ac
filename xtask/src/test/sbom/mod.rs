// SPDX-License-Identifier: GPL-2.0-only
//! SBOMs against their formats, as the formats' own projects check them: cyclonedx-python-lib with CycloneDX's schema,
//! spdx-tools with SPDX's rules.

use super::pypi;
use crate::error::{AtPath, Error, Result};
use crate::store::Store;
use crate::tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PROGRAM: &str = include_str!("validate.py");

/// Checks all SBOMs below `dir`; then a broken one of each format, in which something must be found. The number of them.
pub fn valid(dir: &Path, store: &Store, offline: bool) -> Result<String> {
    let libraries = pypi::libraries("sbom-validators", REQUIREMENTS, store, offline)?;
    let files: Vec<PathBuf> = tree::files(dir)?.into_iter().map(|file| dir.join(file)).collect();
    let problems = problems(&libraries, &files)?;
    if !problems.is_empty() {
        return Err(Error::kernel(problems));
    }
    for (format, true_field, wrong_field) in [
        (".cdx.json", "\"specVersion\": \"1.5\"", "\"specVersion\": 1.5"),
        (".spdx.json", "\"SPDXID\": \"SPDXRef-DOCUMENT\"", "\"SPDXID\": \"SPDXRef-OTHER\""),
    ] {
        let one = files.iter().find(|file| file.to_string_lossy().ends_with(format));
        let one = one.ok_or_else(|| Error::kernel(format!("no {format} was written")))?;
        let text = fs::read_to_string(one).at_path(one)?;
        let broken = dir.join(format!("broken{format}"));
        fs::write(&broken, text.replace(true_field, wrong_field)).at_path(&broken)?;
        let found = self::problems(&libraries, std::slice::from_ref(&broken))?;
        fs::remove_file(&broken).at_path(&broken)?;
        if found.is_empty() {
            return Err(Error::kernel(format!("nothing was found in a broken {format}")));
        }
    }
    Ok(format!("{} SBOMs", files.len()))
}

/// What the validators say: nothing of good files.
fn problems(libraries: &Path, files: &[PathBuf]) -> Result<String> {
    let mut python = Command::new("python3");
    python.arg("-Bc").arg(PROGRAM).args(files).env("PYTHONPATH", libraries);
    let output = python.output().at_path("python3")?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    match output.status.code() {
        Some(0) => Ok(String::new()),
        Some(1) if !output.stdout.is_empty() => Ok(said(&output.stdout)),
        _ => Err(Error::infra(format!("the SBOM validators do not run: {}", said(&output.stderr)))),
    }
}
