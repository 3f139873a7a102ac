// SPDX-License-Identifier: GPL-2.0-only
//! Which packages there are, and what goes into each.

use super::recipe::{Arch, Form, Recipe};
use super::version;
use crate::check;
use crate::ctl_program::CtlProgram;
use crate::error::{AtPath, Result};
use crate::lock::LockedKernel;
use crate::resolve::compare_versions;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Who answers for the packages.
pub const MAINTAINER: &str = "The involflt developers <involflt@users.noreply.github.com>";
/// The same as RPMs have it.
const VENDOR: &str = "The involflt developers";

/// A module that is ready for its package.
#[derive(Debug, Clone)]
pub struct SignedModule<'a> {
    /// The kernel that it is for.
    pub kernel: &'a LockedKernel,
    /// The signed `involflt.ko`.
    pub module: PathBuf,
    /// `Module.symvers` of the kernel.
    pub symvers: PathBuf,
}

/// The two families of RPM distributions, which name and place modules differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Kernel module packages of SUSE: `involflt-kmp-<flavour>`, `ksym(flavour:symbol) = crc`.
    Suse,
    /// Those of Red Hat and its rebuilds: `kmod-involflt`, `kernel(symbol) = 0xcrc`.
    Rhel,
}

/// A kernel as an RPM of its module sees it.
#[derive(Debug, Clone)]
pub struct RpmKernel<'a> {
    /// Names and places.
    pub family: Family,
    /// Kernel flavour: `default`.
    pub flavour: &'a str,
    /// Name of the kernel's package: `kernel-default`.
    pub package: &'a str,
    /// Kernel release, as `uname -r` prints it.
    pub release: &'a str,
    /// Version of the kernel's package.
    pub version: &'a str,
}

/// The public halves of what everything is signed with.
#[derive(Debug, Clone, Copy)]
pub struct PublicKeys<'a> {
    /// The repositories' key, binary.
    pub keyring: &'a Path,
    /// The same, armoured.
    pub armoured: &'a Path,
    /// Its fingerprint.
    pub fingerprint: &'a str,
    /// The modules' certificate, DER.
    pub certificate: &'a Path,
}

/// What all recipes of a run share.
#[derive(Debug, Clone, Copy)]
pub struct Recipes<'a> {
    /// Whether what is signed is signed with a development key, which every description must say.
    pub development: bool,
    /// The licence's text.
    pub licence: &'a Path,
}

