// SPDX-License-Identifier: GPL-2.0-only
//! KDIRs: unpacked once, mounted read-only; with the Rust metadata made anew where the kernel has Rust.

use crate::build::Farm;
use crate::container::{Job, Mount};
use crate::error::{AtPath, Error, Result};
use crate::kernels::{Distro, Layout};
use crate::lock::{LockedKernel, LockedPackage, Platform, Role};
use crate::root::Root;
use crate::store::{Store, key};
use crate::unpack;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a prepared source tree stands in the container, when it is made and when it is used.
const PREPARED: &str = "/usr/src/kdir";

/// A directory that modules are built against.
#[derive(Debug, Clone)]
pub struct Kdir {
    /// Its directory on the host.
    pub host: PathBuf,
    /// Its directory in the container.
    pub inside: String,
    /// Everything that the container has to see for it.
    pub mounts: Vec<Mount>,
    /// Changes whenever the KDIR's contents do.
    pub key: String,
}

/// The KDIR of a kernel; `stage` is told what is being done.
pub fn get(farm: &Farm<'_>, kernel: &LockedKernel, root: &Root, stage: &dyn Fn(&str)) -> Result<Kdir> {
    let headers = headers(kernel, farm.store, farm.offline, stage)?;
    match kernel.platform {
        Platform::Cglue => Ok(headers),
        Platform::Rfl => with_rust(farm, kernel, &headers, root, stage),
    }
}

fn packages(kernel: &LockedKernel, role: Role) -> impl Iterator<Item = &LockedPackage> {
    kernel.packages.iter().filter(move |package| package.role == role)
}

/// The KDIR as its packages have it: without Rust metadata.
pub fn headers(kernel: &LockedKernel, store: &Store, offline: bool, stage: &dyn Fn(&str)) -> Result<Kdir> {
    let hashes: Vec<&str> = packages(kernel, Role::Kdir).map(|package| package.sha256.as_str()).collect();
    let key = key(hashes);
    let tree = store.entry("kdirs", &key, |partial| {
        stage("download");
        let get = |package| store.package(package, kernel.origin(), offline);
        let files = packages(kernel, Role::Kdir).map(get).collect::<Result<Vec<_>>>()?;
        stage("unpack");
        files.iter().try_for_each(|file| match file.extension().is_some_and(|ending| ending == "rpm") {
            true => make_dir(partial).and_then(|()| unpack::rpm_into(file, partial)),
            false => unpack_deb(file, partial),
        })
    })?;
    let layout = Distro::find(&kernel.distro).and_then(Distro::layout);
    let inside = inside(layout, &kernel.kernel, &kernel.flavour);
    let host = tree.join(&inside[1..]);
    if !host.join("Makefile").exists() {
        return Err(Error::kernel(format!("its header packages hold no {inside}")));
    }
    Ok(Kdir { host, inside, mounts: mounts(&tree)?, key })
}

/// Where a kernel's packages put its KDIR; Debian's have no layout.
pub fn inside(layout: Option<Layout>, kernel: &str, flavour: &str) -> String {
    match layout {
        None | Some(Layout::Azure) => format!("/usr/src/linux-headers-{kernel}"),
        Some(Layout::Suse) => {
            let version = kernel.strip_suffix(&format!("-{flavour}")).unwrap_or(kernel);
            format!("/usr/src/linux-{version}-obj/x86_64/{flavour}")
        }
        Some(Layout::RedHat) => format!("/usr/src/kernels/{kernel}"),
    }
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at_path(path)
}

