// SPDX-License-Identifier: GPL-2.0-only
//! The driver's source, as it goes into a build.

use crate::error::{AtPath, Result};
use crate::store::key;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of `module/` that a kernel build reads, with their contents.
#[derive(Debug, Clone)]
pub struct ModuleSource {
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// What is made of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A module of which all is compiled with its kernel.
    All,
    /// The Rust object of kernels without Rust.
    Rust,
    /// What is compiled for each of those kernels, and linked with that object.
    Glue,
}

impl Part {
    fn has(self, path: &Path) -> bool {
        let rust = path.starts_with("src");
        match self {
            Part::All => true,
            Part::Rust => rust || RUST.iter().any(|name| path == Path::new(name)),
            Part::Glue => !rust,
        }
    }
}

/// What the Rust object is made with, beside its source.
const RUST: &[&str] = &["core-object.sh", "glue/exports"];
/// Top-level files, and directories that are taken whole.
const FILES: &[&str] = &["Kbuild", "Makefile", "checks.mak", "core-object.sh", "involflt.mak", "probe.sh"];
const DIRS: &[&str] = &["glue", "probes", "src"];
/// What a build by hand may have left behind is not source.
const SOURCE_NAMES: &[&str] = &["Kbuild", "exports"];
const SOURCE_ENDINGS: &[&str] = &["c", "h", "rs"];
const GENERATED: &[&str] = &["probed.h", "together.c"];

impl ModuleSource {
    /// Reads the source below `module`.
    pub fn read(module: &Path) -> Result<Self> {
        let mut paths: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
        for dir in DIRS {
            collect(module, Path::new(dir), &mut paths)?;
        }
        paths.sort();
        let read = |path: PathBuf| Ok((path.clone(), fs::read(module.join(&path)).at_path(module.join(&path))?));
        Ok(ModuleSource { files: paths.into_iter().map(read).collect::<Result<_>>()? })
    }

    /// The files that go into a part, below `module/`, and what changes whenever their contents do.
    pub fn hashes(&self, part: Part) -> impl Iterator<Item = (String, String)> {
        let files = self.files.iter().filter(move |(path, _)| part.has(path));
        files
            .map(|(path, bytes)| (format!("module/{}", path.display()), key([String::from_utf8_lossy(bytes).as_ref()])))
    }

    /// The same source, with a line more at the end of a file.
    pub fn with_line(&self, file: &Path, line: &str) -> Self {
        let mut files = self.files.clone();
        for (_, bytes) in files.iter_mut().filter(|(path, _)| path == file) {
            bytes.extend_from_slice(line.as_bytes());
        }
        ModuleSource { files }
    }

    /// Writes the source below `to`.
    pub fn write(&self, to: &Path) -> Result<()> {
        for (path, bytes) in &self.files {
            let path = to.join(path);
            if let Some(parent) = path.parent() {
                crate::kdir::make_open_dir(parent)?;
            }
            fs::write(&path, bytes).at_path(&path)?;
        }
        Ok(())
    }
}

fn collect(module: &Path, dir: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let full = module.join(dir);
    for entry in fs::read_dir(&full).at_path(&full)? {
        let entry = entry.at_path(&full)?;
        let path = dir.join(entry.file_name());
        if entry.file_type().at_path(&full)?.is_dir() {
            collect(module, &path, into)?;
        } else if is_source(&path) {
            into.push(path);
        }
    }
    Ok(())
}

fn is_source(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    !GENERATED.contains(&name)
        && !name.ends_with(".mod.c")
        && (SOURCE_NAMES.contains(&name) || SOURCE_ENDINGS.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_left_behind_is_not_source() {
        assert!(is_source(Path::new("glue/hook.c")) && is_source(Path::new("glue/exports")));
        for left in [
            "glue/probed.h",
            "probes/together.c",
            "glue/hook.o",
            "involflt.mod.c",
            "probes/probes.log",
            "glue/.hook.o.cmd",
        ] {
            assert!(!is_source(Path::new(left)), "{left}");
        }
    }
}
