// SPDX-License-Identifier: GPL-2.0-only
//! What a kernel's own `.config` says, read from its headers package and kept in the store by that package's hash.

use super::candidate::Candidate;
use crate::error::{AtPath, Error, Kind, Result};
use crate::kdir;
use crate::kernels::Layout;
use crate::rpm_signature::Signers;
use crate::store::{Origin, Store};
use crate::unpack;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};

/// Facts of one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// `gcc-12`.
    pub compiler: String,
    /// `CONFIG_CC_VERSION_TEXT`.
    pub compiler_version: String,
    /// `CONFIG_RUSTC_VERSION_TEXT`, where there is `CONFIG_RUST=y`.
    pub rustc: Option<String>,
    /// `CONFIG_MODVERSIONS=y`.
    pub modversions: bool,
    /// What a kernel of SUSE says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suse: Option<Suse>,
    /// `UTS_RELEASE` of `utsrelease.h`; read for rpm distributions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// `CONFIG_SUSE_VERSION` and `CONFIG_SUSE_PATCHLEVEL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suse {
    /// 12, 15, 16.
    pub version: u32,
    /// The service pack.
    pub service_pack: u32,
}

/// Facts of a candidate, from the store or from its headers package, which is of `layout` and signed by `signers` where it is
/// an rpm.
pub fn read(
    candidate: &Candidate,
    layout: Option<Layout>,
    signers: Option<Signers<'_>>,
    store: &Store,
    offline: bool,
) -> Result<Facts> {
    let headers = &candidate.packages[0];
    let origin = Origin { archive: &candidate.archive, signers };
    let path = store.entry("facts", &format!("{}.json", headers.sha256), |path| {
        let package = store.package(headers, origin, offline).map_err(|error| refused(candidate, offline, error))?;
        let facts = match layout {
            None => from_deb(&config(&package, &candidate.kernel)?)?,
            Some(layout) => from_rpm(&package, layout, candidate)?,
        };
        std::fs::write(path, serde_json::to_vec(&facts).expect("facts are plain data")).at_path(path)
    })?;
    let text = std::fs::read(&path).at_path(&path)?;
    let facts: Facts = serde_json::from_slice(&text).map_err(|error| {
        Error::infra(format!("{}: {error}", path.display())).note(format!("remove it: rm {}", path.display()))
    })?;
    match &candidate.compiler {
        Some(needed) if *needed != facts.compiler => Err(Error::kernel(format!(
            "{}: its headers depend on {needed}, but its .config says that {} built it",
            candidate.kernel, facts.compiler
        ))),
        _ => Ok(facts),
    }
}

/// The store speaks of the lock; here the package was just read from an index. Offline, one kernel that the store does
/// not have says nothing of the others.
fn refused(candidate: &Candidate, offline: bool, error: Error) -> Error {
    if offline {
        return Error { kind: Kind::Kernel, ..error };
    }
    if error.kind != Kind::Kernel {
        return error;
    }
    let Candidate { suite, archive, packages, .. } = candidate;
    let path = &packages[0].path;
    Error::kernel(format!("the index of {suite} lists {path}, and the mirror {archive} does not have it"))
}

/// Of a headers package of Debian or Ubuntu, whose archives have compilers of several numbers.
fn from_deb(config: &str) -> Result<Facts> {
    let facts = from_config(config)?;
    let number: Option<u32> = value(config, "CONFIG_GCC_VERSION").and_then(|number| number.parse().ok());
    let major = number.map(|number| number / 10_000).filter(|major| *major > 0 && facts.compiler == "gcc");
    Ok(Facts { compiler: major.map_or(facts.compiler, |major| format!("gcc-{major}")), ..facts })
}

/// The same of a headers package that is an rpm.
fn from_rpm(package: &Path, layout: Layout, candidate: &Candidate) -> Result<Facts> {
    let kdir = kdir::inside(Some(layout), &candidate.kernel, &candidate.flavour);
    let member = |name: &str| unpack::rpm_member(package, &format!("{kdir}/{name}"));
    let mut facts = from_config(&member(".config")?)?;
    let header = member("include/generated/utsrelease.h")?;
    facts.release = header.split('"').nth(1).map(String::from);
    Ok(facts)
}

/// The `.config` inside a headers package.
fn config(package: &Path, kernel: &str) -> Result<String> {
    let member = format!("./usr/src/linux-headers-{kernel}/.config");
    let mut unpack = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .at_path("dpkg-deb")?;
    let tar = unpack.stdout.take().expect("is piped");
    let output = Command::new("tar").args(["-xO", "--occurrence=1", &member]).stdin(tar).output().at_path("tar")?;
    // tar stops at the member, so dpkg-deb may end with a broken pipe; tar alone says whether the member was there.
    unpack.wait().at_path("dpkg-deb")?;
    if output.status.success() && !output.stdout.is_empty() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::kernel(format!("{}: has no {member}", package.display())))
}

