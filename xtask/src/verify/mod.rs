// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask verify`: is everything in `dist/` what its assembler signed? Asked as an outsider would, of the files
//! alone, with the distributions' own tools.

mod apt;
mod content;
mod deb;
mod generations;
mod keys;
mod rollback;
mod rpm;
mod rpm_md;
mod sbom;
mod sums;
mod trust;

use crate::error::{AtPath, Error, Result};
use crate::store::remove;
use crate::{parallel, tree};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use trust::Trust;

pub use trust::{detached, fingerprints_of};
use xshell::Shell;

/// How the findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each
    Table,
    /// One JSON object
    Json,
}

/// Checks published packages and repositories as an outsider would.
///
/// Signatures, hashes, file lists, modules against package names, licences and SBOMs. Exit code 1 where anything was
/// altered; each finding names the file and what is wrong with it.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo xtask verify dist/
  cargo xtask verify /srv/involflt --keyring known.gpg --cert known.pem   with keys that came another way
  cargo xtask verify /srv/involflt --after /srv/yesterday                  and nothing has gone back since")]
pub struct Verify {
    /// What `build-matrix` made, or a copy of it.
    #[arg(value_name = "DIST")]
    dist: PathBuf,
    /// OpenPGP keys to trust [default: those in DIST/keys].
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Certificate of modules to trust [default: the one in DIST/keys].
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// A copy of what was published before: repositories in an older state than that are a rollback.
    #[arg(long, value_name = "DIR")]
    after: Option<PathBuf>,
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Verify {
    /// Runs the command. Fails with exit code 1 for findings, 2 where there is nothing to check, 69 for a missing tool.
    pub fn run(self, _: &Shell) -> Result<()> {
        let outcome = verify(&self.dist, self.keyring.as_deref(), self.cert.as_deref(), self.after.as_deref())?;
        match self.format {
            Format::Table => print!("{}", outcome.table()),
            Format::Json => println!("{}", outcome.json()?),
        }
        match outcome.findings.len() {
            0 => Ok(()),
            count => Err(Error::kernel(format!("{}: {count} findings", self.dist.display()))
                .note("install nothing of it; compare it with the assembler's copy")),
        }
    }
}

/// One thing that is not as its assembler left it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Path below the checked directory.
    pub file: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

/// What was found, and how much was looked at.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Packages that were opened.
    pub packages: usize,
    /// Repositories that were followed.
    pub repositories: usize,
    /// Fingerprints of the OpenPGP keys that were trusted.
    pub keys: Vec<String>,
    /// Whether these keys, or the certificate, are from the checked directory itself.
    pub own_keys: bool,
    /// What is wrong, sorted by file.
    pub findings: Vec<Finding>,
}

impl Outcome {
    fn table(&self) -> String {
        let mut text = String::new();
        for Finding { file, cause } in &self.findings {
            text.push_str(&format!("{}: {cause}\n", file.display()));
        }
        let verdict = if self.findings.is_empty() { "all as signed" } else { "NOT as signed" };
        text.push_str(&format!(
            "{} packages, {} repositories: {verdict} by {}\n",
            self.packages,
            self.repositories,
            self.keys.join(", ")
        ));
        if self.own_keys {
            text.push_str("The keys are from the same place: compare the fingerprint, or give --keyring and --cert.\n");
        }
        text
    }

    fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| Error::infra(format!("JSON: {error}")))
    }
}

/// Checks everything that is published in `dist`, with the given keys or else with those in `dist`, and that it is not
/// older than `after`, an earlier copy.
pub fn verify(
    dist: &Path,
    keyring: Option<&Path>,
    certificate: Option<&Path>,
    after: Option<&Path>,
) -> Result<Outcome> {
    if !["apt", "rpm", "SHA256SUMS"].iter().any(|name| dist.join(name).exists()) {
        return Err(Error::input(format!("{}: nothing is published there", dist.display()))
            .note("make packages with `cargo xtask build-matrix --setup`"));
    }
    let work = std::env::temp_dir().join(format!("involflt-verify-{}", std::process::id()));
    remove(&work)?;
    fs::create_dir_all(&work).at_path(&work)?;
    let outcome = Trust::new(dist, keyring, certificate, &work)
        .and_then(|trust| Checker { dist, work: &work, trust, findings: Mutex::default() }.everything(after));
    remove(&work)?;
    outcome
}

