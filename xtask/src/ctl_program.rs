// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl` as it is shipped: one static program for any x86-64 Linux, its man pages and its completions.

use crate::error::{AtPath, Error, Result};
use crate::static_program;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `involflt-utils` has of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CtlProgram {
    /// The program, without debug information.
    pub binary: PathBuf,
    /// The man pages, all of section 8, in the order of their names.
    pub man: Vec<PathBuf>,
    /// The completions of bash, named `involfltctl`.
    pub bash: PathBuf,
    /// The completions of zsh, named `_involfltctl`.
    pub zsh: PathBuf,
    /// The completions of fish, named `involfltctl.fish`.
    pub fish: PathBuf,
}

/// Builds the program and what is generated from its parser, below `target/ctl` of the work tree.
pub fn build() -> Result<CtlProgram> {
    build_in(crate::work_tree::top())
}

/// Builds the program of the work tree `top`.
pub fn build_in(top: &Path) -> Result<CtlProgram> {
    generate(static_program::build(top, "involfltctl")?, &top.join("target").join("ctl"))
}

/// Has the program write its man pages and completions.
fn generate(binary: PathBuf, dir: &Path) -> Result<CtlProgram> {
    if dir.exists() {
        fs::remove_dir_all(dir).at_path(dir)?;
    }
    run(Command::new(&binary).arg("generate").arg(dir))?;
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    let mut pages = fs::read_dir(&man)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .at_path(&man)?;
    pages.sort();
    let completion = |name: &str| completions.join(name);
    let (bash, zsh, fish) = (completion("involfltctl"), completion("_involfltctl"), completion("involfltctl.fish"));
    Ok(CtlProgram { binary, man: pages, bash, zsh, fish })
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output();
    let failed = |why: &str| Error::infra(format!("{} generate: {why}", command.get_program().to_string_lossy()));
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(failed(&error.to_string())),
    }
}