impl Recipes<'_> {
    /// The module of one kernel as a Debian package.
    pub fn kmod_kernel(&self, signed: &SignedModule<'_>) -> Recipe {
        let kernel = signed.kernel;
        Recipe {
            name: format!("involflt-kmod-{}", kernel.kernel),
            arch: Arch::Amd64,
            form: Form::Deb(version::deb_modules(&kernel.release, version::of_kernel(kernel))),
            template: "kmod-kernel",
            values: self
                .values(json!({ "kernel": kernel.kernel, "modules_dir": merged(&kernel.release, "lib/modules") })),
            files: vec![("involflt.ko".into(), signed.module.clone())],
        }
    }

    /// What people install on Debian: the modules of all kernels of one release. `None` for no kernels.
    pub fn kmod(&self, release: &str, signed: &[&SignedModule<'_>]) -> Option<Recipe> {
        let newest = signed
            .iter()
            .map(|one| version::of_kernel(one.kernel))
            .max_by(|one, other| compare_versions(one, other))?;
        let mut kernels: Vec<&str> = signed.iter().map(|one| one.kernel.kernel.as_str()).collect();
        kernels.sort_unstable();
        let file = |one: &&SignedModule<'_>| (format!("modules/{}/involflt.ko", one.kernel.kernel), one.module.clone());
        Some(Recipe {
            name: "involflt-kmod".into(),
            arch: Arch::Amd64,
            form: Form::Deb(version::deb_modules(release, newest)),
            template: "kmod",
            values: self.values(json!({ "kernels": kernels, "depmod_dir": merged(release, "lib/depmod.d") })),
            files: signed.iter().map(file).collect(),
        })
    }

    /// The module of one kernel as an RPM.
    pub fn kmp(&self, kernel: &RpmKernel<'_>, module: &Path) -> Result<Recipe> {
        let data = fs::read(module).at_path(module)?;
        let symbols: Vec<Value> = check::imports(&data)?
            .into_iter()
            .map(|(name, crc)| json!({ "name": name, "crc": format!("{crc:08x}") }))
            .collect();
        let (name, family, place) = match kernel.family {
            Family::Suse => (format!("involflt-kmp-{}", kernel.flavour), "suse", "updates"),
            Family::Rhel => ("kmod-involflt".to_string(), "rhel", "extra"),
        };
        let modules = format!("/lib/modules/{}", kernel.release);
        Ok(Recipe {
            name,
            arch: Arch::Amd64,
            form: Form::Rpm(version::rpm_module(kernel.version), version::REVISION.into()),
            template: "kmp",
            values: self.values(json!({
                "family": family,
                "flavour": kernel.flavour,
                "kernel_package": kernel.package,
                "kernel": kernel.release,
                "module_path": format!("{modules}/{place}/involflt/involflt.ko"),
                "module_dirs": [format!("{modules}/{place}/involflt"), format!("{modules}/{place}")],
                "symbols": symbols,
            })),
            files: vec![("involflt.ko".into(), module.to_path_buf()), ("COPYING".into(), self.licence.to_path_buf())],
        })
    }

    /// The public keys as packages, in both forms.
    pub fn keys(&self, keys: &PublicKeys<'_>) -> Vec<Recipe> {
        let values = json!({ "fingerprint": keys.fingerprint });
        let keyring = [
            ("involflt-archive-keyring.gpg".to_string(), keys.keyring.to_path_buf()),
            ("involflt-archive-keyring.asc".to_string(), keys.armoured.to_path_buf()),
        ];
        let certificate = [("involflt-module.der".to_string(), keys.certificate.to_path_buf())];
        let keyring = self.both("involflt-keyring", Arch::All, "keyring", &values, &keyring);
        let certificate = self.both("involflt-ueficert", Arch::All, "ueficert", &values, &certificate);
        keyring.into_iter().chain(certificate).collect()
    }

    /// involfltctl and what starts it, in both forms.
    pub fn utils(&self, program: &CtlProgram) -> Vec<Recipe> {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pages: Vec<String> = program.man.iter().map(name).collect();
        let completions = [&program.bash, &program.zsh, &program.fish];
        let mut files = vec![("involfltctl".to_string(), program.binary.clone())];
        files.extend(program.man.iter().map(|page| (format!("man/{}", name(page)), page.clone())));
        files.extend(completions.into_iter().map(|path| (format!("completions/{}", name(path)), path.clone())));
        self.both("involflt-utils", Arch::Amd64, "utils", &json!({ "pages": pages }), &files).into()
    }

    /// The DKMS source, in both forms; `tree` has the files as they are installed, with their modes.
    pub fn dkms(&self, tree: &Path) -> Result<[Recipe; 2]> {
        let mut listed = Vec::new();
        let mut files = Vec::new();
        let mut dirs = BTreeSet::new();
        for path in crate::tree::files(tree)? {
            // `usr/src` itself, and what is above it, is not ours.
            let below =
                path.ancestors().skip(1).filter(|dir| dir.starts_with("usr/src") && *dir != Path::new("usr/src"));
            dirs.extend(below.map(|dir| format!("/{}", dir.display())));
            let from = tree.join(&path);
            let executable = from.metadata().at_path(&from)?.permissions().mode() & 0o111 != 0;
            let path = path.to_string_lossy().into_owned();
            listed.push(json!({ "path": path, "mode": if executable { "755" } else { "644" } }));
            files.push((format!("tree/{path}"), from));
        }
        let deepest_first: Vec<String> = dirs.into_iter().rev().collect();
        Ok(self.both("involflt-dkms", Arch::Amd64, "dkms", &json!({ "files": listed, "dirs": deepest_first }), &files))
    }

    /// A Debian package and an RPM from one template.
    fn both(
        &self,
        name: &str,
        arch: Arch,
        template: &'static str,
        values: &Value,
        files: &[(String, PathBuf)],
    ) -> [Recipe; 2] {
        let forms = [Form::Deb(version::deb()), Form::Rpm(version::DRIVER.to_string(), version::REVISION.to_string())];
        forms.map(|form| Recipe {
            name: name.to_string(),
            arch,
            form,
            template,
            values: self.values(values.clone()),
            files: files.iter().cloned().chain([("COPYING".to_string(), self.licence.to_path_buf())]).collect(),
        })
    }

    /// What every template is given.
    fn values(&self, mut own: Value) -> Value {
        let note = "Signed with the DEVELOPMENT KEY of a local build: for tests, not for production.";
        own["driver"] = version::DRIVER.into();
        own["maintainer"] = MAINTAINER.into();
        own["vendor"] = VENDOR.into();
        own["key_note"] = if self.development { note } else { "" }.into();
        own["key_suffix"] = if self.development { " (DEVELOPMENT KEY)" } else { "" }.into();
        own
    }
}

/// Where a file of `/lib` is: packages of releases from trixie on must say `/usr/lib`. Ubuntu's kernels are in `/lib` to 24.04,
/// and to 18.04 that is a directory of its own.
fn merged(release: &str, dir: &str) -> String {
    match release {
        "bullseye" | "bookworm" | "xenial" | "bionic" | "focal" | "jammy" | "noble" => dir.to_string(),
        _ => format!("usr/{dir}"),
    }
}