fn value<'a>(config: &'a str, name: &str) -> Option<&'a str> {
    config.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

fn from_config(config: &str) -> Result<Facts> {
    let value = |name: &str| value(config, name);
    let text = |name: &str| value(name).map(|value| value.trim_matches('"').to_owned());
    if value("CONFIG_MODULES") != Some("y") {
        return Err(Error::kernel("the .config of its headers has no CONFIG_MODULES=y"));
    }
    let (compiler, compiler_version) = compiler(text("CONFIG_CC_VERSION_TEXT"), value("CONFIG_GCC_VERSION"));
    let rust = value("CONFIG_RUST") == Some("y");
    let rustc = if rust {
        let missing = || Error::kernel("the .config of its headers has CONFIG_RUST=y and no CONFIG_RUSTC_VERSION_TEXT");
        Some(text("CONFIG_RUSTC_VERSION_TEXT").ok_or_else(missing)?)
    } else {
        None
    };
    let number = |name: &str| value(name).and_then(|value| value.parse().ok());
    let suse = number("CONFIG_SUSE_VERSION").zip(number("CONFIG_SUSE_PATCHLEVEL"));
    let suse = suse.map(|(version, service_pack)| Suse { version, service_pack });
    let modversions = value("CONFIG_MODVERSIONS") == Some("y");
    Ok(Facts { compiler, compiler_version, rustc, modversions, suse, release: None })
}

/// Command and version. Kernels before 5.8 have no text; there the number tells, `90400` for 9.4.0. Those before 4.18 have
/// neither, and were built with the one compiler of their release.
fn compiler(text: Option<String>, number: Option<&str>) -> (String, String) {
    let by_number = || {
        let number: u32 = number?.parse().ok()?;
        Some(format!("gcc {}.{}.{}", number / 10_000, number / 100 % 100, number % 100))
    };
    let version = text.or_else(by_number).unwrap_or_else(|| "gcc of the release".into());
    let command = version.split(' ').next().unwrap_or("");
    (command.find("gcc").map_or(command, |start| &command[start..]).to_owned(), version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_named_by_its_text_or_by_its_number() {
        let facts = |config: &str| {
            let facts = from_deb(&format!("CONFIG_MODULES=y\n{config}")).unwrap();
            (facts.compiler, facts.compiler_version)
        };
        let pair = |one: &str, other: &str| (one.to_string(), other.to_string());
        let ubuntu =
            "CONFIG_CC_VERSION_TEXT=\"gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0\"\nCONFIG_GCC_VERSION=110400\n";
        assert_eq!(facts(ubuntu), pair("gcc-11", "gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0"));
        assert_eq!(facts("CONFIG_GCC_VERSION=90400\n"), pair("gcc-9", "gcc 9.4.0"));
        assert_eq!(facts(""), pair("gcc", "gcc of the release"));
        let debian = "CONFIG_CC_VERSION_TEXT=\"gcc-12 (Debian) 12.2.0\"\nCONFIG_GCC_VERSION=120200\n";
        assert_eq!(facts(debian), pair("gcc-12", "gcc-12 (Debian) 12.2.0"));
    }

    #[test]
    fn a_config_gives_compiler_rust_and_modversions() {
        let old = "CONFIG_MODULES=y\nCONFIG_CC_VERSION_TEXT=\"gcc-10 (Debian 10.2.1-6) 10.2.1 20210110\"\n# CONFIG_RUST is not set\nCONFIG_MODVERSIONS=y\n";
        let facts = from_config(old).unwrap();
        assert_eq!((facts.compiler.as_str(), facts.rustc, facts.modversions), ("gcc-10", None, true));
        let new = "CONFIG_MODULES=y\nCONFIG_CC_VERSION_TEXT=\"x86_64-linux-gnu-gcc-16 (Debian 16.1.0-1) 16.1.0\"\nCONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"rustc 1.97.1\"\nCONFIG_MODVERSIONS_X=y\n";
        let facts = from_config(new).unwrap();
        assert_eq!((facts.compiler.as_str(), facts.modversions), ("gcc-16", false));
        assert_eq!(facts.rustc.as_deref(), Some("rustc 1.97.1"));
    }

    #[test]
    fn a_config_that_is_none_or_names_no_rustc_is_refused() {
        assert!(from_config("CONFIG_MODVERSIONS=y\n").unwrap_err().message.contains("CONFIG_MODULES"));
        let half = "CONFIG_MODULES=y\nCONFIG_CC_VERSION_TEXT=\"gcc-14 14\"\nCONFIG_RUST=y\n";
        assert!(from_config(half).unwrap_err().message.contains("CONFIG_RUSTC_VERSION_TEXT"));
    }
}
