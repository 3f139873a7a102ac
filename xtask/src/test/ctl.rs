// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl` as it is shipped: static, and the same bytes from any directory. Costs one more build of it, about 40
//! seconds of one processor.

use super::{Context, Tally};
use crate::ctl_program::{CtlProgram, build, build_in};
use crate::store;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const AGAIN: &str = "cargo xtask test --only ctl";

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let program = build().map_err(|error| error.to_string());
    let first = match program {
        Ok(program) => program,
        Err(error) => return tally.check("involfltctl", Err(error), AGAIN),
    };
    tally.check("involfltctl is static", is_static(&first.binary), AGAIN);
    tally.check("involfltctl is reproducible", reproducible(context, &first), AGAIN);
}

/// A static program names no interpreter and no library.
fn is_static(binary: &Path) -> Result<String, String> {
    let output = Command::new("readelf").args(["-ld", "-W"]).arg(binary).output();
    let output = output.map_err(|error| format!("readelf: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().find(|line| line.contains("INTERP") || line.contains("NEEDED")) {
        Some(line) => Err(format!("{}: {}", binary.display(), line.trim())),
        None if text.contains("LOAD") => Ok(format!("{} bytes", binary.metadata().map_or(0, |data| data.len()))),
        None => Err(format!("{}: readelf finds no program in it", binary.display())),
    }
}

/// A copy of the work tree, in a directory with another name, must give the same files.
fn reproducible(context: &Context<'_>, first: &CtlProgram) -> Result<String, String> {
    let copy = context.store.root().join("test-ctl").join("another directory");
    store::remove(&copy).map_err(|error| error.to_string())?;
    copy_tree(context.tree, &copy)?;
    let second = build_in(&copy).map_err(|error| error.to_string())?;
    let (first, second) = (files(first), files(&second));
    if first.len() != second.len() {
        return Err(format!("{} files, and {} in {}", first.len(), second.len(), copy.display()));
    }
    for (one, other) in first.iter().zip(&second) {
        let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        if one.file_name() != other.file_name() || read(one)? != read(other)? {
            return Err(format!("{} and {} differ: see `cmp`", one.display(), other.display()));
        }
    }
    store::remove(&copy).map_err(|error| error.to_string())?;
    Ok(format!("{} files, the same from two directories", first.len()))
}

fn files(program: &CtlProgram) -> Vec<PathBuf> {
    let CtlProgram { binary, man, bash, zsh, fish } = program;
    [binary, bash, zsh, fish].into_iter().chain(man).cloned().collect()
}

/// What git would have of the work tree were it committed now.
fn copy_tree(tree: &Path, to: &Path) -> Result<(), String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(tree)
        .output()
        .map_err(|error| format!("git: {error}"))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in listed.split('\0').filter(|name| tree.join(name).is_file()) {
        let target = to.join(name);
        let copied =
            fs::create_dir_all(target.parent().unwrap_or(to)).and_then(|()| fs::copy(tree.join(name), &target));
        copied.map_err(|error| format!("{}: {error}", target.display()))?;
    }
    Ok(())
}