/// A check of one directory.
struct Checker<'a> {
    dist: &'a Path,
    /// A directory for whatever has to be unpacked.
    work: &'a Path,
    trust: Trust,
    findings: Mutex<Vec<Finding>>,
}

impl Checker<'_> {
    fn everything(self, after: Option<&Path>) -> Result<Outcome> {
        let files = self.without_older(tree::files(self.dist)?)?;
        let packages: Vec<&PathBuf> = files.iter().filter(|file| is_package(file)).collect();
        self.keys()?;
        self.sums(&files)?;
        let suites = self.apt(&files)?;
        let repositories = self.rpm_repositories(&files)?;
        self.orphan_sboms(&files);
        after.map_or(Ok(()), |seen| self.not_older(seen))?;
        let checked = parallel::map(&packages, parallel::processors(), |file| self.package(file));
        checked.into_iter().collect::<Result<Vec<()>>>()?;
        let mut findings = self.findings.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        findings.sort();
        findings.dedup();
        Ok(Outcome {
            packages: packages.len(),
            repositories: suites + repositories,
            keys: self.trust.fingerprints,
            own_keys: self.trust.own_keys,
            findings,
        })
    }

    fn package(&self, file: &Path) -> Result<()> {
        if has_extension(file, "deb") { self.deb(file) } else { self.rpm(file) }
    }

    /// Takes down a finding about a file below the checked directory.
    fn found(&self, file: &Path, cause: impl Into<String>) {
        let finding = Finding { file: file.to_path_buf(), cause: cause.into() };
        self.findings.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(finding);
    }

    /// A text file below the checked directory; one that is missing or no text is a finding.
    fn text(&self, file: &Path) -> Option<String> {
        match fs::read(self.dist.join(file)).map(String::from_utf8) {
            Ok(Ok(text)) => return Some(text),
            Ok(Err(_)) => self.found(file, "it is no text"),
            Err(_) => self.found(file, "it is missing"),
        }
        None
    }

    /// Checks a file's signature; one that is not good, or not there, is a finding about the file.
    fn signature(&self, file: &Path, signature: &Path) -> Result<()> {
        if !self.dist.join(signature).is_file() {
            self.found(signature, format!("it is missing: {} has no signature", file.display()));
            return Ok(());
        }
        if self.dist.join(file).is_file()
            && let Err(cause) = self.trust.detached(&self.dist.join(signature), &self.dist.join(file))?
        {
            self.found(file, format!("{}: {cause}", name(signature)));
        }
        Ok(())
    }

    /// Compares a file's SHA-256 with the one that `list` gives; a missing file is a finding too.
    fn hash(&self, file: &Path, expected: &str, list: &Path) -> Result<()> {
        let path = self.dist.join(file);
        if !path.is_file() {
            self.found(file, format!("it is missing, but listed in {}", list.display()));
        } else if crate::store::sha256_file(&path)? != expected {
            self.found(file, format!("its bytes are not those that {} lists", list.display()));
        }
        Ok(())
    }
}

fn is_package(file: &Path) -> bool {
    has_extension(file, "deb") || has_extension(file, "rpm")
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// A file's last name.
fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A relative path that stays below the directory it is taken from.
fn inside(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    path.components().all(|part| matches!(part, std::path::Component::Normal(_))).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_its_directory_is_no_path() {
        assert!(inside("pool/main/x.deb").is_some());
        assert!(inside("../x.deb").is_none() && inside("/etc/passwd").is_none() && inside("a/../../b").is_none());
    }

    #[test]
    fn a_directory_without_packages_is_bad_input() {
        let dir = std::env::temp_dir().join(format!("involflt-verify-empty-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let error = verify(&dir, None, None, None).unwrap_err();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(error.kind.exit_code(), 2);
        assert!(error.message.contains("nothing is published"), "{error}");
    }
}
