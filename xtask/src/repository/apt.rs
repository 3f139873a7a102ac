// SPDX-License-Identifier: GPL-2.0-only
//! An apt repository: one pool, a suite for each release.

use super::{add, said};
use crate::error::{AtPath, Error, Result};
use crate::sign::ArchiveKey;
use crate::store::sha256_file;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the packages are, as Debian's own archive has it.
const POOL: &str = "pool/main/i/involflt";
/// The only architecture; packages for all are in its index too.
const ARCHITECTURE: &str = "amd64";

/// A suite's packages.
pub struct Suite {
    /// Its name, the release's: `bookworm`.
    pub name: String,
    /// Signed packages.
    pub debs: Vec<PathBuf>,
}

/// Writes a repository of the suites into a directory that does not exist yet.
pub fn write(to: &Path, suites: &[Suite], key: &ArchiveKey) -> Result<()> {
    let pool = to.join(POOL);
    fs::create_dir_all(&pool).at_path(&pool)?;
    for deb in suites.iter().flat_map(|suite| &suite.debs) {
        add(deb, &pool)?;
    }
    let listing = said(Command::new("apt-ftparchive").args(["packages", POOL]).current_dir(to))?;
    let listing = String::from_utf8(listing).map_err(|error| Error::infra(format!("apt-ftparchive: {error}")))?;
    let stanzas = by_file_name(&listing);
    suites.iter().try_for_each(|suite| write_suite(to, suite, &stanzas, key))
}

/// Each package's paragraph by its file name.
fn by_file_name(listing: &str) -> BTreeMap<&str, &str> {
    listing.split("\n\n").filter_map(|stanza| Some((file_name(stanza)?, stanza))).collect()
}

fn file_name(stanza: &str) -> Option<&str> {
    let path = stanza.lines().find_map(|line| line.strip_prefix("Filename: "))?;
    path.rsplit('/').next()
}

fn write_suite(to: &Path, suite: &Suite, stanzas: &BTreeMap<&str, &str>, key: &ArchiveKey) -> Result<()> {
    let dir = to.join("dists").join(&suite.name);
    let index = dir.join(format!("main/binary-{ARCHITECTURE}"));
    fs::create_dir_all(&index).at_path(&index)?;
    let packages = index.join("Packages");
    fs::write(&packages, paragraphs(suite, stanzas)?).at_path(&packages)?;
    said(Command::new("xz").arg("--keep").arg(&packages))?;
    by_hash(&index)?;
    let release = dir.join("Release");
    fs::write(&release, release_text(&dir, &suite.name)?).at_path(&release)?;
    key.clear_sign(&release, &dir.join("InRelease"))?;
    key.detach_sign(&release, &dir.join("Release.gpg"))
}

fn paragraphs(suite: &Suite, stanzas: &BTreeMap<&str, &str>) -> Result<String> {
    let mut text = String::new();
    for deb in &suite.debs {
        let name = deb.file_name().unwrap_or_default().to_string_lossy();
        let stanza = stanzas.get(name.as_ref());
        let stanza = stanza.ok_or_else(|| Error::infra(format!("apt-ftparchive did not list {name}")))?;
        text.push_str(stanza.trim());
        text.push_str("\n\n");
    }
    Ok(text)
}

/// The indices by their hashes too: a reader that has an older `Release` never gets a newer index.
fn by_hash(index: &Path) -> Result<()> {
    let dir = index.join("by-hash/SHA256");
    fs::create_dir_all(&dir).at_path(&dir)?;
    for name in ["Packages", "Packages.xz"] {
        let file = index.join(name);
        fs::copy(&file, dir.join(sha256_file(&file)?)).at_path(&file)?;
    }
    Ok(())
}

fn release_text(dir: &Path, suite: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("apt-ftparchive");
    let fields = [
        ("Origin", "involflt"),
        ("Label", "involflt"),
        ("Suite", suite),
        ("Codename", suite),
        ("Architectures", ARCHITECTURE),
        ("Components", "main"),
        ("Description", "involflt, change tracking for disks"),
        ("Acquire-By-Hash", "yes"),
    ];
    for (name, value) in fields {
        command.arg(format!("-oAPT::FTPArchive::Release::{name}={value}"));
    }
    // SHA-256 alone: apt asks for no weaker one.
    command.args(["-oAPT::FTPArchive::MD5=false", "-oAPT::FTPArchive::SHA1=false", "-oAPT::FTPArchive::SHA512=false"]);
    said(command.arg("release").arg(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_found_by_file_name() {
        let listing = "Package: a\nFilename: pool/a_1.deb\nSize: 1\n\nPackage: b\nFilename: ./pool/x/b_2.deb\n\n";
        let found = by_file_name(listing);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), ["a_1.deb", "b_2.deb"]);
        assert!(found["a_1.deb"].ends_with("Size: 1"));
    }
}
