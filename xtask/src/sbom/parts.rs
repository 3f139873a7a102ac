// SPDX-License-Identifier: GPL-2.0-only
//! What a package was made of, beside our own source.

use crate::error::{AtPath, Error, Result};
use crate::lock::{LockedKernel, Role};
use crate::work_tree;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// How a part came into a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Its code is in the package.
    Linked,
    /// The package was built with it.
    BuiltWith,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Its name where it comes from.
    pub name: String,
    /// Its version there.
    pub version: String,
    /// Package URL; unique among the parts of a package.
    pub purl: String,
    /// Licence, an SPDX expression, where it is known.
    pub licence: Option<String>,
    /// SHA-256 of the package or archive that it came in, where it is known.
    pub sha256: Option<String>,
    /// How it came into the package.
    pub relation: Relation,
}

/// The Rust `core` crate of a compiler's release: `1.85.0` or what Debian's package of rust-src is versioned.
pub fn core_crate(version: &str) -> Part {
    Part {
        name: "core".into(),
        version: version.into(),
        purl: format!("pkg:generic/rust-core@{}", version.replace('+', "%2B")),
        licence: Some("MIT OR Apache-2.0".into()),
        sha256: None,
        relation: Relation::Linked,
    }
}

/// The type of a package URL, of purl's own list.
fn purl_type(package: &crate::lock::LockedPackage) -> &'static str {
    if package.path.ends_with(".rpm") { "rpm" } else { "deb" }
}

/// The packages that a kernel's module was built with.
pub fn kernel_packages(kernel: &LockedKernel) -> Vec<Part> {
    let wanted = kernel.packages.iter().filter(|package| package.role != Role::Image);
    let part = |package: &crate::lock::LockedPackage| Part {
        name: package.name.clone(),
        version: package.version.clone(),
        purl: format!("pkg:{}/{}/{}@{}", purl_type(package), kernel.distro, package.name, package.version)
            .replace('+', "%2B")
            + &format!("?distro={}", kernel.release),
        licence: None,
        sha256: Some(package.sha256.clone()),
        relation: Relation::BuiltWith,
    };
    wanted.map(part).collect()
}

/// The crates that are linked into a program of this workspace, by Cargo.lock.
pub fn crates_of(program: &str) -> Result<Vec<Part>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu", "--manifest-path"])
        .arg(work_tree::top().join("Cargo.toml"))
        .output()
        .at_path("cargo")?;
    if !output.status.success() {
        return Err(Error::infra(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let lock = work_tree::top().join("Cargo.lock");
    parse(&String::from_utf8_lossy(&output.stdout), &std::fs::read_to_string(&lock).at_path(&lock)?, program)
        .map_err(|error| Error::infra(format!("cargo metadata: {error}")))
}

/// The version of a Debian package in a root.
pub fn debian_version(root: &Path, package: &str) -> Result<String> {
    let mut command = Command::new("dpkg-query");
    command.arg("--admindir").arg(root.join("var/lib/dpkg")).args(["--show", "--showformat=${Version}", package]);
    let output = command.output().at_path("dpkg-query")?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Error::infra(format!("{}: {package} is not installed there", root.display()))),
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Crate>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Crate {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// Registry; none for the workspace's own.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// None for what is linked; `build` and `dev` are not.
    kind: Option<String>,
}

fn parse(metadata: &str, lock: &str, program: &str) -> std::result::Result<Vec<Part>, String> {
    let metadata: Metadata = serde_json::from_str(metadata).map_err(|error| error.to_string())?;
    let crates: BTreeMap<&str, &Crate> = metadata.packages.iter().map(|one| (one.id.as_str(), one)).collect();
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let first = metadata.packages.iter().find(|one| one.name == program && one.source.is_none());
    let mut open = vec![first.ok_or_else(|| format!("no {program} in the workspace"))?.id.as_str()];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let linked = |one: &&Dependency| one.dep_kinds.iter().any(|kind| kind.kind.is_none());
            let node = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            open.extend(node.filter(linked).map(|one| one.pkg.as_str()));
        }
    }
    let mut parts: Vec<Part> = seen
        .into_iter()
        .filter_map(|id| crates.get(id).filter(|one| one.source.is_some()))
        .map(|one| crate_part(one, lock))
        .collect();
    parts.sort();
    Ok(parts)
}

fn crate_part(one: &Crate, lock: &str) -> Part {
    Part {
        name: one.name.clone(),
        version: one.version.clone(),
        purl: format!("pkg:cargo/{}@{}", one.name, one.version),
        // Older crates say it with a slash.
        licence: one.license.as_ref().map(|licence| licence.replace('/', " OR ")),
        sha256: checksum(lock, &one.name, &one.version),
        relation: Relation::Linked,
    }
}

/// A crate's checksum in the text of Cargo.lock.
fn checksum(lock: &str, name: &str, version: &str) -> Option<String> {
    let head = format!("name = \"{name}\"\nversion = \"{version}\"\n");
    let stanza = lock.split("[[package]]\n").find(|stanza| stanza.starts_with(&head))?;
    let line = stanza.lines().find_map(|line| line.strip_prefix("checksum = "))?;
    Some(line.trim_matches('"').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_only_build_or_test_are_not_linked() {
        let metadata = r#"{"packages":[
            {"id":"p","name":"prog","version":"0.1.0","license":"GPL-2.0-only","source":null},
            {"id":"a","name":"a","version":"1.0.0","license":"MIT/Apache-2.0","source":"registry"},
            {"id":"b","name":"b","version":"2.0.0","license":"MIT","source":"registry"},
            {"id":"c","name":"c","version":"3.0.0","license":null,"source":"registry"}],
          "resolve":{"nodes":[
            {"id":"p","deps":[{"pkg":"a","dep_kinds":[{"kind":null}]},{"pkg":"b","dep_kinds":[{"kind":"dev"}]}]},
            {"id":"a","deps":[{"pkg":"c","dep_kinds":[{"kind":"build"},{"kind":null}]}]},
            {"id":"b","deps":[]},{"id":"c","deps":[]}]}}"#;
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"x\"\nchecksum = \"abcd\"\n\n";
        let parts = parse(metadata, lock, "prog").unwrap();
        assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(parts[0].licence.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(parts[0].sha256.as_deref(), Some("abcd"));
        assert!(parse(metadata, lock, "other").is_err());
    }
}
