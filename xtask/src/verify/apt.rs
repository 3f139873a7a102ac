// SPDX-License-Identifier: GPL-2.0-only
//! The apt repository, followed as apt does: InRelease, Packages, pool.

use super::{Checker, has_extension, inside, name};
use crate::error::Result;
use crate::store::sha256_file;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

impl Checker<'_> {
    /// Checks every suite; the number of them.
    pub(super) fn apt(&self, files: &[PathBuf]) -> Result<usize> {
        let below = |file: &&PathBuf| file.starts_with("apt/dists");
        let suites: BTreeSet<PathBuf> =
            files.iter().filter(below).map(|file| file.iter().take(3).collect::<PathBuf>()).collect();
        let mut listed = BTreeSet::new();
        for suite in &suites {
            self.suite(suite, files, &mut listed)?;
        }
        for file in files.iter().filter(|file| file.starts_with("apt/pool") && !listed.contains(*file)) {
            self.found(file, "no Packages lists it");
        }
        Ok(suites.len())
    }

    fn suite(&self, suite: &Path, files: &[PathBuf], pool: &mut BTreeSet<PathBuf>) -> Result<()> {
        let release = suite.join("Release");
        self.signature(&release, &suite.join("Release.gpg"))?;
        let Some(text) = self.text(&release) else { return Ok(()) };
        self.in_release(suite, &text)?;
        if !text.lines().any(|line| line.strip_prefix("Codename: ") == Some(&name(suite))) {
            self.found(&release, format!("its Codename is not {}", name(suite)));
        }
        let indices = sha256_section(&text);
        for (file, hash) in &indices {
            match inside(file) {
                Some(file) => self.hash(&suite.join(file), hash, &release)?,
                None => self.found(&release, format!("it lists {file}, outside of its suite")),
            }
        }
        for file in files.iter().filter(|file| file.starts_with(suite)) {
            self.belongs(file, suite, &indices)?;
        }
        for file in indices.keys().filter(|file| name(Path::new(file)) == "Packages") {
            self.packages(&suite.join(file), pool)?;
        }
        Ok(())
    }

    fn in_release(&self, suite: &Path, release: &str) -> Result<()> {
        let file = suite.join("InRelease");
        if !self.dist.join(&file).is_file() {
            self.found(&file, "it is missing");
            return Ok(());
        }
        match self.trust.clear_signed(&self.dist.join(&file), self.work)? {
            Err(cause) => self.found(&file, cause),
            Ok(text) if String::from_utf8_lossy(&text).trim_end() != release.trim_end() => {
                self.found(&suite.join("Release"), "it is not the text that InRelease signs");
            }
            Ok(_) => (),
        }
        Ok(())
    }

    /// Files of a suite are named in its Release, or are an index by its hash.
    fn belongs(&self, file: &Path, suite: &Path, indices: &BTreeMap<&str, &str>) -> Result<()> {
        let below = file.strip_prefix(suite).unwrap_or(file);
        let named = ["Release", "Release.gpg", "InRelease"].iter().any(|name| below == Path::new(name));
        if named || indices.contains_key(below.to_string_lossy().as_ref()) {
            return Ok(());
        }
        let hash = name(file);
        if !indices.values().any(|known| *known == hash) || !below.to_string_lossy().contains("/by-hash/SHA256/") {
            self.found(file, format!("{} does not list it", suite.join("Release").display()));
        } else if sha256_file(&self.dist.join(file))? != hash {
            self.found(file, "its bytes have another hash than its name says");
        }
        Ok(())
    }

    fn packages(&self, index: &Path, pool: &mut BTreeSet<PathBuf>) -> Result<()> {
        let Some(text) = self.text(index) else { return Ok(()) };
        for stanza in text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()) {
            let field = |name: &str| field(stanza, name).unwrap_or_default();
            let Some(path) = inside(field("Filename")).filter(|path| has_extension(path, "deb")) else {
                self.found(index, format!("{}: its Filename is none of the pool's", field("Package")));
                continue;
            };
            let file = Path::new("apt").join(path);
            self.hash(&file, field("SHA256"), index)?;
            let expected = format!("{}_{}_{}.deb", field("Package"), field("Version"), field("Architecture"));
            if name(&file) != expected {
                self.found(index, format!("it lists {} as {expected}", file.display()));
            }
            pool.insert(file);
        }
        Ok(())
    }
}

/// A field of one line.
pub fn field<'t>(stanza: &'t str, name: &str) -> Option<&'t str> {
    stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}

/// The files that a `Release` lists, with their hashes.
fn sha256_section(release: &str) -> BTreeMap<&str, &str> {
    let lines = release.lines().skip_while(|line| *line != "SHA256:").skip(1);
    lines
        .take_while(|line| line.starts_with(' '))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some((*words.get(2)?, *words.first()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_up_to_the_next_field() {
        let release = "Codename: x\nSHA256:\n aa 12 main/Packages\n bb 3 main/Packages.xz\nSHA512:\n cc 1 other\n";
        let found = sha256_section(release);
        assert_eq!(found.len(), 2);
        assert_eq!(found["main/Packages.xz"], "bb");
    }

    #[test]
    fn a_field_is_not_another_whose_name_begins_alike() {
        assert_eq!(field("Package-Type: udeb\nPackage: a\n", "Package"), Some("a"));
    }
}
