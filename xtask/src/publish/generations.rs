// SPDX-License-Identifier: GPL-2.0-only
//! What was published before: `generations/N/` has the SHA256SUMS of each time, and its signature once all of it was
//! there.

use crate::error::{AtPath, Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where a place keeps them.
pub const DIR: &str = "generations";
/// The list of a generation's files.
pub const SUMS: &str = "SHA256SUMS";
/// Its signature.
pub const SIGNATURE: &str = "SHA256SUMS.asc";

/// Every file of a generation, with its SHA-256.
pub type Files = BTreeMap<String, String>;

/// One publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Counted from 1.
    pub number: u64,
    /// What it has.
    pub files: Files,
    /// Whether all of it came to its place.
    pub complete: bool,
}

/// The generations below a copy of [`DIR`], the oldest first; none where there is no such directory.
pub fn read(dir: &Path) -> Result<Vec<Generation>> {
    let mut generations = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(generations),
        entries => entries.at_path(dir)?,
    };
    for entry in entries {
        let path = entry.at_path(dir)?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        let sums = path.join(SUMS);
        let (Some(number), true) = (number, sums.exists()) else { continue };
        generations.push(Generation { number, files: sums_of(&sums)?, complete: path.join(SIGNATURE).exists() });
    }
    generations.sort_by_key(|generation| generation.number);
    Ok(generations)
}

/// The lines of a SHA256SUMS. A path that leads out of its place is refused.
pub fn sums_of(file: &Path) -> Result<Files> {
    let text = fs::read_to_string(file).at_path(file)?;
    let line = |line: &str| {
        let (sha256, path) = line.split_once("  ")?;
        let is_inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let is_sum = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_inside && is_sum && !path.is_empty()).then(|| (path.to_string(), sha256.to_string()))
    };
    let wrong = |text: &str| Error::input(format!("{}: no checksum and path: {text:?}", file.display()));
    text.lines().map(|text| line(text).ok_or_else(|| wrong(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_without_its_signature_is_not_complete() {
        let top = std::env::temp_dir().join(format!("involflt-generations-{}", std::process::id()));
        for (number, files) in [("10", vec![SUMS]), ("9", vec![SUMS, SIGNATURE]), ("11", vec![]), ("x", vec![SUMS])] {
            fs::create_dir_all(top.join(number)).unwrap();
            for file in files {
                fs::write(top.join(number).join(file), format!("{}  apt/a\n", "0".repeat(64))).unwrap();
            }
        }
        let found = read(&top).unwrap();
        fs::remove_dir_all(&top).unwrap();
        let found: Vec<(u64, bool)> = found.iter().map(|one| (one.number, one.complete)).collect();
        assert_eq!(found, [(9, true), (10, false)]);
        assert_eq!(read(&top).unwrap(), []);
    }

    #[test]
    fn a_path_out_of_the_place_is_refused() {
        let file = std::env::temp_dir().join(format!("involflt-sums-{}", std::process::id()));
        for path in ["../x", "/etc/passwd", "a/../../x", ""] {
            fs::write(&file, format!("{}  {path}\n", "0".repeat(64))).unwrap();
            let error = sums_of(&file).unwrap_err();
            assert_eq!(error.kind.exit_code(), 2, "{path}");
        }
        fs::remove_file(&file).unwrap();
    }
}
