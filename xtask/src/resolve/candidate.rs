// SPDX-License-Identifier: GPL-2.0-only
//! Kernels as the indices show them: which packages belong to one kernel, before any package was looked into.

use super::index::Stanza;
use super::version;
use crate::lock::{LockedPackage, Role};
use std::collections::HashMap;

/// The kernel packages of one suite.
#[derive(Debug)]
pub struct SuiteIndex {
    /// `bookworm-security`.
    pub suite: String,
    /// Base URL of the archive that the suite is in.
    pub archive: String,
    /// Its packages.
    pub stanzas: Vec<Stanza>,
}

/// A kernel of which every package that a build and a boot need is in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `bookworm-security`.
    pub suite: String,
    /// Base URL of the archive.
    pub archive: String,
    /// `cloud-amd64`.
    pub flavour: String,
    /// As `uname -r` prints it.
    pub kernel: String,
    /// Package version.
    pub version: String,
    /// Source package: `linux`, or `linux-6.12` for a series beside the suite's own.
    pub source_name: String,
    /// KDIR and image packages, headers first.
    pub packages: Vec<LockedPackage>,
    /// The source package of this very version, where the archive has it.
    pub source: Option<LockedPackage>,
    /// The compiler that the headers depend on.
    pub compiler: Option<String>,
}

/// A kernel that lacks a package: uploads reach an archive in steps, and leave it in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomplete {
    /// `bookworm-security`.
    pub suite: String,
    /// `cloud-amd64`.
    pub flavour: String,
    /// As `uname -r` would print it.
    pub kernel: String,
    /// Package version.
    pub version: String,
    /// Source package.
    pub source_name: String,
    /// Name of the package that is not there.
    pub missing: String,
}

/// What was found in an archive.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Complete kernels.
    pub kernels: Vec<Candidate>,
    /// The others.
    pub incomplete: Vec<Incomplete>,
}

/// The packages of one archive by name.
struct Pool<'a>(HashMap<&'a str, Vec<&'a Stanza>>);

impl<'a> Pool<'a> {
    fn new(stanzas: impl Iterator<Item = &'a Stanza>) -> Self {
        let mut pool: HashMap<_, Vec<_>> = HashMap::new();
        for stanza in stanzas {
            pool.entry(stanza.name.as_str()).or_default().push(stanza);
        }
        Pool(pool)
    }

    /// The package of exactly this version.
    fn get(&self, name: &str, version: &str) -> Option<&'a Stanza> {
        self.0.get(name)?.iter().find(|stanza| stanza.version == version).copied()
    }

    /// A part of a kernel: of its very version, save that one linux-kbuild serves a whole series, and apt takes the
    /// newest that is not older than the kernel.
    fn part(&self, name: &str, version: &str) -> Option<&'a Stanza> {
        self.get(name, version).or_else(|| {
            let versions = self.0.get(name).filter(|_| name.starts_with(KBUILD))?;
            let newest = versions.iter().copied().max_by(|a, b| version::compare(&a.version, &b.version))?;
            version::compare(&newest.version, version).is_ge().then_some(newest)
        })
    }
}

/// The host programs of Kbuild, and objtool.
const KBUILD: &str = "linux-kbuild-";

/// What an image may be split into.
const IMAGE_PARTS: [&str; 4] = ["linux-image-", "linux-base-", "linux-binary-", "linux-modules-"];

/// Finds the kernels of one release. A kernel's packages all come from one archive.
pub fn find(indices: &[SuiteIndex]) -> Found {
    let mut found = Found::default();
    for index in indices {
        let same_archive = indices.iter().filter(|other| other.archive == index.archive);
        let pool = Pool::new(same_archive.flat_map(|other| &other.stanzas));
        for headers in &index.stanzas {
            let Some(names) = names(headers) else { continue };
            let Names { kernel, flavour, .. } = names;
            match complete(&pool, index, headers, &names) {
                Ok(candidate) => found.kernels.push(candidate),
                Err(missing) => found.incomplete.push(Incomplete {
                    suite: index.suite.clone(),
                    flavour: flavour.into(),
                    kernel: kernel.into(),
                    version: headers.version.clone(),
                    source_name: headers.source.clone(),
                    missing,
                }),
            }
        }
    }
    found
}

/// What a headers package says by its name and its dependencies.
struct Names<'a> {
    /// As `uname -r` prints it.
    kernel: &'a str,
    /// What the kernel's name has after that of the shared headers.
    flavour: &'a str,
    /// The package of headers that flavours share.
    shared: &'a str,
}

