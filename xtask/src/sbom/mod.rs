// SPDX-License-Identifier: GPL-2.0-only
//! Software bills of materials: for each package one in SPDX 2.3 and one in CycloneDX 1.5, both JSON.
//!
//! They tell of the signed package, so they are as new as its signature. Apart from that they have no time of their own.

mod cyclonedx;
mod parts;
mod spdx;
#[cfg(test)]
mod tests;

pub use parts::{Part, Relation, core_crate, crates_of, debian_version, kernel_packages};

use crate::error::{AtPath, Error, Result};
use crate::package::Recipe;
use crate::store::{remove, sha256_file};
use crate::{tree, unpack};
use sha1::{Digest, Sha1};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The licence of all that is packed.
pub const LICENCE: &str = "GPL-2.0-only";
/// Both formats.
pub const FORMATS: [Format; 2] = [Format::Spdx, Format::CycloneDx];

/// A format of SBOMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>).
    Spdx,
    /// CycloneDX 1.5 (<https://cyclonedx.org/docs/1.5/json/>).
    CycloneDx,
}

/// What an SBOM says of its package, as far as it can be checked against the package.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    /// Package name.
    pub name: String,
    /// Whole version.
    pub version: String,
    /// Licence, an SPDX expression.
    pub licence: String,
    /// SHA-256 of the package.
    pub sha256: String,
    /// Its files: absolute path and SHA-256.
    pub files: BTreeSet<(String, String)>,
}

/// A package that an SBOM is written of.
struct Subject<'a> {
    recipe: &'a Recipe,
    sha256: String,
    files: Vec<FileHash>,
    parts: &'a [Part],
}

/// One file of a package.
struct FileHash {
    /// Absolute, as installed.
    path: String,
    /// SPDX demands this one.
    sha1: String,
    sha256: String,
}

impl Format {
    /// The SBOM's file name for a package's.
    pub fn file_name(self, package: &str) -> String {
        match self {
            Format::Spdx => format!("{package}.spdx.json"),
            Format::CycloneDx => format!("{package}.cdx.json"),
        }
    }

    /// What an SBOM says; `None` where it is none of this format.
    pub fn read(self, text: &str) -> Option<About> {
        let document = serde_json::from_str(text).ok()?;
        match self {
            Format::Spdx => spdx::read(&document),
            Format::CycloneDx => cyclonedx::read(&document),
        }
    }

    fn render(self, subject: &Subject<'_>) -> serde_json::Value {
        match self {
            Format::Spdx => spdx::render(subject),
            Format::CycloneDx => cyclonedx::render(subject),
        }
    }
}

/// Writes both SBOMs of a signed package into a directory.
pub fn write(recipe: &Recipe, package: &Path, parts: &[Part], dir: &Path) -> Result<()> {
    let name = recipe.file_name();
    let unpacked = dir.join(format!("{name}.unpacked"));
    unpack::own_package(package, &unpacked)?;
    let subject = Subject { recipe, sha256: sha256_file(package)?, files: hashes(&unpacked)?, parts };
    for format in FORMATS {
        let text = serde_json::to_string_pretty(&format.render(&subject));
        let text = text.map_err(|error| Error::infra(format!("{name}: JSON: {error}")))?;
        let path = dir.join(format.file_name(&name));
        fs::write(&path, text + "\n").at_path(&path)?;
    }
    remove(&unpacked)
}

fn hashes(dir: &Path) -> Result<Vec<FileHash>> {
    let mut found = Vec::new();
    for file in tree::files(dir)? {
        let path = dir.join(&file);
        if path.is_symlink() {
            continue;
        }
        let data = fs::read(&path).at_path(&path)?;
        found.push(FileHash { path: format!("/{}", file.display()), sha1: sha1(&data), sha256: sha256_file(&path)? });
    }
    Ok(found)
}

fn sha1(data: &[u8]) -> String {
    Sha1::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Subject<'_> {
    /// The package's URL (<https://github.com/package-url/purl-spec>).
    fn purl(&self) -> String {
        let kind = if self.recipe.is_deb() { "deb" } else { "rpm" };
        let version = self.recipe.version().replace('+', "%2B");
        format!("pkg:{kind}/involflt/{}@{version}?arch={}", self.recipe.name, self.recipe.architecture())
    }

    /// A UUID that changes with the package and with what it is made of.
    fn uuid(&self) -> String {
        let parts = self.parts.iter().map(|part| part.purl.as_str());
        let hash = crate::store::key(parts.chain([self.sha256.as_str(), &self.recipe.name]));
        // Version 8 is for UUIDs of one's own making (RFC 9562).
        format!("{}-{}-8{}-8{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
    }
}
