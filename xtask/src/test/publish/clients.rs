// SPDX-License-Identifier: GPL-2.0-only
//! apt in a real Debian root, zypper and dnf in rpm roots: each knows of a repository what it has read last.

use super::fixture::{Fixture, PACKAGE, SUITE};
use super::text;
use crate::machine::{Root, Spec};
use crate::package::Family;
use crate::test::Context;
use crate::test::rpm::RpmRoot;
use std::fs;

/// Only the repository that is tested.
const ONLY: [&str; 2] = ["-oDir::Etc::sourcelist=/etc/apt/sources.list.d/demo.sources", "-oDir::Etc::sourceparts=-"];

/// One client of each kind.
pub struct Clients<'a> {
    apt: Root,
    rpm: [RpmRoot<'a>; 2],
}

impl<'a> Clients<'a> {
    /// Clients of the repositories below a URL, which have read nothing yet.
    pub fn new(context: &Context<'_>, name: &str, url: &str, fixture: &'a Fixture) -> Result<Self, String> {
        let kernels = context.kernels().map_err(text)?;
        let of_suite = kernels.iter().find(|kernel| kernel.release == SUITE);
        let first = of_suite.ok_or_else(|| format!("a kernel of {SUITE} is needed, for its root"))?;
        let spec = Spec::of(SUITE, &kernels).map_err(text)?.with_kernel(first);
        let apt = spec.root(context.store, context.matrix.offline).map_err(text)?;
        let keyring = fixture.work.join("keyring.gpg");
        fs::write(&keyring, fixture.key.public().map_err(text)?).map_err(text)?;
        apt.add_repository("demo", &format!("{url}/apt"), SUITE, &keyring).map_err(text)?;
        let rpm = [(Family::Suse, "zypper"), (Family::Rhel, "dnf")].map(|(family, manager)| RpmRoot {
            family,
            dir: fixture.work.join(format!("{name}-{manager}")),
            key: &fixture.key,
        });
        for root in &rpm {
            root.prepare(&fixture.base)?;
            root.subscribe(&format!("{url}/rpm/demo"))?;
        }
        Ok(Clients { apt, rpm })
    }

    fn apt_get(&self, arguments: &[&str]) -> Result<(), String> {
        let said = self.apt.apt_get(&[arguments, &ONLY].concat()).map_err(text)?;
        said.ok().map(drop).map_err(text)
    }

    /// Has each read the indices.
    pub fn refresh(&self) -> Result<(), String> {
        self.apt_get(&["update", "--error-on=any"])?;
        self.rpm.iter().try_for_each(RpmRoot::refresh)
    }

    /// Has each install what it knows of.
    pub fn install(&self, version: &str) -> Result<(), String> {
        self.apt_get(&["install", PACKAGE])?;
        self.rpm.iter().try_for_each(|root| root.install(PACKAGE))?;
        self.have(version)
    }

    /// The same once more, from nothing but the indices.
    pub fn install_again(&self, version: &str) -> Result<(), String> {
        self.apt_get(&["purge", PACKAGE])?;
        self.apt_get(&["clean"])?;
        self.rpm.iter().try_for_each(|root| root.remove(PACKAGE))?;
        self.install(version)
    }

    /// Has each bring all up to date.
    pub fn upgrade(&self, version: &str) -> Result<(), String> {
        self.apt_get(&["upgrade"])?;
        self.rpm.iter().try_for_each(RpmRoot::update)?;
        self.have(version)
    }

    fn have(&self, version: &str) -> Result<(), String> {
        let installed = self.apt.run(&format!("dpkg-query -f '${{Version}}' -W {PACKAGE}")).map_err(text)?;
        let mut found = vec![installed.ok().map_err(text)?.trim().to_string()];
        for root in &self.rpm {
            found.push(root.version(PACKAGE)?);
        }
        match found.iter().all(|one| one == version) {
            true => Ok(()),
            false => Err(format!("apt, zypper and dnf have {found:?}, not {version}")),
        }
    }
}
