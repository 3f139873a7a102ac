// SPDX-License-Identifier: GPL-2.0-only
//! Stand-ins for the kernel packages of Ubuntu, with their real names and layout: headers in two packages, one of which
//! the flavours share. Each says in its description that it is a stand-in.

use super::fixture::{copy, done, programs, rename_kernel, shared_headers, write};
use super::text;
use crate::kdir::Kdir;
use crate::package::DATE;
use crate::sign::ArchiveKey;
use crate::store::remove;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A kernel of Ubuntu that stands in.
pub struct UbuntuKernel<'a> {
    /// `6.8.0-151`.
    pub abi: &'a str,
    /// `generic`.
    pub flavour: &'a str,
    /// Source package: `linux`, `linux-azure-6.8`.
    pub source: &'a str,
    /// Whether a module is built for it; else it has a configuration and no headers.
    pub is_built: bool,
}

impl UbuntuKernel<'_> {
    /// As `uname -r` would print it.
    pub fn release(&self) -> String {
        format!("{}-{}", self.abi, self.flavour)
    }

    /// `linux-headers-6.8.0-151`, `linux-azure-6.8-headers-6.8.0-1074`.
    fn shared(&self) -> String {
        format!("{}-headers-{}", self.source, self.abi)
    }

    /// All packages of the kernel, in the pool below `archive`.
    pub fn packages(&self, kdir: &Kdir, work: &Path, archive: &Path) -> Result<(), String> {
        let release = self.release();
        let root = work.join("deb-root");
        let place = root.join("usr/src").join(format!("linux-headers-{release}"));
        self.headers(kdir, &place)?;
        self.deb(&format!("linux-headers-{release}"), "amd64", &self.shared(), &root, archive)?;
        let place = root.join("usr/src").join(self.shared());
        if self.is_built {
            copy(&shared_headers(kdir)?, &place, &["scripts", "tools"])?;
            for dir in ["scripts", "tools"] {
                copy(&programs(kdir)?.join(dir), &place.join(dir), &[])?;
            }
        }
        self.deb(&self.shared(), "all", "coreutils", &root, archive)?;
        self.deb(&format!("linux-image-{release}"), "amd64", &format!("linux-modules-{release}"), &root, archive)?;
        self.deb(&format!("linux-modules-{release}"), "amd64", "", &root, archive)
    }

    fn headers(&self, kdir: &Kdir, place: &Path) -> Result<(), String> {
        if !self.is_built {
            fs::create_dir_all(place).map_err(text)?;
            return fs::copy(kdir.host.join(".config"), place.join(".config")).map(drop).map_err(text);
        }
        copy(&kdir.host, place, &["scripts", "tools", ".kernelvariables"])?;
        for dir in ["scripts", "tools"] {
            copy(&programs(kdir)?.join(dir), &place.join(dir), &[])?;
        }
        write(&place.join("Makefile"), &format!("include /usr/src/{}/Makefile\n", self.shared()))?;
        rename_kernel(place, &self.release())
    }

    /// Packs what is below `root`, which is empty then.
    fn deb(&self, name: &str, arch: &str, depends: &str, root: &Path, archive: &Path) -> Result<(), String> {
        let depends = if depends.is_empty() { String::new() } else { format!("Depends: {depends}\n") };
        let version = format!("{}.1", self.abi);
        let control = format!(
            "Package: {name}\nSource: {}\nVersion: {version}\nArchitecture: {arch}\nMaintainer: none <none@example.org>\n\
             {depends}Description: Stand-in for {name} in tests, from a Debian kernel\n",
            self.source
        );
        fs::create_dir_all(root.join("DEBIAN")).map_err(text)?;
        write(&root.join("DEBIAN/control"), &control)?;
        let pool = archive.join("pool/main/l").join(self.source);
        fs::create_dir_all(&pool).map_err(text)?;
        let mut command = Command::new("dpkg-deb");
        command.args(["--root-owner-group", "-Zgzip", "-z1", "--build"]).arg(root);
        command.arg(pool.join(format!("{name}_{version}_{arch}.deb")));
        // The same bytes at every run, so that the store has each KDIR and module once.
        done(command.env("SOURCE_DATE_EPOCH", DATE.to_string()))?;
        remove(root).map_err(text)
    }
}

/// Makes the pool below `archive` a signed suite.
pub fn index(archive: &Path, suite: &str, key: &ArchiveKey) -> Result<(), String> {
    let index = archive.join("dists").join(suite).join("main/binary-amd64");
    fs::create_dir_all(&index).map_err(text)?;
    write(&index.join("Packages"), &ftparchive(archive, &["packages", "pool"])?)?;
    sign(archive, suite, key)
}

/// Says in a signed `InRelease` what the suite's index is.
pub fn sign(archive: &Path, suite: &str, key: &ArchiveKey) -> Result<(), String> {
    let dists = format!("dists/{suite}");
    let fields = ["Suite", "Codename"].map(|field| format!("-oAPT::FTPArchive::Release::{field}={suite}"));
    let components = "-oAPT::FTPArchive::Release::Components=main";
    let architectures = "-oAPT::FTPArchive::Release::Architectures=amd64";
    let release = archive.join(&dists).join("Release");
    let arguments = [&fields[0], &fields[1], components, architectures, "release", &dists];
    write(&release, &ftparchive(archive, &arguments)?)?;
    key.clear_sign(&release, &archive.join(&dists).join("InRelease")).map_err(text)
}

fn ftparchive(archive: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("apt-ftparchive").args(arguments).current_dir(archive).output().map_err(text)?;
    String::from_utf8(output.stdout).map_err(text)
}
