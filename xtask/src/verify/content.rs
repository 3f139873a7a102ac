// SPDX-License-Identifier: GPL-2.0-only
//! What is inside of a package: modules, keys, licence, and the SBOM's file list.

use super::{Checker, has_extension, name};
use crate::error::{AtPath, Result};
use crate::store::remove;
use crate::{check, sign, tree, unpack};
use std::fs;
use std::path::{Path, PathBuf};

/// A package and what it says of itself.
pub struct Package<'a> {
    /// Path below the checked directory.
    pub file: &'a Path,
    /// Package name.
    pub name: &'a str,
    /// Whole version.
    pub version: &'a str,
}

/// Files of packages that are published beside them too, and must be the same.
const TWINS: [(&str, &str); 3] = [
    ("involflt-archive-keyring.gpg", "keys/involflt-archive-keyring.gpg"),
    ("RPM-GPG-KEY-involflt", "keys/involflt-archive-keyring.asc"),
    ("involflt-module.der", "keys/involflt-module.der"),
];

/// What a module under GPL-2.0-only says; to the kernel both are the same (`license-rules.rst`).
const LICENCES: [&str; 2] = ["GPL", "GPL v2"];

impl Checker<'_> {
    /// Unpacks a package and checks everything in it; `licence` says what is wrong with that.
    pub(super) fn contents(&self, package: &Package<'_>, licence: impl FnOnce(&Path) -> Option<String>) -> Result<()> {
        let at = self.work.join(crate::store::key([package.file.to_string_lossy().as_ref()]));
        if let Err(said) = unpack::package(&self.dist.join(package.file), &at)? {
            self.found(package.file, said);
            return remove(&at);
        }
        if let Some(cause) = licence(&at) {
            self.found(package.file, cause);
        }
        let files = tree::files(&at)?;
        self.modules(package, &at, &files)?;
        self.twins(package, &at, &files);
        self.sbom(package, &at, &files)?;
        remove(&at)
    }

    fn modules(&self, package: &Package<'_>, at: &Path, files: &[PathBuf]) -> Result<()> {
        let modules: Vec<&PathBuf> = files.iter().filter(|file| has_extension(file, "ko")).collect();
        let of_modules = ["involflt-kmod", "involflt-kmp-", "kmod-involflt"];
        if modules.is_empty() && of_modules.iter().any(|start| package.name.starts_with(start)) {
            self.found(package.file, "there is no module in it");
        }
        modules.into_iter().try_for_each(|module| self.module(package, at, module))
    }

    fn module(&self, package: &Package<'_>, at: &Path, module: &Path) -> Result<()> {
        let (path, place) = (at.join(module), module.display());
        let data = fs::read(&path).at_path(&path)?;
        match check::modinfo(&data, &["name", "license", "vermagic"]) {
            Err(error) => self.found(package.file, format!("/{place}: {}", error.message)),
            Ok(facts) => {
                for cause in misplaced(package.name, module, &facts) {
                    self.found(package.file, format!("/{place}: {cause}"));
                }
            }
        }
        // Packages are looked at side by side, and two of them may have the same module: each has its own directory.
        if let Err(error) = sign::verify_module(&path, &self.trust.certificate, at) {
            let unsigned = error.message.ends_with("it is not signed");
            let cause =
                if unsigned { "it is not signed" } else { "its signature is not the certificate's, of these bytes" };
            self.found(package.file, format!("/{place}: {cause}"));
        }
        Ok(())
    }

    fn twins(&self, package: &Package<'_>, at: &Path, files: &[PathBuf]) {
        for file in files {
            let Some((_, twin)) = TWINS.iter().find(|(twin, _)| name(file) == *twin) else { continue };
            if fs::read(at.join(file)).ok() != fs::read(self.dist.join(twin)).ok() {
                self.found(package.file, format!("/{} is not {twin}", file.display()));
            }
        }
    }
}

/// What does not fit: the module's facts (name, licence, vermagic), its path and its package's name.
fn misplaced(package: &str, module: &Path, facts: &[String]) -> Vec<String> {
    let fact = |index: usize| facts.get(index).map(String::as_str).unwrap_or_default();
    let release = fact(2).split(' ').next().unwrap_or_default();
    let mut parts = module.iter().map(|part| part.to_string_lossy());
    let place = parts.by_ref().find(|part| part == "modules").and_then(|_| parts.next()).unwrap_or_default();
    let mut causes = Vec::new();
    // A module of a kernel before 4.13 does not say its name.
    if !["involflt", ""].contains(&fact(0)) {
        causes.push(format!("it is the module {}", fact(0)));
    }
    if !LICENCES.contains(&fact(1)) {
        causes.push(format!("its licence is {}", fact(1)));
    }
    if place != release {
        causes.push(format!("it is for kernel {release}, and lies where those of {place} do"));
    }
    let wanted = package.strip_prefix("involflt-kmod-").is_some_and(|wanted| wanted != release);
    let flavour = package.strip_prefix("involflt-kmp-").is_some_and(|one| !release.ends_with(&format!("-{one}")));
    if wanted || flavour {
        causes.push(format!("it is for kernel {release}, not for the one in the package's name"));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "lib/modules/6.1.0-56-amd64/updates/involflt/involflt.ko";

    fn facts(release: &str) -> Vec<String> {
        ["involflt", "GPL v2", &format!("{release} SMP preempt")].map(String::from).to_vec()
    }

    #[test]
    fn a_module_belongs_to_the_kernel_in_its_path_and_its_package() {
        let good = facts("6.1.0-56-amd64");
        for package in ["involflt-kmod-6.1.0-56-amd64", "involflt-kmp-amd64", "involflt-kmod", "kmod-involflt"] {
            assert!(misplaced(package, Path::new(PLACE), &good).is_empty(), "{package}");
        }
        let of_4_4 = ["", "GPL v2", "6.1.0-56-amd64 SMP"].map(String::from);
        assert!(misplaced("involflt-kmod", Path::new(PLACE), &of_4_4).is_empty());
        assert_eq!(misplaced("involflt-kmod-6.1.0-55-amd64", Path::new(PLACE), &good).len(), 1);
        assert_eq!(misplaced("involflt-kmp-default", Path::new(PLACE), &good).len(), 1);
        assert_eq!(misplaced("involflt-kmod", Path::new(PLACE), &facts("6.1.0-55-amd64")).len(), 1);
        assert_eq!(misplaced("involflt-kmod", Path::new("usr/bin/involflt.ko"), &good).len(), 1);
    }

    #[test]
    fn another_module_or_another_licence_is_named() {
        let other = ["evil", "Proprietary", "6.1.0-56-amd64 SMP"].map(String::from);
        let causes = misplaced("involflt-kmod", Path::new(PLACE), &other);
        assert!(causes[0].contains("evil") && causes[1].contains("Proprietary"), "{causes:?}");
    }
}
