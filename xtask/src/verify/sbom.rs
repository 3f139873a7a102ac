// SPDX-License-Identifier: GPL-2.0-only
//! The SBOMs: one of each format for every package, about these very bytes.

use super::content::Package;
use super::{Checker, has_extension, name};
use crate::error::Result;
use crate::sbom;
use crate::store::sha256_file;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

impl Checker<'_> {
    /// Both SBOMs of a package name it, its version, its hash, its licence and each of its files (`files`, below `at`).
    pub(super) fn sbom(&self, package: &Package<'_>, at: &Path, files: &[PathBuf]) -> Result<()> {
        let hash = sha256_file(&self.dist.join(package.file))?;
        let mut contents = BTreeSet::new();
        for file in files.iter().filter(|file| !at.join(file).is_symlink()) {
            contents.insert((format!("/{}", file.display()), sha256_file(&at.join(file))?));
        }
        for format in sbom::FORMATS {
            let file = Path::new("sbom").join(format.file_name(&name(package.file)));
            let Some(text) = self.text(&file) else { continue };
            let Some(said) = format.read(&text) else {
                self.found(&file, "it is no SBOM of its format");
                continue;
            };
            if (said.name.as_str(), said.version.as_str()) != (package.name, package.version) {
                self.found(&file, format!("it is about {} {}", said.name, said.version));
            }
            if said.licence != sbom::LICENCE {
                self.found(&file, format!("it gives the licence {}", said.licence));
            }
            if said.sha256 != hash {
                self.found(&file, format!("it is not about the bytes of {}", package.file.display()));
            }
            if let Some((differs, _)) = said.files.symmetric_difference(&contents).next() {
                self.found(&file, format!("its list of files differs from the package's at {differs}"));
            }
        }
        Ok(())
    }

    /// An SBOM of no package is a finding.
    pub(super) fn orphan_sboms(&self, files: &[PathBuf]) {
        let packages = files.iter().filter(|file| has_extension(file, "deb") || has_extension(file, "rpm"));
        let wanted: BTreeSet<String> =
            packages.flat_map(|file| sbom::FORMATS.map(|format| format.file_name(&name(file)))).collect();
        for file in files.iter().filter(|file| file.starts_with("sbom") && !wanted.contains(&name(file))) {
            self.found(file, "it is about no package that is here");
        }
    }
}