/// Debian's shared headers are `linux-headers-6.1.0-56-common`, Ubuntu's `linux-headers-6.8.0-151` and
/// `linux-azure-6.8-headers-6.8.0-1074`. Meta packages depend on none of their own, and are no kernels.
fn names(headers: &Stanza) -> Option<Names<'_>> {
    let kernel = headers.name.strip_prefix("linux-headers-")?;
    headers.depends.iter().flatten().find_map(|shared| {
        let (_, rest) = shared.strip_prefix("linux-")?.rsplit_once("headers-")?;
        let common = ["-common", "-common-rt"].iter().find_map(|ending| rest.strip_suffix(ending)).unwrap_or(rest);
        let flavour = kernel.strip_prefix(common)?.strip_prefix('-')?;
        Some(Names { kernel, flavour, shared })
    })
}

fn complete(pool: &Pool, index: &SuiteIndex, headers: &Stanza, names: &Names<'_>) -> Result<Candidate, String> {
    let Names { kernel, flavour, shared } = *names;
    let version = headers.version.as_str();
    let kdir = closure(pool, headers, |name| {
        name == shared || name.starts_with(KBUILD) || (name.starts_with("linux-headers-") && name.contains("-common"))
    })?;
    let image = image(pool, kernel, version)?;
    let lock = |role| move |stanza: &&Stanza| locked(role, stanza);
    let packages = kdir.iter().map(lock(Role::Kdir)).chain(image.iter().map(lock(Role::Image))).collect();
    Ok(Candidate {
        suite: index.suite.clone(),
        archive: index.archive.clone(),
        flavour: flavour.into(),
        kernel: kernel.into(),
        version: version.into(),
        source_name: headers.source.clone(),
        packages,
        source: pool.get(&source_package(version), version).map(|stanza| locked(Role::Source, stanza)),
        compiler: headers.depends.iter().flatten().find_map(|name| compiler(name)),
    })
}

/// The signed image where there is one, else the unsigned one that precedes it; with its parts where it is split.
fn image<'a>(pool: &Pool<'a>, kernel: &str, version: &str) -> Result<Vec<&'a Stanza>, String> {
    let suffix = format!("-{kernel}");
    let part = |name: &str| IMAGE_PARTS.iter().any(|start| name.starts_with(start)) && name.ends_with(&suffix);
    let whole = |name: String| {
        let image = pool.get(&name, version).ok_or(name)?;
        let mut parts = closure(pool, image, part)?;
        // Ubuntu's, which nothing depends on: it has drivers that few machines need.
        let extra = [format!("linux-modules-extra-{kernel}"), format!("linux-image-extra-{kernel}")];
        parts.extend(extra.iter().filter_map(|name| pool.get(name, version)));
        Ok(parts)
    };
    let unsigned =
        || whole(format!("linux-image-{kernel}-unsigned")).or_else(|_| whole(format!("linux-image-unsigned-{kernel}")));
    whole(format!("linux-image-{kernel}")).or_else(|missing| unsigned().map_err(|_| missing))
}

/// `start` and everything it depends on of the same version whose name is `wanted`.
fn closure<'a>(pool: &Pool<'a>, start: &'a Stanza, wanted: impl Fn(&str) -> bool) -> Result<Vec<&'a Stanza>, String> {
    let mut all = vec![start];
    let mut next = 0;
    while let Some(stanza) = all.get(next).copied() {
        next += 1;
        for alternatives in &stanza.depends {
            let mut names = alternatives.iter().filter(|name| wanted(name)).peekable();
            let Some(first) = names.peek().map(|name| name.to_string()) else { continue };
            let there = names.find_map(|name| pool.part(name, &start.version));
            let package = there.ok_or(first)?;
            if !all.iter().any(|known| known.name == package.name) {
                all.push(package);
            }
        }
    }
    Ok(all)
}

/// `linux-source-7.2` for `7.2.13-1`.
fn source_package(version: &str) -> String {
    let upstream = version.split(['-', '~']).next().unwrap_or(version);
    let series: Vec<&str> = upstream.split('.').take(2).collect();
    format!("linux-source-{}", series.join("."))
}

/// `gcc-12` of `linux-compiler-gcc-12-x86`, `gcc-14`, `gcc-16-for-host`.
fn compiler(name: &str) -> Option<String> {
    let name = name.strip_prefix("linux-compiler-").unwrap_or(name);
    let number = name.strip_prefix("gcc-")?.split('-').next()?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("gcc-{number}"))
}

fn locked(role: Role, stanza: &Stanza) -> LockedPackage {
    LockedPackage {
        role,
        name: stanza.name.clone(),
        version: stanza.version.clone(),
        path: stanza.path.clone(),
        size: stanza.size,
        sha256: stanza.sha256.clone(),
    }
}