/// Unpacks a binary package's files below `to`.
pub fn unpack_deb(file: &Path, to: &Path) -> Result<()> {
    let output = Command::new("dpkg-deb").arg("-x").arg(file).arg(to).output().at_path("dpkg-deb")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::infra(format!("dpkg-deb -x {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim())))
}

/// Header packages hold absolute and relative links between these places, so each stands where it belongs.
fn mounts(tree: &Path) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for parent in ["usr/src", "usr/lib"] {
        let dir = tree.join(parent);
        if !dir.exists() {
            continue;
        }
        for entry in fs::read_dir(&dir).at_path(&dir)? {
            let entry = entry.at_path(&dir)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("linux-") || name == "kernels" {
                mounts.push(Mount::read_only(entry.path(), format!("/{parent}/{name}")));
            }
        }
    }
    mounts.sort_by(|one, other| one.inside.cmp(&other.inside));
    Ok(mounts)
}

/// The headers packages of a `CONFIG_RUST` kernel carry no Rust metadata: it is made from the kernel's source.
fn with_rust(
    farm: &Farm<'_>,
    kernel: &LockedKernel,
    headers: &Kdir,
    root: &Root,
    stage: &dyn Fn(&str),
) -> Result<Kdir> {
    let source = packages(kernel, Role::Source).next().ok_or_else(|| {
        Error::kernel("the kernel has Rust, but the lock has no source package to make its metadata from")
    })?;
    let key = key([headers.key.as_str(), &source.sha256, &root.tool_chain, PREPARE]);
    let tree = farm.store.entry("kdirs", &key, |partial| {
        stage("download");
        let source = farm.store.package(source, kernel.origin(), farm.offline)?;
        stage("rust metadata");
        prepare(farm, kernel, headers, &source, root, partial)
    })?;
    let mut mounts = headers.mounts.clone();
    mounts.push(Mount::read_only(&tree, PREPARED));
    Ok(Kdir { host: tree, inside: PREPARED.to_string(), mounts, key })
}

/// Runs in the container, in the directory that becomes the KDIR: `$1` headers, `$2` compiler, `$3` kernel release.
const PREPARE: &str = r#"set -eu
tar --extract --xz --strip-components=1 --file /source/linux-source-*.tar.xz
cp "$1/.config" .config
make -s CC="$2" HOSTCC=gcc olddefconfig
make -s -j"$(nproc)" CC="$2" HOSTCC=gcc KERNELRELEASE="$3" prepare modules_prepare
cp "$1/Module.symvers" Module.symvers
nm rust/*.o 2>/dev/null | sed -n 's/.* \(_R[^ ]*\)$/\1/p' | LC_ALL=C sort -u > .rust-symbols
"#;

fn prepare(
    farm: &Farm<'_>,
    kernel: &LockedKernel,
    headers: &Kdir,
    source: &Path,
    root: &Root,
    to: &Path,
) -> Result<()> {
    let log = farm.store.kind("logs")?.join(format!("kdir-{}.log", kernel.id()));
    let unpacked = to.with_extension("source");
    crate::store::remove(&unpacked)?;
    crate::store::remove(&log)?;
    unpack_deb(source, &unpacked)?;
    make_open_dir(to)?;
    let mut mounts = headers.mounts.clone();
    mounts.push(Mount::read_only(unpacked.join("usr/src"), "/source"));
    mounts.push(Mount::writable(to, PREPARED));
    let arguments = [&headers.inside, &kernel.compiler, &kernel.kernel];
    let mut command: Vec<String> = ["sh", "-c", PREPARE, "prepare"].map(String::from).to_vec();
    command.extend(arguments.map(String::clone));
    let done = farm.run(&Job { root: &root.path, mounts, directory: PREPARED, command, log: &log });
    crate::store::remove(&unpacked)?;
    if !done? {
        return Err(Error::kernel("its Rust metadata could not be made").note(format!("the log is {}", log.display())));
    }
    check_rust_symbols(to)
}

/// A directory that the container's user, whoever that is on the host, may write to.
pub fn make_open_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at_path(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).at_path(path)
}

/// Metadata that lacks a symbol of the running kernel was not made from the same kernel: it is refused.
fn check_rust_symbols(tree: &Path) -> Result<()> {
    let read = |name: &str| fs::read_to_string(tree.join(name)).at_path(tree.join(name));
    let (symvers, found) = (read("Module.symvers")?, read(".rust-symbols")?);
    let missing = missing_rust_symbols(&symvers, &found);
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(Error::kernel(format!(
            "{} Rust symbols of the stock kernel are not in the metadata made from its source, {first} among them",
            missing.len()
        ))
        .note("the source package, its configuration or rustc is not the one that the kernel was built from")),
    }
}

/// `Module.symvers` is tab-separated: CRC, symbol, module, kind of export.
fn missing_rust_symbols(symvers: &str, found: &str) -> Vec<String> {
    let found: BTreeSet<&str> = found.lines().collect();
    symvers
        .lines()
        .filter_map(|line| line.split('\t').nth(1))
        .filter(|symbol| symbol.starts_with("_R") && !found.contains(symbol))
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_rust_symbol_is_named_and_c_symbols_do_not_count() {
        let symvers = "0x1\t_RNvA\tvmlinux\tEXPORT_SYMBOL_GPL\t\n0x2\t_RNvB\tvmlinux\tEXPORT_SYMBOL_GPL\t\n0x3\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n";
        assert_eq!(missing_rust_symbols(symvers, "_RNvA\n"), ["_RNvB"]);
        assert!(missing_rust_symbols(symvers, "_RNvA\n_RNvB\n").is_empty());
    }
}
