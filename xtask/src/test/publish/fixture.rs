// SPDX-License-Identifier: GPL-2.0-only
//! Repositories to publish: one small package for apt and one for zypper and dnf, in as many versions as are wanted.

use super::text;
use crate::assemble::write_checksums;
use crate::repository::{self, Suite};
use crate::sign::ArchiveKey;
use crate::store::Store;
use crate::test::stand_in;
use crate::unpack::ask;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package, which has its version in `/usr/share/involflt-demo`.
pub const PACKAGE: &str = "involflt-demo";
/// The suite that it is in.
pub const SUITE: &str = "bookworm";

/// What the generations are made of.
pub struct Fixture {
    /// Where it may write.
    pub work: PathBuf,
    /// What signs.
    pub key: ArchiveKey,
    /// The base package of rpm roots.
    pub base: PathBuf,
}

impl Fixture {
    /// A fixture below `work`, without generations.
    pub fn new(work: &Path, key: ArchiveKey) -> Result<Self, String> {
        fs::create_dir_all(work).map_err(text)?;
        let base = stand_in::base(work)?;
        Ok(Fixture { work: work.into(), key, base })
    }

    /// The `dist/` of a generation.
    pub fn dist(&self, number: u32) -> PathBuf {
        self.work.join(format!("dist-{number}"))
    }

    /// Makes that `dist/`.
    pub fn make(&self, number: u32, store: &Store) -> Result<(), String> {
        let dist = self.dist(number);
        let (deb, rpm) = (self.deb(number)?, self.rpm(number)?);
        fs::create_dir_all(dist.join("rpm")).map_err(text)?;
        repository::apt(&dist.join("apt"), &[Suite { name: SUITE.into(), debs: vec![deb] }], &self.key)
            .map_err(text)?;
        repository::rpm(&dist.join("rpm/demo"), &[rpm], &self.key).map_err(text)?;
        write_checksums(&dist, &self.key, store).map_err(text)
    }

    fn deb(&self, number: u32) -> Result<PathBuf, String> {
        let tree = self.work.join("deb");
        for dir in ["DEBIAN", "usr/share"] {
            fs::create_dir_all(tree.join(dir)).map_err(text)?;
        }
        let control = format!(
            "Package: {PACKAGE}\nVersion: {number}\nArchitecture: all\nMaintainer: none <none@example.org>\n\
             Description: Something to publish in tests\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).map_err(text)?;
        fs::write(tree.join("usr/share").join(PACKAGE), number.to_string()).map_err(text)?;
        let deb = self.work.join(format!("{PACKAGE}_{number}_all.deb"));
        ask(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&deb)).map_err(text)??;
        self.key.deb_sign(&deb).map_err(text)?;
        Ok(deb)
    }

    fn rpm(&self, number: u32) -> Result<PathBuf, String> {
        let spec = format!(
            "Name: {PACKAGE}\nVersion: {number}\nRelease: 1\nSummary: Something to publish in tests\n\
             License: GPL-2.0-only\nAutoReqProv: no\n%description\nNothing else.\n%files\n/usr/share/{PACKAGE}\n"
        );
        let rpm = stand_in::build(&self.work, &format!("{PACKAGE}-{number}-1"), &spec, |root| {
            fs::create_dir_all(root.join("usr/share"))?;
            fs::write(root.join("usr/share").join(PACKAGE), number.to_string())
        })?;
        self.key.rpm_sign(&rpm).map_err(text)?;
        Ok(rpm)
    }
}
